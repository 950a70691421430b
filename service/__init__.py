"""The service around autokd: a REST API that launches, steers and remembers searches.

The web process stores and reads; it never trains, and never loads torch. A coordinator
(`autokd coordinator`) does the work that it records.
"""
