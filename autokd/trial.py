"""The record's values: what is evaluated, how far it got, and the states it goes through.

    Candidate   a unique architecture + distillation setting of a study
    Trial       one evaluation of a candidate (with one seed), up a ladder of rungs
    Attempt     one lease of a worker on a trial, from a checkpoint to the next rung

A trial's states::

    INFEASIBLE                       over budget: recorded, never trained
    QUEUED ──► RUNNING ──► COMPLETE  reached the last rung
      ▲          │  │
      │          │  └────► FAILED    with a failure class and message
      │          ▼
      └──────── PAUSED               finished a lower rung; promoted when its rank allows

What is queued or paused may also be cancelled, which is a failure, and what failed be queued again.

A finished study counts its paused trials as pruned: they were stopped early. They keep their
checkpoints, so that a study that is extended can still promote them.

A study's states::

    CREATED ──► RUNNING ──► COMPLETED   a limit was reached and the final stage is done
                  ▲  ├────► STOPPED     by the user, too many failures, or nothing feasible
                  │  └────► FAILED      could not begin or go on: `error` says why
                  └───────── (search again, or with larger limits, continues any)

One whose coordinator ends is STOPPED too, until the next one goes on with it.

A study that a coordinator runs has a *wish* beside its state: what its owner wants of it. Together
they are its *status*, which is what people are shown::

    wish      not running            running
    RUN       queued                 running
    PAUSE     paused                 pausing       after the running epochs nothing trains
    STOP      stopping               stopping      nothing new starts; the final stage runs
    CANCEL    cancelled              cancelling    all training ends
    none      its state              running
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from autokd.budget import Cost
from autokd.space import Architecture, Choice, Choices

Metrics = Mapping[str, float]


class TrialState(StrEnum):
    """Where a trial stands; the module's drawing shows the moves."""

    INFEASIBLE = "infeasible"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    FAILED = "failed"

    def is_finished(self) -> bool:
        """Whether no more training is planned for the trial as things stand."""
        return self not in (TrialState.QUEUED, TrialState.RUNNING)


class AttemptState(StrEnum):
    """Where a lease stands: RUNNING → DONE | FAILED | STOPPED (by us) | LOST (worker gone)."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"


class StudyState(StrEnum):
    """Where a study stands; the module's drawing shows the moves."""

    CREATED = "created"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"


class StudyWish(StrEnum):
    """What the owner of a study wants its coordinator to do with it."""

    RUN = "run"
    PAUSE = "pause"
    STOP = "stop"
    CANCEL = "cancel"

    def status(self, state: StudyState) -> str:
        """What people call a study of this wish and that state; see the module's drawing."""
        running, waiting = {
            StudyWish.RUN: ("running", "queued"),
            StudyWish.PAUSE: ("pausing", "paused"),
            StudyWish.STOP: ("stopping", "stopping"),
            StudyWish.CANCEL: ("cancelling", "cancelled"),
        }[self]
        return running if state is StudyState.RUNNING else waiting


class StopReason(StrEnum):
    """Why a study's search ended."""

    TRIALS = "trials"
    EPOCHS = "epochs"
    SECONDS = "seconds"
    FAILURES = "failures"
    CONVERGED = "converged"
    SPACE_EXHAUSTED = "space_exhausted"
    NOTHING_FEASIBLE = "nothing_feasible"
    ENOUGH = "enough"
    """The user wanted no more of the search, but its result."""
    USER = "user"
    COORDINATOR_ENDED = "coordinator_ended"
    """Nobody stopped it: it waits, and goes on with the next coordinator."""


class TrialKind(StrEnum):
    """What a trial is for."""

    SEARCH = "search"
    FINAL = "final"
    """Stage 2: a candidate of the front, trained in full and scored on the test split."""
    BASELINE = "baseline"
    """The same student as a FINAL trial, trained without the teacher."""
    FAMILY = "family"
    """A fresh draw of the generator that a FINAL trial's student is a draw of, trained like it."""


CHECKPOINT = "checkpoint.pt"
"""Name of the checkpoint that a runner writes into its attempt's folder."""

GAIN = "gain"
"""Note of a strategy that can tell: how much the suggestion is expected to improve the front, as a
multiple of what one standard deviation of a training's noise seems to bring."""

ASKED = "asked"
"""Note of a trial that a person asked for: it is run whatever limit has been reached."""

FIRST_FINAL_NUMBER = 1_000_000
"""Number of the first trial of the final stage; no search has so many."""


class FailureClass(StrEnum):
    """Why a trial failed. Only LOST_WORKER is retried: the others would fail again."""

    OUT_OF_MEMORY = "out_of_memory"
    NAN = "nan"
    LOST_WORKER = "lost_worker"
    STORAGE_FULL = "storage_full"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True)
class Failure:
    """Why a trial failed, as data."""

    failure_class: FailureClass
    message: str


class TrialFailed(Exception):
    """Raised in a worker to fail the trial with a class; never seen by a user."""

    def __init__(self, failure_class: FailureClass, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(failure_class, message)


@dataclass(frozen=True)
class Suggestion:
    """What a strategy wants to have evaluated next.

    Attributes:
        architecture: the student.
        distillation: value of every searched distillation parameter, `loss.parameter` → value.
        notes: JSON data that the strategy wants to find in the record with this trial.
    """

    architecture: Architecture
    distillation: Choices
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Predictions of about one confidence.

    Attributes:
        count: how many, at least 1.
        confidence: their mean confidence, in [0, 1].
        accuracy: share of right ones, in [0, 1].
    """

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a trial at the end of one rung.

    Attributes:
        epochs: epochs of training since initialisation.
        metrics: figures on the validation split (and on the test split in the final stage).
        calibration: for `validation` (and `test` in the final stage) the bins that the calibration
            error is an average over, by ascending confidence. The record gives them apart from
            their trial (`Store.calibration`).
    """

    epochs: int
    metrics: Metrics
    calibration: Mapping[str, Sequence[CalibrationBin]] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One evaluation of a candidate, as the record has it.

    Attributes:
        number: identifies the trial in its study, in the order of creation: from 0 in the search,
            from `FIRST_FINAL_NUMBER` in the final stage, so that the numbers of a search that is
            continued after a final stage are those of one that ran in one go.
        kind: what the trial is for.
        candidate: number of the candidate in the study, 0-based.
        architecture: the student.
        distillation: searched distillation parameters, `loss.parameter` → value.
        cost: measured figures of the student.
        repeat: 0-based index among the trials of one candidate that differ only in their seed.
        state: where the trial stands.
        epochs: epochs that the current rung ends at.
        evaluations: one for each finished rung, by ascending epochs.
        failure: set if and only if the state is FAILED.
        checkpoint: path of the newest checkpoint, relative to the study's folder.
        notes: what the strategy attached to its suggestion.
    """

    number: int
    kind: TrialKind
    candidate: int
    architecture: Architecture
    distillation: Choices
    cost: Cost
    repeat: int
    state: TrialState
    epochs: int
    evaluations: tuple[Evaluation, ...] = ()
    failure: Failure | None = None
    checkpoint: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def figures(self) -> Mapping[str, float]:
        """Cost and the metrics of the highest finished rung, by name."""
        newest = self.evaluations[-1].metrics if self.evaluations else {}
        return {**self.cost.figures(), **newest}

    def figures_at(self, epochs: int) -> dict[str, float] | None:
        """Cost and the metrics of the rung that ends at `epochs`; None if it was not finished."""
        for evaluation in self.evaluations:
            if evaluation.epochs == epochs:
                return {**self.cost.figures(), **evaluation.metrics}
        return None


@dataclass(frozen=True)
class Attempt:
    """One lease of a worker on a trial: all that the worker needs to know.

    Attributes:
        id: identifies the attempt in the record.
        token: fencing token; a write that carries another attempt's token is refused.
        trial: number of the trial.
        architecture: the student to build.
        distillation: searched distillation parameters; empty for a baseline.
        seed: seed of initialisation and sample order; equal for a trial and its promotions.
        epochs: train until this many epochs since initialisation.
        horizon: epochs over which the learning rate decays to zero; at least `epochs`.
        folder: the attempt's own folder, for its log and checkpoints.
        checkpoint: file to continue from, or None to start afresh.
        teach: whether the teacher guides the training (False for the no-KD baseline).
        test: whether to score the test split at the end (the final stage only).
        recorded: epochs whose figures are in the record; those after them that the checkpoint has
            are told again, since who heard of them may have died.
    """

    id: int
    token: str
    trial: int
    architecture: Architecture
    distillation: Mapping[str, Choice]
    seed: int
    epochs: int
    horizon: int
    folder: Path
    checkpoint: Path | None = None
    teach: bool = True
    test: bool = False
    recorded: int = 0
