"""What every executor must do, as a test suite: derive from `ExecutorConformance`.

    class TestMyExecutor(ExecutorConformance):
        def make_executor(self, make_runner, *, slots, lease_seconds, grace_seconds):
            return MyExecutor(...)

Call `pytest.register_assert_rewrite("autokd.executors.testing")` before the import for readable
failures. Needs Linux. Seconds here only bound a hanging test.
"""

# ruff: noqa: D102 (a test's name is its sentence)
from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

import pytest

from autokd.errors import AutokdError
from autokd.executors.base import (
    Alive,
    EpochDone,
    Event,
    Executor,
    Failed,
    Finished,
    Lost,
    Runner,
    Stopped,
)
from autokd.executors.scripted import (
    FAILURES,
    MESSAGES,
    Gate,
    make_attempt,
    make_no_runner,
    make_runner_and_die,
    make_scripted_runner,
)
from autokd.trial import Attempt

HANG_SECONDS = 60.0
"""A test that waits for so long has failed."""

_E = TypeVar("_E", EpochDone, Alive, Finished, Failed, Stopped, Lost)


class StartExecutor(Protocol):
    """Makes an executor that is closed at the end of the test."""

    def __call__(
        self,
        make_runner: Callable[[], Runner] = ...,
        *,
        slots: int = ...,
        lease_seconds: float = ...,
        grace_seconds: float = ...,
    ) -> Executor: ...


class Watch:
    """Polls an executor and keeps all events."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.events: list[Event] = []
        self.open: set[int] = set()

    def submit(self, attempt: Attempt) -> None:
        """Submits an attempt, which is open until its last event."""
        self.open.add(attempt.id)
        self.executor.submit(attempt)

    def poll(self, timeout: float) -> list[Event]:
        """Polls once, and keeps what comes."""
        events = self.executor.poll(timeout)
        self.events += events
        self.open -= {e.attempt_id for e in events if not isinstance(e, EpochDone | Alive)}
        return events

    def until(self, kind: type[_E], attempt_id: int) -> _E:
        """Polls until an event of this kind comes for the attempt; a past one counts."""
        until = time.monotonic() + HANG_SECONDS
        while True:
            for event in self.events:
                if isinstance(event, kind) and event.attempt_id == attempt_id:
                    return event
            assert time.monotonic() < until, f"no {kind.__name__} of {attempt_id}: {self.events}"
            self.poll(1.0)

    def until_error(self) -> AutokdError:
        """Polls until the executor raises."""
        until = time.monotonic() + HANG_SECONDS
        while time.monotonic() < until:
            try:
                self.poll(1.0)
            except AutokdError as error:
                return error
        raise AssertionError(f"no error: {self.events}")

    def of(self, attempt_id: int) -> list[Event]:
        """Events of an attempt, renewals left out."""
        return [e for e in self.events if e.attempt_id == attempt_id and not isinstance(e, Alive)]

    def pid(self, attempt_id: int) -> int:
        """The worker's process id, from the attempt's first epoch."""
        return int(self.until(EpochDone, attempt_id).metrics["pid"])


class ExecutorConformance:
    """The suite. A subclass says how to make the executor."""

    def make_executor(
        self,
        make_runner: Callable[[], Runner],
        *,
        slots: int,
        lease_seconds: float,
        grace_seconds: float,
    ) -> Executor:
        """The executor under test."""
        raise NotImplementedError  # what a subclass is for

    _shared: ClassVar[Executor | None] = None

    @pytest.fixture
    def watch(self) -> Iterator[Watch]:
        """On an executor with two slots that tests share, to start fewer processes."""
        cls = type(self)
        if cls._shared is None:
            cls._shared = self.make_executor(
                make_scripted_runner,
                slots=2,
                lease_seconds=2 * HANG_SECONDS,
                grace_seconds=2 * HANG_SECONDS,
            )
        watch = Watch(cls._shared)
        yield watch
        if watch.open:  # the test has failed
            cls.teardown_class()

    @classmethod
    def teardown_class(cls) -> None:
        if cls._shared is not None:
            cls._shared.close()
            cls._shared = None

    @pytest.fixture
    def start(self) -> Iterator[StartExecutor]:
        with contextlib.ExitStack() as stack:

            def start(
                make_runner: Callable[[], Runner] = make_scripted_runner,
                *,
                slots: int = 1,
                lease_seconds: float = 2 * HANG_SECONDS,
                grace_seconds: float = 2 * HANG_SECONDS,
            ) -> Executor:
                executor = self.make_executor(
                    make_runner,
                    slots=slots,
                    lease_seconds=lease_seconds,
                    grace_seconds=grace_seconds,
                )
                stack.callback(executor.close)
                return executor

            yield start

    def test_an_attempt_reports_its_epochs_and_finishes(self, watch: Watch, tmp_path: Path) -> None:
        watch.submit(make_attempt(tmp_path, 5, "epochs", epochs=3))
        finished = watch.until(Finished, 5)
        *epochs, last = watch.of(5)
        assert last is finished
        assert (finished.token, finished.evaluation.epochs) == ("token-5", 3)
        accuracies = [e.metrics["accuracy"] for e in epochs if isinstance(e, EpochDone)]
        assert accuracies == [0.1, 0.2, 0.3]
        assert type(finished.evaluation.metrics["pid"]) is float  # also what is no float there

    def test_a_worker_and_its_runner_serve_many_attempts(
        self, start: StartExecutor, tmp_path: Path
    ) -> None:
        watch = Watch(start())
        for number in range(3):
            watch.submit(make_attempt(tmp_path, number, "epochs"))
            watch.until(Finished, number)
        assert len({watch.pid(number) for number in range(3)}) == 1
        logs = [(tmp_path / str(number) / "log.txt").read_text() for number in range(3)]
        assert ["a runner is made" in log for log in logs] == [True, False, False]

    def test_attempts_run_at_the_same_time(self, watch: Watch, tmp_path: Path) -> None:
        for door in ("door_0", "door_1"):
            os.mkfifo(tmp_path / door)
        for side in (0, 1):
            watch.submit(make_attempt(tmp_path, side, "meet", side=side))
        for side in (0, 1):
            watch.until(Finished, side)

    def test_nothing_running_is_nothing_to_wait_for(self, start: StartExecutor) -> None:
        assert start().poll(10 * HANG_SECONDS) == []

    def test_every_exception_becomes_a_failure_of_its_class(
        self, watch: Watch, tmp_path: Path
    ) -> None:
        for number, error in enumerate(FAILURES):
            watch.submit(make_attempt(tmp_path, number, "raise", error=error))
            failure = watch.until(Failed, number).failure
            assert failure.failure_class is FAILURES[error]
            assert failure.message == MESSAGES[error]
            assert "Traceback" in (tmp_path / str(number) / "log.txt").read_text()

    def test_a_killed_worker_loses_its_own_attempt_only_and_is_replaced(
        self, watch: Watch, tmp_path: Path
    ) -> None:
        neighbour = make_attempt(tmp_path, 1, "hold")
        gate = Gate(neighbour)
        watch.submit(neighbour)
        watch.submit(make_attempt(tmp_path, 2, "die", epochs=50))
        assert "SIGKILL" in watch.until(Lost, 2).message
        watch.submit(make_attempt(tmp_path, 3, "epochs"))
        watch.until(Finished, 3)
        gate.open()
        assert watch.until(Finished, 1).evaluation.metrics["pid"] == watch.pid(1)
        assert watch.pid(3) != watch.pid(2)

    def test_what_a_killed_worker_said_is_heard_and_its_children_end(
        self, watch: Watch, tmp_path: Path
    ) -> None:
        watch.submit(make_attempt(tmp_path, 0, "die", epochs=500))
        lost = watch.until(Lost, 0)
        *epochs, last = watch.of(0)
        assert last is lost
        assert [e.epoch for e in epochs if isinstance(e, EpochDone)] == list(range(1, 501))
        assert_ended(int(watch.until(EpochDone, 0).metrics["child"]))

    def test_a_worker_that_leaves_is_lost(self, watch: Watch, tmp_path: Path) -> None:
        watch.submit(make_attempt(tmp_path, 0, "leave"))
        assert "exit code 7" in watch.until(Lost, 0).message

    def test_a_silent_worker_is_lost_and_gone(self, start: StartExecutor, tmp_path: Path) -> None:
        watch = Watch(start(lease_seconds=2.0))
        watch.submit(make_attempt(tmp_path, 0, "freeze"))
        assert "said nothing" in watch.until(Lost, 0).message
        assert_ended(watch.pid(0))

    def test_a_long_operation_is_no_silence(self, start: StartExecutor, tmp_path: Path) -> None:
        watch = Watch(start(lease_seconds=6.0))
        attempt = make_attempt(tmp_path, 0, "hold")
        gate = Gate(attempt)
        watch.submit(attempt)
        assert watch.until(Alive, 0).token == "token-0"
        gate.open()
        watch.until(Finished, 0)

    def test_a_stopped_attempt_ends_after_its_epoch_and_its_worker_goes_on(
        self, watch: Watch, tmp_path: Path
    ) -> None:
        watch.submit(make_attempt(tmp_path, 0, "loop"))
        pid = watch.pid(0)
        for _ in range(3):
            watch.executor.stop(0)
        stopped = watch.until(Stopped, 0)
        watch.submit(make_attempt(tmp_path, 1, "epochs"))
        watch.until(Finished, 1)
        assert watch.pid(1) == pid
        assert watch.of(0)[-1] is stopped

    def test_an_attempt_that_will_not_stop_is_ended_by_force(
        self, start: StartExecutor, tmp_path: Path
    ) -> None:
        watch = Watch(start(grace_seconds=0.2))
        watch.submit(make_attempt(tmp_path, 0, "defy"))
        pid = watch.pid(0)
        watch.executor.stop(0)
        stopped = watch.until(Stopped, 0)
        assert_ended(pid)
        watch.submit(make_attempt(tmp_path, 1, "epochs"))
        watch.until(Finished, 1)
        assert watch.of(0)[-1] is stopped

    def test_an_attempt_can_be_stopped_before_it_begins(self, watch: Watch, tmp_path: Path) -> None:
        watch.submit(make_attempt(tmp_path, 0, "loop"))
        watch.executor.stop(0)
        watch.until(Stopped, 0)

    def test_stopping_what_does_not_run_does_nothing(self, watch: Watch, tmp_path: Path) -> None:
        watch.executor.stop(99)
        watch.submit(make_attempt(tmp_path, 0, "epochs"))
        watch.until(Finished, 0)
        watch.executor.stop(0)
        assert watch.poll(0) == []

    def test_all_that_is_written_lands_in_the_log_of_the_attempt(
        self, watch: Watch, tmp_path: Path
    ) -> None:
        watch.submit(make_attempt(tmp_path, 0, "speak", lines=5000))
        watch.until(Finished, 0)
        log = (tmp_path / "0" / "log.txt").read_text()
        for way in ("print", "native code", "a child", "logging", "a warning"):
            assert f"by {way}" in log
        assert f"4999 {'.' * 1000}\n" in log

    def test_a_runner_that_cannot_be_made_is_an_error_with_its_hint(
        self, start: StartExecutor, tmp_path: Path
    ) -> None:
        watch = Watch(start(make_no_runner))
        watch.submit(make_attempt(tmp_path, 0, "epochs"))
        error = watch.until_error()
        assert "no data set in /nowhere" in error.message
        assert "download it first" in str(error.hint)

    def test_workers_that_die_before_they_are_ready_are_not_replaced_for_ever(
        self, start: StartExecutor, tmp_path: Path
    ) -> None:
        watch = Watch(start(make_runner_and_die))
        with pytest.raises(AutokdError, match="before it was ready"):
            for number in range(10):
                watch.submit(make_attempt(tmp_path, number, "epochs"))
                watch.until(Lost, number)

    def test_a_runner_that_cannot_be_sent_is_refused_at_once(self, start: StartExecutor) -> None:
        with pytest.raises(AutokdError, match="picklable"):
            start(lambda: make_scripted_runner())

    def test_closing_ends_attempts_and_can_be_repeated(
        self, start: StartExecutor, tmp_path: Path
    ) -> None:
        watch = Watch(start())
        watch.submit(make_attempt(tmp_path, 0, "loop"))
        pid = watch.pid(0)
        watch.executor.close()
        assert_ended(pid)
        watch.executor.close()


def assert_ended(pid: int) -> None:
    """The process has ended, or does so before the test counts as hanging."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert wait([descriptor], HANG_SECONDS), f"process {pid} still runs"
    finally:
        os.close(descriptor)
