"""Processes of tests: their environment, their descendants, and waiting for what they do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil

from autokd.executors.testing import HANG_SECONDS
from autokd.spec import read_study

Found = TypeVar("Found")

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]


def scripted_environment(**more: str) -> dict[str, str]:
    """Of a process whose studies, and those of its children, are scripted."""
    path = os.pathsep.join([str(_HERE), str(_ROOT)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def until(found: Callable[[], Found | None], what: str, seconds: float = HANG_SECONDS) -> Found:
    """What `found` gives, once it gives something; fails if that takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        result = found()
        if result:
            return result
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.02)


def descendants(pid: int) -> list[psutil.Process]:
    """Processes that the process has started, and theirs, and so on."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def has_ended(process: psutil.Process) -> bool:
    """Whether a process runs no more; it may not have been waited for."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    except psutil.NoSuchProcess:
        return True


def arguments(process: psutil.Process) -> list[str]:
    """Its command line; empty if it has ended."""
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def study_processes(pid: int) -> dict[int, psutil.Process]:
    """Those below a process that run a study, by the study's id."""
    found = {}
    for process in descendants(pid):
        match arguments(process):
            case [*_, "autokd.coordinator.process", "study", number]:
                found[int(number)] = process
    return found


def workers(pid: int) -> Iterator[psutil.Process]:
    """Those below a process that train."""
    for process in descendants(pid):
        line = arguments(process)
        if any("spawn_main" in word for word in line):
            yield process


def scripted_spec(name: str, **changes: Any) -> dict[str, Any]:
    """A study file for `assemble.py`: four trials of one or two epochs, unless changed."""
    spec = {
        "name": name,
        "data": {"name": "digits"},
        "teacher": {"model": "resnet8"},
        "space": {"name": "hierarchical_graph"},
        "distillation": {"losses": [{"name": "kd"}]},
        "budget": {"parameters": 900},
        "objectives": [
            {"metric": "accuracy", "direction": "maximize"},
            {"metric": "parameters", "direction": "minimize"},
        ],
        "strategy": {"name": "random"},
        "fidelity": {"min_epochs": 1, "max_epochs": 2, "eta": 2},
        "limits": {"trials": 4},
        "final": None,
        "execution": {"workers": 1},
        **changes,
    }
    return read_study(spec).model_dump(mode="json")
