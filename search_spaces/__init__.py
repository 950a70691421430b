"""Search spaces, one file each; autokd finds them by the entry-point group `autokd.search_spaces`.

Nothing in the `autokd` package imports this one: a space that comes with another package is found
in the same way and is worth the same.
"""
