"""The coordinator's end of one worker process."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from autokd.errors import AutokdError
from autokd.executors.worker import Command, Message, work
from autokd.trial import Attempt

_SPAWN = multiprocessing.get_context("spawn")

_START_SECONDS = 120.0
"""A process that does not greet for so long is given up; it only has to import its modules."""

_KILL_SECONDS = 5.0
"""How long a killed process may take to go: freeing a GPU is slow."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

MAIN_GUARD = (
    'a script that runs a study must do so under `if __name__ == "__main__":`, because each worker '
    "imports the script first"
)


class WorkerProcess:
    """One worker process and what the coordinator knows of it.

    Attributes:
        pipe: this end of the pipe.
        sentinel: becomes ready when the process has ended.
        attempt: the attempt that it runs, if any.
        greeted: whether the process has started.
        ready: whether it has made its runner.
        heard: when it last said something (monotonic seconds).
        stop_by: when it is killed if its attempt has not stopped, or None if it may go on.
        spent: whether it must not be used any more.
    """

    def __init__(self, make_runner: bytes, *, lease_seconds: float, threads: int) -> None:
        pipe, far_end = _SPAWN.Pipe()
        self.pipe: Connection[Command, Message] = pipe
        self._process = SpawnProcess(
            target=work,
            args=(far_end, make_runner, lease_seconds, os.getpid()),
            name="autokd-worker",
        )
        self._lease_seconds = lease_seconds
        self.attempt: Attempt | None = None
        self.greeted = False
        self.ready = False
        self.heard = time.monotonic()
        self.stop_by: float | None = None
        self.spent = False
        try:
            with far_end:
                _start(self._process, threads)
        except KeyboardInterrupt:
            # Held back until now: the process may have started, and nobody would know of it.
            if self._process.pid is not None:
                self._process.kill()
            raise
        self._pidfd = _pidfd(self._process)
        self.sentinel = self._process.sentinel if self._pidfd is None else self._pidfd

    @property
    def patience(self) -> float:
        """How long it may be silent while it runs an attempt, in seconds."""
        return self._lease_seconds if self.greeted else _START_SECONDS

    @property
    def deadline(self) -> float:
        """When it is to be killed if nothing is heard of it (monotonic seconds)."""
        if self.attempt is None:
            return math.inf
        return min(self.heard + self.patience, math.inf if self.stop_by is None else self.stop_by)

    def take(self, attempt: Attempt) -> None:
        """Hands it its next attempt."""
        self.attempt = attempt
        self.stop_by = None
        self.heard = time.monotonic()
        self.send(attempt)

    def send(self, command: Command) -> None:
        """Sends a command; to a process that has just died, in vain: its sentinel will tell."""
        with contextlib.suppress(OSError):
            self.pipe.send(command)

    def receive(self, most: float) -> list[Message]:
        """Up to `most` messages that are there already. A closed pipe makes it spent."""
        messages: list[Message] = []
        try:
            while len(messages) < most and self.pipe.poll():
                messages.append(self.pipe.recv())
        except (EOFError, OSError):
            self.spent = True
        return messages

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return not wait([self.sentinel], 0)

    def kill(self) -> None:
        """Kills the process and its children, and waits until it is gone."""
        if sys.platform != "win32":
            # No such group: it has not come to make it yet, or all of it is gone.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
        self._process.kill()
        wait([self.sentinel], _KILL_SECONDS)

    @property
    def exit_code(self) -> int | None:
        """As in `multiprocessing`: negative if a signal ended it, None if it still runs."""
        return self._process.exitcode

    def how_it_ended(self) -> str:
        """The exit code in words."""
        code = self.exit_code
        if code is None:
            return "ended, or cannot be killed"
        if code >= 0:
            return f"ended by itself with exit code {code}"
        names = {number.value: number.name for number in signal.Signals}
        name = names.get(-code, str(-code))
        why = " (which the kernel sends when memory runs out)" if name == "SIGKILL" else ""
        return f"was ended by the signal {name}{why}"

    def release(self) -> None:
        """Closes what the coordinator holds of an ended process."""
        self.pipe.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
        with contextlib.suppress(ValueError):  # it cannot be killed
            self._process.close()

    @property
    def _pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid


def _start(process: SpawnProcess, threads: int) -> None:
    # It would lift the block of signals again if it were started under it.
    resource_tracker.ensure_running()
    try:
        with _threads_limited_to(threads), _interrupts_held_back():
            process.start()
    except RuntimeError as error:
        raise AutokdError(
            "a worker cannot start workers: the script has no main guard", hint=MAIN_GUARD
        ) from error


@contextlib.contextmanager
def _threads_limited_to(threads: int) -> Iterator[None]:
    """Sets what native libraries read when they are imported, for a process started inside."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Blocks Ctrl-C in a process started inside until it unblocks it; here it is only delayed."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pidfd(process: SpawnProcess) -> int | None:
    """A descriptor that tells of the process's end at once, where the system has it.

    The sentinel of `multiprocessing` is a pipe that forked children (of a data loader) hold open.
    """
    if sys.platform == "linux" and process.pid is not None:
        with contextlib.suppress(OSError):
            return os.pidfd_open(process.pid)
    return None
