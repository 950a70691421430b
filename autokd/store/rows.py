"""The tables of studies; those of the service around them are in `service_rows`.

::

    study ──< candidate ──< trial ──< attempt        a lease of a worker
      │                       ├─────< metric         one figure of one epoch
      ├──< event              └─────< artifact
      └──< artifact

Nothing in them is particular to SQLite. Figures that are always read together are one JSON column
(`trial.cost`, `trial.evaluations`); the curves, which are read one trial at a time, are rows.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from autokd.trial import (
    AttemptState,
    FailureClass,
    StopReason,
    StudyState,
    StudyWish,
    TrialKind,
    TrialState,
)

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment; always aware of its time zone, which is UTC (SQLite forgets time zones)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """In UTC. Raises ValueError for a moment without time zone."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"expected a datetime with a time zone, got {value!r}")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """In UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Figure(TypeDecorator[float]):
    """A float in full precision. NaN is stored as NULL, which is what SQLite makes of it."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """NULL for NaN."""
        return None if value is None or math.isnan(value) else float(value)

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        """NaN for NULL."""
        return math.nan if value is None else value


class Message(TypeDecorator[str]):
    """Text from outside. What no database takes (NUL, half a surrogate pair) is spelled out."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Text that every database takes."""
        if value is None:
            return None
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _word(words: type[StrEnum]) -> Enum:
    """A column of one of a few words, kept as text: a new word needs no migration."""
    return Enum(
        words,
        native_enum=False,
        length=32,
        values_callable=lambda enum: [word.value for word in enum],
    )


class Row(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[dict[str, Any]]: JSON(none_as_null=True),
        **{
            words: _word(words)
            for words in (
                AttemptState,
                FailureClass,
                StopReason,
                StudyState,
                StudyWish,
                TrialKind,
                TrialState,
            )
        },
    }


def _study_id() -> Mapped[int]:
    return mapped_column(ForeignKey("study.id", ondelete="CASCADE"))


class StudyRow(Row):
    """A spec, how far its search got, and what is wanted of it.

    `version` counts the changes that people made, `events` the events.
    """

    __tablename__ = "study"
    # The id names a folder, so that of a deleted study must not come back.
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    spec: Mapped[dict[str, Any]]
    state: Mapped[StudyState]
    stop_reason: Mapped[StopReason | None]
    created: Mapped[datetime]
    seconds: Mapped[float] = mapped_column(Double)
    teacher: Mapped[dict[str, Any] | None]
    wish: Mapped[StudyWish | None] = mapped_column(index=True)
    error: Mapped[str | None] = mapped_column(Message)
    labels: Mapped[dict[str, Any]]
    owner: Mapped[int | None]
    updated: Mapped[datetime]
    deleted: Mapped[datetime | None]
    version: Mapped[int]
    events: Mapped[int]


class CandidateRow(Row):
    """A unique architecture + distillation setting of a study."""

    __tablename__ = "candidate"
    __table_args__ = (UniqueConstraint("study_id", "hash"), UniqueConstraint("study_id", "number"))

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = _study_id()
    number: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))
    architecture: Mapped[dict[str, Any]]
    distillation: Mapped[dict[str, Any]]


class TrialRow(Row):
    """One evaluation of a candidate.

    `epochs` is the goal and `trained` how far it got; `changed` is the number of the study's event
    that changed it last. `calibration` is that of the newest evaluation and stands apart, since it
    is large, and read for one trial at a time.
    """

    __tablename__ = "trial"
    __table_args__ = (UniqueConstraint("study_id", "number"), Index(None, "study_id", "changed"))

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = _study_id()
    candidate_id: Mapped[int] = mapped_column(
        ForeignKey("candidate.id", ondelete="CASCADE"), index=True
    )
    number: Mapped[int]
    kind: Mapped[TrialKind]
    cost: Mapped[dict[str, Any]]
    repeat: Mapped[int]
    state: Mapped[TrialState]
    epochs: Mapped[int]
    trained: Mapped[int]
    evaluations: Mapped[list[dict[str, Any]]]
    calibration: Mapped[dict[str, Any] | None]
    failure_class: Mapped[FailureClass | None]
    failure_message: Mapped[str | None] = mapped_column(Message)
    checkpoint: Mapped[str | None] = mapped_column(Text)
    notes: Mapped[dict[str, Any]]
    changed: Mapped[int]


class AttemptRow(Row):
    """One lease of a worker on a trial."""

    __tablename__ = "attempt"
    __table_args__ = (UniqueConstraint("trial_id", "n"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("trial.id", ondelete="CASCADE"))
    n: Mapped[int]
    token: Mapped[str] = mapped_column(String(32))
    state: Mapped[AttemptState] = mapped_column(index=True)
    lease_until: Mapped[datetime]
    started: Mapped[datetime]
    ended: Mapped[datetime | None]
    message: Mapped[str] = mapped_column(Message)


class MetricRow(Row):
    """One figure of one epoch of a trial; the key makes recording it twice harmless."""

    __tablename__ = "metric"

    trial_id: Mapped[int] = mapped_column(
        ForeignKey("trial.id", ondelete="CASCADE"), primary_key=True
    )
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[float] = mapped_column(Figure, nullable=True)


class ArtifactRow(Row):
    """A file that a study made and keeps."""

    __tablename__ = "artifact"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"), index=True)
    trial_id: Mapped[int | None] = mapped_column(
        ForeignKey("trial.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str] = mapped_column(String(100))
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime]
    notes: Mapped[dict[str, Any]]


class EventRow(Row):
    """Something that happened in a study, numbered from 1 without gaps.

    The ids number the events of all studies in the order in which they can be seen.
    """

    __tablename__ = "event"
    # A reader goes on from the last id that it saw, so an id must not come back.
    __table_args__ = (UniqueConstraint("study_id", "number"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = _study_id()
    number: Mapped[int]
    time: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(100))
    data: Mapped[dict[str, Any]]
