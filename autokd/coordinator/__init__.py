"""Runs the studies that people want run: claims them, shares the slots, survives their ends.

::

    Coordinator ──── one process per study (`process.py`), told what to do through its stdin
         │      └─── one process per operation that takes long (exports, purges)
         └── its heartbeat, the shares of slots and the ends of studies go into the record

A study has a process of its own, so that one that dies takes no other with it; that process trains
in workers, again processes of their own. All end with the one above them.
"""

from __future__ import annotations

from autokd.coordinator.coordinator import Coordinator, slots_of_this_machine

__all__ = ["Coordinator", "slots_of_this_machine"]
