"""What runs inside a worker process: one attempt after the other, by one runner.

Three threads share the work:

    main      runs the attempt that the listener hands it
    listener  reads the coordinator's commands; ends the process when the coordinator is gone
    renewer   renews the lease while an attempt runs, also during a long native operation

The process ends itself rather than run on where nobody listens: a coordinator that takes over
must never meet a second writer.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import functools
import io
import logging
import multiprocessing
import os
import pickle  # noqa: TID251 (what the coordinator sends to its own child)
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from autokd.errors import NO_ROOM, AutokdError, StorageFullError
from autokd.executors.base import (
    Alive,
    EpochDone,
    Event,
    Failed,
    Finished,
    Runner,
    Stopped,
)
from autokd.trial import Attempt, Failure, FailureClass, Metrics, TrialFailed

_LOG = logging.getLogger(__name__)

LOG = "log.txt"
"""Name of the log in an attempt's folder."""

_MESSAGE_LENGTH = 1000
"""Longest failure message, in characters. A message this short crosses the pipe in one piece."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Stop:
    """Command: end the attempt that was sent last after its epoch."""


@dataclass(frozen=True)
class Quit:
    """Command: end the process after the epoch under way, if any."""


@dataclass(frozen=True)
class Hello:
    """The process has started and reads commands."""


@dataclass(frozen=True)
class Ready:
    """The runner is made."""


@dataclass(frozen=True)
class Unusable:
    """The runner could not be made; the process ends."""

    message: str
    hint: str


Command = Attempt | Stop | Quit
Message = Hello | Ready | Unusable | Event


class AttemptStopped(BaseException):
    """Raised out of `report` to end the attempt; no `except Exception` of a runner catches it."""


def work(
    pipe: Connection[Message, Command], make_runner: bytes, lease_seconds: float, parent: int
) -> None:
    """Body of a worker process: runs attempts as they come until it is told to quit.

    Args:
        pipe: this end of the pipe to the coordinator.
        make_runner: the pickled function that makes the runner.
        lease_seconds: the coordinator takes a worker to be lost that is silent for so long.
        parent: process id of the coordinator.
    """
    _stand_alone()
    _log_to_stderr()
    _Worker(pipe, make_runner, lease_seconds, parent).run()


class _Worker:
    def __init__(
        self,
        pipe: Connection[Message, Command],
        make_runner: bytes,
        lease_seconds: float,
        parent: int,
    ) -> None:
        self._pipe = pipe
        self._make_runner = make_runner
        self._lease_seconds = lease_seconds
        self._parent = parent
        self._runner: Runner | None = None
        self._sending = threading.Lock()
        self._inbox: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._attempt: Attempt | None = None
        self._stop_asked = False
        self._renewing_since: float | None = None

    def run(self) -> None:
        """Runs attempts until told to quit."""
        threading.Thread(target=self._listen, name="listener", daemon=True).start()
        threading.Thread(target=self._renew, name="renewer", daemon=True).start()
        self._send(Hello())
        while (attempt := self._inbox.get()) is not None:
            self._attempt = attempt
            outcome = self._perform(attempt)
            self._attempt = None
            self._send(outcome)
            if isinstance(outcome, Unusable):
                return

    # The attempt: main thread

    def _perform(self, attempt: Attempt) -> Event | Unusable:
        try:
            with _output_to(attempt.folder / LOG):
                return self._run(attempt)
        except OSError as error:  # the log itself cannot be written
            return Failed(attempt.id, attempt.token, _failure(error))

    def _run(self, attempt: Attempt) -> Event | Unusable:
        _LOG.info("attempt %d, trial %d: to epoch %d", attempt.id, attempt.trial, attempt.epochs)
        try:
            if self._runner is None:
                self._runner = self._make()
            self._raise_if_stopped()
            evaluation = self._runner.run(attempt, functools.partial(self._report, attempt))
            plain = replace(evaluation, metrics=_plain(evaluation.metrics))
        except AttemptStopped:
            _LOG.info("attempt %d: stopped", attempt.id)
            return Stopped(attempt.id, attempt.token)
        except BaseException as error:
            # The process boundary: whatever a runner raises, SystemExit too, is data beyond it.
            _LOG.exception("attempt %d: failed", attempt.id)
            if self._runner is None:
                return _unusable(error, attempt)
            return Failed(attempt.id, attempt.token, _failure(error))
        _LOG.info("attempt %d: finished, %s", attempt.id, plain.metrics)
        return Finished(attempt.id, attempt.token, plain)

    def _make(self) -> Runner:
        # Here and not at the start of the process: what it prints lands in the attempt's log.
        make: Callable[[], Runner] = pickle.loads(self._make_runner)
        runner = make()
        self._send(Ready())
        return runner

    def _report(self, attempt: Attempt, epoch: int, metrics: Metrics) -> None:
        self._send(EpochDone(attempt.id, attempt.token, int(epoch), _plain(metrics)))
        self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        if self._stop_asked:
            raise AttemptStopped

    # The coordinator: any thread

    def _send(self, message: Message) -> None:
        try:
            with self._sending:
                self._pipe.send(message)
        except OSError:
            _end("the coordinator has closed the pipe")

    # The lease: the other two threads

    def _listen(self) -> None:
        while True:
            try:
                if self._pipe.poll(self._lease_seconds / 12):
                    self._obey(self._pipe.recv())
            except (EOFError, OSError):
                _end("the coordinator is gone")
            # The pipe stays open if a fork of the coordinator has it too.
            if os.getppid() != self._parent:
                _end("the coordinator is gone")
            # Renewals begin every sixth of the lease: at most two thirds of it have passed.
            since = self._renewing_since
            if since is not None and time.monotonic() - since > self._lease_seconds / 2:
                _end("the lease could not be renewed")

    def _obey(self, command: Command) -> None:
        match command:
            case Attempt():
                self._stop_asked = False
                self._inbox.put(command)
            case Stop():
                self._stop_asked = True
            case Quit():
                self._stop_asked = True
                self._inbox.put(None)

    def _renew(self) -> None:
        while True:
            time.sleep(self._lease_seconds / 6)
            attempt = self._attempt
            if attempt is not None:
                self._renewing_since = time.monotonic()
                self._send(Alive(attempt.id, attempt.token))
                self._renewing_since = None


def _stand_alone() -> None:
    """Makes the process the leader of its own group, deaf to Ctrl-C, and mortal with its parent."""
    # Spawned processes spawn their children too. Data loaders start in a tenth of the time by the
    # system's default, and see the data set without a copy.
    multiprocessing.set_start_method(None, force=True)
    # The coordinator decides what Ctrl-C means; it held the signal back while we started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.setsid()
    if sys.platform == "linux":
        # For the one case that the listener cannot see: an operation that never frees the GIL.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _log_to_stderr() -> None:
    """Sends all that the process has to say to file descriptors 1 and 2, line by line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    faulthandler.enable()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    logging.captureWarnings(True)


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Appends to a file what this process, its libraries and its children write to 1 and 2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    kept = {fd: os.dup(fd) for fd in (1, 2)}
    try:
        for fd in kept:
            os.dup2(log, fd)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # a full disk: the outcome matters more
                stream.flush()
        for fd, copy in kept.items():
            os.dup2(copy, fd)
            os.close(copy)
        os.close(log)


def _plain(metrics: Metrics) -> dict[str, float]:
    """Metrics as plain floats: the coordinator can read no tensors."""
    return {str(name): float(value) for name, value in metrics.items()}


def _failure(error: BaseException) -> Failure:
    """What an exception is in the record."""
    match error:
        case TrialFailed():
            return error.failure
        case MemoryError():
            failure_class = FailureClass.OUT_OF_MEMORY
        case OSError() if isinstance(error, StorageFullError) or error.errno in NO_ROOM:
            failure_class = FailureClass.STORAGE_FULL
        case _:
            failure_class = FailureClass.ERROR
    return Failure(failure_class, _in_one_line(error))


def _unusable(error: BaseException, attempt: Attempt) -> Unusable:
    hint = error.hint if isinstance(error, AutokdError) else None
    where = f"the worker's log is {attempt.folder / LOG}"
    message = f"a worker could not make its runner: {_in_one_line(error)}"
    return Unusable(message, f"{hint}; {where}" if hint else where)


def _in_one_line(error: BaseException) -> str:
    message = error.message if isinstance(error, AutokdError) else str(error)
    text = " ".join(f"{type(error).__name__}: {message}".split())
    return text if len(text) <= _MESSAGE_LENGTH else text[: _MESSAGE_LENGTH - 1] + "…"


def _end(reason: str) -> NoReturn:
    """Ends this process and its children at once."""
    with contextlib.suppress(OSError):
        os.write(2, f"{reason}; the worker ends itself\n".encode())
    if sys.platform != "win32":
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
