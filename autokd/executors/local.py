"""Attempts on this machine: persistent worker processes, one attempt at a time each."""

from __future__ import annotations

import atexit
import math
import pickle  # noqa: TID251 (what the coordinator sends to its own child)
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from types import TracebackType
from typing import Self

from autokd.errors import AutokdError
from autokd.executors.base import Alive, EpochDone, Event, Failed, Lost, Runner, Stopped
from autokd.executors.process import MAIN_GUARD, WorkerProcess
from autokd.executors.worker import Hello, Message, Quit, Ready, Stop, Unusable
from autokd.trial import Attempt, FailureClass

_CLOSE_SECONDS = 5.0
"""How long workers may take to end politely."""

_FAILED_STARTS = 3
"""So many workers in a row that die before they are ready are enough."""

_BATCH = 64
"""Messages read from one worker before the next one has its turn."""

_HARMLESS = frozenset({FailureClass.NAN, FailureClass.STORAGE_FULL})
"""Failures after which a process is as good as new. An unexpected exception may have left a broken
CUDA context behind, running out of memory a fragmented heap."""


class LocalExecutor:
    """Runs attempts in spawned processes, started when needed and kept for the next attempt.

    A worker that dies takes nothing with it but its own attempt and is replaced when next needed.
    Workers end with the coordinator, however it ends. They stand in process groups of their own:
    Ctrl-C reaches the coordinator alone.

    Create and use it in one thread that lives as long as the executor: Linux takes the end of the
    thread that started a worker for the end of the coordinator.

    Args:
        make_runner: makes a worker's runner, in the worker; picklable, so a function at the top
            level of a module, or a `functools.partial` of one.
        slots: how many attempts run at a time, at least 1.
        lease_seconds: a worker that is silent for so long is killed and its attempt lost, > 0.
        threads: threads of native libraries in each worker, at least 1.
        grace_seconds: how long an attempt may take to stop before it is ended by force, >= 0.

    Raises:
        AutokdError: `make_runner` cannot be pickled.
    """

    def __init__(
        self,
        make_runner: Callable[[], Runner],
        slots: int,
        *,
        lease_seconds: float,
        threads: int,
        grace_seconds: float = 30.0,
    ) -> None:
        if slots < 1 or threads < 1 or lease_seconds <= 0 or grace_seconds < 0:
            raise ValueError(
                "expected slots >= 1, threads >= 1, lease_seconds > 0 and grace_seconds >= 0, got "
                f"{slots=}, {threads=}, {lease_seconds=}, {grace_seconds=}"
            )
        self.slots = slots
        self._make_runner = _pickled(make_runner)
        self._lease_seconds = lease_seconds
        self._threads = threads
        self._grace_seconds = grace_seconds
        self._workers: list[WorkerProcess] = []
        self._events: list[Event] = []
        self._error: AutokdError | None = None
        self._failed_starts = 0
        self._looked = time.monotonic()
        self._closed = False
        # Before the exit handler of multiprocessing, which waits for workers to end by themselves.
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def submit(self, attempt: Attempt) -> None:
        """Starts an attempt on a free slot; see `Executor`."""
        if self._error is not None:
            raise self._error
        running = self._running()
        if self._closed or len(running) >= self.slots or attempt.id in running:
            raise RuntimeError(
                f"expected an open executor, a free slot of {self.slots} and a new attempt, got "
                f"attempt {attempt.id} while {sorted(running)} run, closed: {self._closed}"
            )
        self._free_worker().take(attempt)

    def poll(self, timeout: float) -> list[Event]:
        """Events since the last call; see `Executor`."""
        until = time.monotonic() + (timeout if self._running() else 0)
        while True:
            self._gather(until)
            if self._events:
                events, self._events = self._events, []
                return events
            if self._error is not None:
                raise self._error
            if time.monotonic() >= until or not self._running():
                return []

    def stop(self, attempt_id: int) -> None:
        """Asks an attempt to end after its epoch; see `Executor`."""
        worker = self._running().get(attempt_id)
        if worker is not None and worker.stop_by is None:
            worker.stop_by = time.monotonic() + self._grace_seconds
            worker.send(Stop())

    def close(self) -> None:
        """Ends all workers within seconds; see `Executor`."""
        self._closed = True
        for worker in self._workers:
            worker.send(Quit())
        until = time.monotonic() + _CLOSE_SECONDS
        open_ends = {worker.sentinel for worker in self._workers}
        try:
            while open_ends and (left := until - time.monotonic()) > 0:
                open_ends.difference_update(wait(open_ends, left))
        finally:
            for worker in self._workers:
                worker.kill()
                worker.release()
            self._workers.clear()
            atexit.unregister(self.close)

    def _running(self) -> dict[int, WorkerProcess]:
        """Workers at work, by the id of their attempt."""
        return {w.attempt.id: w for w in self._workers if w.attempt is not None}

    def _free_worker(self) -> WorkerProcess:
        for worker in [w for w in self._workers if w.attempt is None]:
            if worker.is_alive():
                return worker
            self._bury(worker)
        worker = WorkerProcess(
            self._make_runner, lease_seconds=self._lease_seconds, threads=self._threads
        )
        self._workers.append(worker)
        return worker

    # Events

    def _gather(self, until: float) -> None:
        """Waits for the first thing to happen to a worker, and takes what has happened to all."""
        ready = self._wait(until)
        for worker in list(self._workers):
            if worker.sentinel in ready:
                self._bury(worker)
                continue
            if worker.pipe in ready:
                self._take_messages(worker, _BATCH)
            if worker.spent:
                self._bury(worker)
            elif time.monotonic() >= worker.deadline:
                self._bury(worker, f"said nothing for {worker.patience:g} s and was killed")

    def _wait(self, until: float) -> list[object]:
        """What is ready: pipes and sentinels; empty at the first deadline of a worker."""
        watched = [end for worker in self._workers for end in (worker.pipe, worker.sentinel)]
        if not watched:
            return []
        first = min([until, *(worker.deadline for worker in self._workers)])
        share = self._lease_seconds / 6
        seconds = min(max(0.0, first - time.monotonic()), share)
        ready: list[object] = list(wait(watched, seconds))
        # Time in which this process did not look, because it was busy or suspended, does not count
        # as silence: the workers may have been suspended with it.
        now = time.monotonic()
        away, self._looked = now - self._looked, now
        if away > 3 * share:
            for worker in self._workers:
                worker.heard = min(now, worker.heard + away)
        return ready

    def _take_messages(self, worker: WorkerProcess, most: float) -> None:
        for message in worker.receive(most):
            worker.heard = time.monotonic()
            self._take(worker, message)

    def _take(self, worker: WorkerProcess, message: Message) -> None:
        match message:
            case Hello():
                worker.greeted = True
            case Ready():
                worker.ready = True
                self._failed_starts = 0
            case Unusable():
                self._error = AutokdError(message.message, hint=message.hint)
                worker.attempt = None
                worker.spent = True
            case _ if worker.attempt is None or worker.attempt.id != message.attempt_id:
                pass  # a renewal that was overtaken by the attempt's last event
            case EpochDone() | Alive():
                self._events.append(message)
            case _:
                self._events.append(message)
                worker.attempt = None
                if isinstance(message, Failed):
                    worker.spent = message.failure.failure_class not in _HARMLESS

    # The end of a worker

    def _bury(self, worker: WorkerProcess, how: str | None = None) -> None:
        """Removes a worker and its children; its attempt, if it is still under way, is lost."""
        worker.kill()
        # What it sent before it died has still happened.
        self._take_messages(worker, math.inf)
        how = how or worker.how_it_ended()
        self._workers.remove(worker)
        attempt = worker.attempt
        if attempt is not None and worker.stop_by is not None:
            self._events.append(Stopped(attempt.id, attempt.token))
        elif attempt is not None:
            self._error = self._error or self._start_error(worker, how)
            self._events.append(Lost(attempt.id, attempt.token, f"the worker {how}"))
        worker.release()

    def _start_error(self, worker: WorkerProcess, how: str) -> AutokdError | None:
        """Why there is no point in another worker, if this one died before it was ready."""
        if worker.ready:
            return None
        self._failed_starts += 1
        message = f"a worker process {how} before it was ready"
        if not worker.greeted and (worker.exit_code or 0) > 0:
            return AutokdError(f"{message}; its own error stands above", hint=MAIN_GUARD)
        if self._failed_starts >= _FAILED_STARTS:
            return AutokdError(
                f"{message}, and so did {self._failed_starts - 1} others before it",
                hint="if it was killed: try fewer workers, they may not fit into memory together",
            )
        return None


def _pickled(make_runner: Callable[[], Runner]) -> bytes:
    try:
        return pickle.dumps(make_runner)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AutokdError(
            f"make_runner must be picklable to reach the workers, got {make_runner!r}: {error}",
            hint="define it at the top level of a module, not inside a function or as a lambda",
        ) from error
