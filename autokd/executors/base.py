"""Where attempts run: what an executor does, what it asks of a runner, and the events between.

Every attempt that is submitted ends with exactly one last event::

    submit ──► EpochDone | Alive … ──► Finished   the runner returned an evaluation
                                   ├─► Failed     the runner raised
                                   ├─► Stopped    `stop` was called
                                   └─► Lost       the worker died, or fell silent and was killed
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from autokd.trial import Attempt, Evaluation, Failure, Metrics

Report = Callable[[int, Metrics], None]
"""Tells the coordinator that an epoch is done: finished epochs since initialisation, metrics."""


class Runner(Protocol):
    """Does the work of attempts inside a worker; made once per worker and used for many."""

    def run(self, attempt: Attempt, report: Report) -> Evaluation:
        """Trains from the attempt's checkpoint to its epochs, and scores the student.

        `report` is to be called after each epoch, when the checkpoint of that epoch is on disk:
        it does not return if the attempt is to stop. Metrics must be numbers. Epochs of the
        checkpoint that come after `attempt.recorded` are reported first.

        Raises:
            TrialFailed: the trial fails with this class. Any other exception fails it too, with
                the class that fits best.
        """
        ...


@dataclass(frozen=True)
class _AttemptEvent:
    """Something that happened to an attempt.

    Attributes:
        attempt_id: the attempt's id.
        token: the attempt's fencing token.
    """

    attempt_id: int
    token: str


@dataclass(frozen=True)
class EpochDone(_AttemptEvent):
    """An epoch is done; `epoch` counts finished epochs since initialisation."""

    epoch: int
    metrics: Metrics


@dataclass(frozen=True)
class Alive(_AttemptEvent):
    """The worker is at work: its lease is to be renewed."""


@dataclass(frozen=True)
class Finished(_AttemptEvent):
    """The runner returned."""

    evaluation: Evaluation


@dataclass(frozen=True)
class Failed(_AttemptEvent):
    """The runner raised; the traceback is in the attempt's log."""

    failure: Failure


@dataclass(frozen=True)
class Stopped(_AttemptEvent):
    """The attempt ended because it was asked to; it can be continued from its checkpoint."""


@dataclass(frozen=True)
class Lost(_AttemptEvent):
    """The worker is gone, and nothing of it writes any more; `message` says how it ended."""

    message: str


Event = EpochDone | Alive | Finished | Failed | Stopped | Lost


class Executor(Protocol):
    """Runs attempts on workers. One thread uses it; it remembers nothing beyond its workers."""

    slots: int
    """How many attempts run at a time."""

    def submit(self, attempt: Attempt) -> None:
        """Starts an attempt on a free slot.

        Raises:
            AutokdError: no worker can be started.
        """
        ...

    def poll(self, timeout: float) -> list[Event]:
        """Events since the last call, in order for each attempt; none after an attempt's last.

        Waits up to `timeout` seconds for the first one; does not wait if nothing is running.

        Raises:
            AutokdError: no worker can be started, so the attempts given to them will never run.
        """
        ...

    def stop(self, attempt_id: int) -> None:
        """Asks an attempt to end after its epoch; ends it by force after a grace.

        Its last event is `Stopped`, unless it finished, failed or was lost before. Asking again,
        or for an attempt that is not running, does nothing.
        """
        ...

    def close(self) -> None:
        """Ends all workers, within seconds. Attempts under way get no more events."""
        ...
