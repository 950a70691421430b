"""What the store gives back beside `Trial`: frozen values, free of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from autokd.trial import AttemptState, StopReason, StudyState, StudyWish


@dataclass(frozen=True)
class StudyRecord:
    """A study without its trials.

    Attributes:
        id: identifies the study in the database; never given twice.
        name: unique in the database.
        spec: the study file as JSON data.
        state: where the study stands.
        stop_reason: why its search ended, if it did.
        created: when, in UTC.
        seconds: wall time spent searching, over all runs.
        teacher: figures of the teacher, once they are known.
        folder: where the study's logs, checkpoints and exports lie; it may not exist yet.
        wish: what a coordinator is to do with it; None: nothing.
        error: why it failed, if it did.
        labels: words of its owner, by name.
        owner: id of the token that it was created with; None: created on this machine.
        updated: when something last happened in it, in UTC.
        deleted: when it was deleted, in UTC, if it may still be brought back.
        version: counts the changes that people made to it.
        events: how many events it has, which is the number of the newest.
    """

    id: int
    name: str
    spec: Mapping[str, Any]
    state: StudyState
    stop_reason: StopReason | None
    created: datetime
    seconds: float
    teacher: Mapping[str, Any] | None
    folder: Path
    wish: StudyWish | None
    error: str | None
    labels: Mapping[str, str]
    owner: int | None
    updated: datetime
    deleted: datetime | None
    version: int
    events: int

    @property
    def status(self) -> str:
        """What people call its state; see the drawing in `autokd.trial`."""
        return self.wish.status(self.state) if self.wish else self.state.value


@dataclass(frozen=True)
class AttemptRecord:
    """One lease of a worker on a trial.

    Attributes:
        id: identifies the attempt in the database.
        token: fencing token; random, since it is an identity and no part of the experiment.
        trial: number of the trial.
        n: 1, 2, 3, … among the attempts of the trial.
        state: where the lease stands.
        lease_until: when the worker counts as lost unless the lease is renewed, in UTC.
        started: when, in UTC.
        ended: when, in UTC; None while it runs.
        message: why it failed or was lost; else empty.
    """

    id: int
    token: str
    trial: int
    n: int
    state: AttemptState
    lease_until: datetime
    started: datetime
    ended: datetime | None
    message: str

    @property
    def folder(self) -> str:
        """The attempt's own folder, relative to the study's."""
        return f"trials/{self.trial}/attempt-{self.n}"


@dataclass(frozen=True)
class ArtifactRecord:
    """A file that a study made and keeps.

    Attributes:
        id: identifies the artefact in the database.
        trial: number of the trial it belongs to; None if it belongs to the whole study.
        kind: what it is, a short fixed word.
        path: relative to the study's folder.
        sha256: of its content, 64 hexadecimal digits.
        size_bytes: its size.
        created: when, in UTC.
        notes: further JSON data.
    """

    id: int
    trial: int | None
    kind: str
    path: str
    sha256: str
    size_bytes: int
    created: datetime
    notes: Mapping[str, Any]


@dataclass(frozen=True)
class EventRecord:
    """Something that happened in a study.

    Attributes:
        id: ascends over all studies, in the order in which the events can be seen.
        study: id of the study.
        number: 1, 2, 3, … in the study, in the order in which it happened.
        time: when, in UTC.
        kind: `study` or `trial` for a change of state, `epoch` and `teacher_epoch` for a finished
            epoch, else a word of the one who wrote it.
        data: JSON data; the new `state` for a change of state, and the number of the `trial`.
    """

    id: int
    study: int
    number: int
    time: datetime
    kind: str
    data: Mapping[str, Any]
