"""A runner for tests of executors, and the attempts that tell it what to do.

It stands in the library and not beside the tests because worker processes must import it.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

from autokd.errors import DataError, StorageFullError
from autokd.executors.base import Report
from autokd.space import Architecture, Choice
from autokd.trial import Attempt, Evaluation, FailureClass, TrialFailed

GATE = "gate"
"""Name of the FIFO in the attempt's folder that a held attempt reads one byte from."""

_ERRORS: dict[str, BaseException] = {
    "nan": TrialFailed(FailureClass.NAN, "the loss is not finite"),
    "memory": MemoryError("no memory for the student"),
    "no_space": OSError(errno.ENOSPC, "No space left on device"),
    "storage_full": StorageFullError("the disk is full", hint="make room"),
    "bug": RuntimeError("shapes (3, 4)\nand (5, 6) do not fit"),
    "exit": SystemExit(3),
}

FAILURES = {
    "nan": FailureClass.NAN,
    "memory": FailureClass.OUT_OF_MEMORY,
    "no_space": FailureClass.STORAGE_FULL,
    "storage_full": FailureClass.STORAGE_FULL,
    "bug": FailureClass.ERROR,
    "exit": FailureClass.ERROR,
}
"""Failure class by the name of the error that a script raises."""

MESSAGES = {
    "nan": "the loss is not finite",
    "memory": "MemoryError: no memory for the student",
    "no_space": "OSError: [Errno 28] No space left on device",
    "storage_full": "StorageFullError: the disk is full",
    "bug": "RuntimeError: shapes (3, 4) and (5, 6) do not fit",
    "exit": "SystemExit: 3",
}
"""Failure message by the name of the error: one line each."""


def make_scripted_runner() -> ScriptedRunner:
    """Makes the runner, and notes it on stdout."""
    sys.stdout.write("a runner is made\n")
    return ScriptedRunner()


def make_no_runner() -> ScriptedRunner:
    """Fails, as if the data were not there."""
    raise DataError("no data set in /nowhere", hint="download it first")


def make_runner_and_die() -> ScriptedRunner:
    """Dies, as if the kernel had run out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return ScriptedRunner()


class ScriptedRunner:
    """Runs the script that an attempt names; the first metric is always the worker's `pid`."""

    def run(self, attempt: Attempt, report: Report) -> Evaluation:
        """Does what `attempt.distillation["do"]` says."""
        script = getattr(self, f"do_{attempt.distillation['do']}")
        script(attempt, report)
        return Evaluation(attempt.epochs, {"pid": os.getpid()})

    def do_epochs(self, attempt: Attempt, report: Report) -> None:
        """Reports each epoch."""
        for epoch in range(1, attempt.epochs + 1):
            report(epoch, {"pid": os.getpid(), "accuracy": epoch / 10})

    def do_meet(self, attempt: Attempt, report: Report) -> None:
        """Returns only if another attempt is under way that goes through the doors in turn."""
        doors: list[Path] = [attempt.folder.parent / name for name in ("door_0", "door_1")]
        for door in doors:  # opening a FIFO waits for the other side
            first = attempt.distillation["side"] == doors.index(door)
            os.close(os.open(door, os.O_WRONLY if first else os.O_RDONLY))

    def do_hold(self, attempt: Attempt, report: Report) -> None:
        """Reports one epoch and waits at the gate."""
        report(1, {"pid": os.getpid()})
        (attempt.folder / GATE).open("rb").read(1)

    def do_raise(self, attempt: Attempt, report: Report) -> None:
        """Raises the error named `error`."""
        raise _ERRORS[str(attempt.distillation["error"])]

    def do_die(self, attempt: Attempt, report: Report) -> None:
        """Reports all epochs and kills itself, leaving a child that holds all its files open."""
        child = os.fork()
        if child == 0:
            signal.pause()
        for epoch in range(1, attempt.epochs + 1):
            report(epoch, {"pid": os.getpid(), "child": child})
        os.kill(os.getpid(), signal.SIGKILL)

    def do_leave(self, attempt: Attempt, report: Report) -> None:
        """Ends the process without a word."""
        os._exit(7)

    def do_freeze(self, attempt: Attempt, report: Report) -> None:
        """Reports one epoch and suspends itself for ever."""
        report(1, {"pid": os.getpid()})
        os.kill(os.getpid(), signal.SIGSTOP)

    def do_loop(self, attempt: Attempt, report: Report) -> None:
        """Reports epochs until it is stopped; catches what a careless runner would catch."""
        epoch = 0
        while True:
            epoch += 1
            try:
                report(epoch, {"pid": os.getpid()})
                time.sleep(0.01)  # only to spare the processor
            except Exception:  # what a careless runner would catch: stopping must still end it
                continue

    def do_defy(self, attempt: Attempt, report: Report) -> None:
        """Reports epochs for ever, whatever is raised."""
        epoch = 0
        while True:
            epoch += 1
            try:
                report(epoch, {"pid": os.getpid()})
                time.sleep(0.01)
            except BaseException:  # nothing but the end of its process ends this one
                continue

    def do_flood(self, attempt: Attempt, report: Report) -> None:
        """Reports epochs as fast as it can, for ever."""
        while True:
            report(1, {"pid": os.getpid()})

    def do_speak(self, attempt: Attempt, report: Report) -> None:
        """Writes in all the ways there are, and `lines` long lines."""
        sys.stdout.write("by print\n")
        os.write(1, b"by native code\n")
        subprocess.run(["/bin/echo", "by a child"], check=True)
        logging.getLogger("some.package").warning("by logging")
        warnings.warn("by a warning", stacklevel=1)
        for number in range(int(attempt.distillation["lines"])):
            sys.stderr.write(f"{number} {'.' * 1000}\n")

    def do_show_threads(self, attempt: Attempt, report: Report) -> None:
        """Reports what native libraries will take for the number of threads."""
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        report(1, {name: float(os.environ[name]) for name in names})
        report(2, {"torch": "torch" in sys.modules})


def make_attempt(root: Path, number: int, do: str, *, epochs: int = 3, **more: Choice) -> Attempt:
    """An attempt that runs a script of `ScriptedRunner`, in the folder `root/number`."""
    return Attempt(
        id=number,
        token=f"token-{number}",
        trial=number,
        architecture=Architecture("none", {}),
        distillation={"do": do, **more},
        seed=0,
        epochs=epochs,
        horizon=epochs,
        folder=root / str(number),
    )


class Gate:
    """Where a held attempt waits until it is opened."""

    def __init__(self, attempt: Attempt) -> None:
        attempt.folder.mkdir(parents=True)
        path = attempt.folder / GATE
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR)  # both ways: neither side waits to open it

    def open(self) -> None:
        """Lets the attempt go on, also if it comes later."""
        os.write(self._fd, b".")
