"""Executors: where the attempts of a study run, and how the coordinator hears of them."""

from __future__ import annotations

from autokd.executors.base import (
    Alive,
    EpochDone,
    Event,
    Executor,
    Failed,
    Finished,
    Lost,
    Report,
    Runner,
    Stopped,
)
from autokd.executors.local import LocalExecutor
from autokd.executors.worker import LOG

__all__ = [
    "LOG",
    "Alive",
    "EpochDone",
    "Event",
    "Executor",
    "Failed",
    "Finished",
    "LocalExecutor",
    "Lost",
    "Report",
    "Runner",
    "Stopped",
]
