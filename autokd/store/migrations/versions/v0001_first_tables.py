"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_WORD = sa.String(32)
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """From an empty database."""
    _study()
    _candidate()
    _trial()
    _attempt()
    _metric()
    _artifact()
    _event()


def _study() -> None:
    op.create_table(
        "study",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("stop_reason", _WORD),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("teacher", sa.JSON),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        sqlite_autoincrement=True,
    )


def _candidate() -> None:
    op.create_table(
        "candidate",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("architecture", sa.JSON, nullable=False),
        sa.Column("distillation", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("study_id", "hash"),
        sa.UniqueConstraint("study_id", "number"),
    )


def _trial() -> None:
    op.create_table(
        "trial",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("candidate_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("cost", sa.JSON, nullable=False),
        sa.Column("repeat", sa.Integer, nullable=False),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("epochs", sa.Integer, nullable=False),
        sa.Column("trained", sa.Integer, nullable=False),
        sa.Column("evaluations", sa.JSON, nullable=False),
        sa.Column("failure_class", _WORD),
        sa.Column("failure_message", sa.Text),
        sa.Column("checkpoint", sa.Text),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("study_id", "number"),
    )
    op.create_index(None, "trial", ["candidate_id"])


def _attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("trial_id", sa.Integer, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("lease_until", _MOMENT, nullable=False),
        sa.Column("started", _MOMENT, nullable=False),
        sa.Column("ended", _MOMENT),
        sa.Column("message", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("trial_id", "n"),
    )
    op.create_index(None, "attempt", ["state"])


def _metric() -> None:
    op.create_table(
        "metric",
        sa.Column("trial_id", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("value", sa.Double),
        sa.PrimaryKeyConstraint("trial_id", "epoch", "name"),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"], ondelete="CASCADE"),
    )


def _artifact() -> None:
    op.create_table(
        "artifact",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("trial_id", sa.Integer),
        sa.Column("kind", sa.String(100), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"], ondelete="CASCADE"),
    )
    op.create_index(None, "artifact", ["study_id"])
    op.create_index(None, "artifact", ["trial_id"])


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("time", _MOMENT, nullable=False),
        sa.Column("kind", sa.String(100), nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("study_id", "number"),
    )
