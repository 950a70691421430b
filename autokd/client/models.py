"""What a server tells, as values: the fields of its API that programs use, and no rules.

Fields that a newer server adds are kept, so that `model_dump` gives all that was told. Accuracies
are shares in [0, 1], sizes bytes, moments in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Figures = dict[str, int | float | None]
Choices = dict[str, bool | int | float | str]


class Told(BaseModel):
    """Anything that a server tells."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)


class _Student(Told):
    """A student with whatever figures its study measures."""

    trial: int
    candidate: int
    epochs: int

    @property
    def figures(self) -> Mapping[str, float]:
        """Accuracies, parameters and the like, by name."""
        return {
            name: value
            for name, value in (self.model_extra or {}).items()
            if isinstance(value, int | float)
        }


class Row(_Student):
    """A trial of the front: its figures, and the choices that made it."""

    choices: Choices
    distillation: Choices


class FinalRow(_Student):
    """A candidate that was trained in full: means over its seeds, and without the teacher."""

    seeds: int


class Counts(Told):
    """Search trials by how they ended; `pruned` were stopped at a lower rung."""

    total: int
    complete: int
    pruned: int
    infeasible: int
    failed: int
    unfinished: int


class Objective(Told):
    """An axis of the front; the direction is `minimize` or `maximize`."""

    metric: str
    direction: str


class Study(Told):
    """A search and how far it got.

    Its state is one of `queued`, `running`, `pausing`, `paused`, `stopping`, `cancelling`,
    `cancelled`, `completed`, `stopped`, `failed` and `interrupted`.
    """

    id: str
    name: str
    state: str
    stop_reason: str | None
    error: str | None
    labels: dict[str, str]
    created: datetime
    updated: datetime
    deleted: datetime | None
    seconds: float
    objectives: list[Objective]
    budget: Figures
    limits: Figures
    teacher: Figures
    trials: Counts
    progress: float
    seconds_left: float | None
    best: Row | None
    front_size: int
    hypervolume: list[float]


class HealthNote(Told):
    """Something that the owner of a study should know; the level is `info` to `error`."""

    level: str
    code: str
    message: str


class TeacherEpoch(Told):
    """A finished epoch of the teacher's training."""

    epoch: int
    metrics: Figures


class StudyDetail(Study):
    """A study with its file and its results; `teacher_epoch` as long as the teacher trains."""

    spec: dict[str, Any]
    front: list[Row]
    final: list[FinalRow]
    health: list[HealthNote]
    teacher_epoch: TeacherEpoch | None


class Check(Told):
    """What a study means, without training."""

    study: str
    teacher: Figures
    smallest: Figures
    median: Figures
    largest: Figures
    budget: Figures
    feasible_share: float
    samples: int
    nearest: str | None
    workers: int
    teacher_seconds: float
    estimated_seconds: float


class Evaluation(Told):
    """Figures at the end of a rung."""

    epochs: int
    metrics: Figures


class Failure(Told):
    """Why a trial failed."""

    class_: str = Field(alias="class")
    message: str


class Trial(Told):
    """One evaluation of a candidate; `epochs` is where its rung ends."""

    number: int
    kind: str
    candidate: int
    state: str
    repeat: int
    epochs: int
    epochs_done: int
    figures: Figures
    evaluations: list[Evaluation]
    failure: Failure | None
    choices: Choices
    distillation: Choices
    notes: dict[str, Any]


class Attempt(Told):
    """One lease of a worker on a trial."""

    n: int
    state: str
    started: datetime
    ended: datetime | None
    message: str


class CalibrationBin(Told):
    """Predictions of about one confidence: how many, how sure on average, which share is right."""

    count: int
    confidence: float
    accuracy: float


class TrialDetail(Trial):
    """A trial with its attempts, and by split how well calibrated its student is."""

    attempts: list[Attempt]
    calibration: dict[str, list[CalibrationBin]]


class Candidate(Told):
    """An architecture with its distillation settings."""

    number: int
    trial: int
    state: str
    feasible: bool
    on_front: bool
    epochs: int
    figures: Figures
    choices: Choices
    distillation: Choices
    draw: int
    trials: list[int]
    final: FinalRow | None


class Place(Told):
    """A value on each of two axes; None where there is none."""

    x: float | None
    y: float | None


class Front(Told):
    """A Pareto front over two figures, and what stands around it."""

    x: Objective
    y: Objective
    front: list[Row]
    teacher: Place
    budget: Place
    hypervolume: float | None


class Operation(Told):
    """Work that takes longer than a request.

    Its state is one of `queued`, `running`, `succeeded`, `failed` and `cancelled`.
    """

    id: str
    kind: str
    study: str | None
    state: str
    done: bool
    request: dict[str, Any]
    response: dict[str, Any] | None
    error: dict[str, Any] | None


class ExportedFile(Told):
    """A file of a student; `verified` says what was seen to hold of it."""

    name: str
    bytes: int
    sha256: str
    verified: str | None


class Export(Told):
    """A student as files; `student` is what its `student.json` holds."""

    id: str
    study: str
    trial: int
    created: datetime
    files: list[ExportedFile]
    student: dict[str, Any]


class Upload(Told):
    """A file that was sent: `waiting` for its content, `ready`, or `refused`."""

    id: str
    kind: str
    name: str
    state: str
    bytes: int
    sha256: str | None
    error: str | None


class Token(Told):
    """Who may ask for what: `read`, `launch` or `admin`. The secret is told once, when it is made.

    `token` is None but for the one that `create` gives.
    """

    id: str
    name: str
    scope: str
    created: datetime
    expires: datetime | None
    last_used: datetime | None
    limits: Figures
    token: str | None = Field(None, repr=False)


class LogPart(Told):
    """A part of an attempt's log; `ended` says that nothing more will come."""

    trial: int
    attempt: int
    size: int
    offset: int
    next_offset: int
    text: str
    ended: bool


class Event(Told):
    """Something that happened: a change of a `study` or `trial`, an `epoch`, an `artifact`."""

    number: int
    study: str | None
    time: datetime
    kind: str
    data: dict[str, Any]
