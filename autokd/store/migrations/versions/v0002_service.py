"""What a service needs: wishes and labels of studies, and tables of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_WORD = sa.String(32)
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """From a record of studies alone."""
    _study()
    _trial()
    _event()
    _operation()
    _token()
    _idempotency()
    _webhook()
    _delivery()
    _upload()
    _audit()
    _coordinator()


def _study() -> None:
    with op.batch_alter_table("study", table_kwargs={"sqlite_autoincrement": True}) as study:
        study.alter_column("name", existing_type=sa.String(100), type_=sa.String(120))
        study.add_column(sa.Column("wish", _WORD))
        study.add_column(sa.Column("error", sa.Text))
        study.add_column(sa.Column("labels", sa.JSON))
        study.add_column(sa.Column("owner", sa.Integer))
        study.add_column(sa.Column("updated", _MOMENT))
        study.add_column(sa.Column("deleted", _MOMENT))
        study.add_column(sa.Column("version", sa.Integer))
        study.add_column(sa.Column("events", sa.Integer))
        study.create_index("ix_study_wish", ["wish"])
    op.execute(
        "UPDATE study SET labels = '{}', version = 1,"
        " events = (SELECT COALESCE(MAX(number), 0) FROM event WHERE event.study_id = study.id),"
        " updated = (SELECT COALESCE(MAX(time), study.created) FROM event"
        " WHERE event.study_id = study.id)"
    )
    with op.batch_alter_table("study", table_kwargs={"sqlite_autoincrement": True}) as study:
        for name, kind in (
            ("labels", sa.JSON()),
            ("updated", _MOMENT),
            ("version", sa.Integer()),
            ("events", sa.Integer()),
        ):
            study.alter_column(name, existing_type=kind, nullable=False)


def _trial() -> None:
    with op.batch_alter_table("trial") as trial:
        trial.add_column(sa.Column("changed", sa.Integer))
    # Who has read none of the events yet reads all trials anyway.
    op.execute("UPDATE trial SET changed = 1")
    with op.batch_alter_table("trial") as trial:
        trial.alter_column("changed", existing_type=sa.Integer(), nullable=False)
        trial.create_index("ix_trial_study_id_trial_changed", ["study_id", "changed"])


def _event() -> None:
    if op.get_context().dialect.name == "sqlite":
        # Made anew, so that the ids of removed events are not given again.
        with op.batch_alter_table(
            "event", recreate="always", table_kwargs={"sqlite_autoincrement": True}
        ):
            pass


def _operation() -> None:
    op.create_table(
        "operation",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("study_id", sa.Integer),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("response", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("started", _MOMENT),
        sa.Column("ended", _MOMENT),
        sa.Column("owner", sa.Integer),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_operation_study_id", "operation", ["study_id"])
    op.create_index("ix_operation_state", "operation", ["state"])


def _token() -> None:
    op.create_table(
        "token",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("parent", sa.Integer),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scope", _WORD, nullable=False),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("expires", _MOMENT),
        sa.Column("last_used", _MOMENT),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["parent"], ["token.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("digest"),
        sqlite_autoincrement=True,
    )


def _idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.Integer, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("response", sa.JSON),
        sa.PrimaryKeyConstraint("owner", "key"),
    )
    op.create_index("ix_idempotency_created", "idempotency", ["created"])


def _webhook() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("kinds", sa.JSON, nullable=False),
        sa.Column("secret", sa.String(200), nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Integer),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("webhook_id", sa.Integer, nullable=False),
        sa.Column("event", sa.BigInteger),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", _MOMENT, nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("message", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_delivery_webhook_id", "delivery", ["webhook_id"])
    op.create_index("ix_delivery_state", "delivery", ["state"])


def _upload() -> None:
    op.create_table(
        "upload",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("summary", sa.JSON),
        sa.Column("error", sa.Text),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("owner", sa.Integer),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("time", _MOMENT, nullable=False),
        sa.Column("token", sa.Integer),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("operation", sa.String(100), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_time", "audit", ["time"])


def _coordinator() -> None:
    op.create_table(
        "coordinator",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started", _MOMENT, nullable=False),
        sa.Column("heartbeat", _MOMENT, nullable=False),
        sa.Column("slots", sa.Integer, nullable=False),
        sa.Column("shares", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
