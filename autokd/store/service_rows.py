"""The tables of the service: who may ask, what was asked, and what is told to others.

None of them is needed to search; a study that is run from the command line leaves them empty.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from autokd.store.rows import Message, Row


class OperationRow(Row):
    """Work that takes longer than a request, asked for by one.

    The study is named, not referred to: an operation outlives a study that it purges.
    """

    __tablename__ = "operation"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    study_id: Mapped[int | None] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(String(32), index=True)
    request: Mapped[dict[str, Any]]
    response: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    ended: Mapped[datetime | None]
    owner: Mapped[int | None]


class TokenRow(Row):
    """A secret that lets its holder ask; only its digest is kept.

    A browser's session is a token too, of short life, that ends with the one it was opened with.
    """

    __tablename__ = "token"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    parent: Mapped[int | None] = mapped_column(ForeignKey("token.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scope: Mapped[str] = mapped_column(String(32))
    limits: Mapped[dict[str, Any]]
    created: Mapped[datetime]
    expires: Mapped[datetime | None]
    last_used: Mapped[datetime | None]


class IdempotencyRow(Row):
    """A request that is to be done once, however often it comes, and its answer."""

    __tablename__ = "idempotency"

    owner: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(index=True)
    response: Mapped[dict[str, Any] | None]


class WebhookRow(Row):
    """An address that wants to be told of events, of those after `cursor`."""

    __tablename__ = "webhook"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    kinds: Mapped[dict[str, Any]]
    secret: Mapped[str] = mapped_column(String(200))
    created: Mapped[datetime]
    cursor: Mapped[int] = mapped_column(BigInteger)
    owner: Mapped[int | None]


class DeliveryRow(Row):
    """One message to a webhook and how far it got."""

    __tablename__ = "delivery"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(
        ForeignKey("webhook.id", ondelete="CASCADE"), index=True
    )
    event: Mapped[int | None] = mapped_column(BigInteger)
    body: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(32), index=True)
    attempts: Mapped[int]
    due: Mapped[datetime]
    created: Mapped[datetime]
    status: Mapped[int | None]
    message: Mapped[str] = mapped_column(Message)


class UploadRow(Row):
    """A file that a user sent: weights of a teacher, or a data set."""

    __tablename__ = "upload"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(32))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    summary: Mapped[dict[str, Any] | None]
    error: Mapped[str | None] = mapped_column(Message)
    created: Mapped[datetime]
    owner: Mapped[int | None]


class AuditRow(Row):
    """A request that changed something, or was refused."""

    __tablename__ = "audit"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[datetime] = mapped_column(index=True)
    token: Mapped[int | None]
    name: Mapped[str] = mapped_column(Message)
    operation: Mapped[str] = mapped_column(String(100))
    target: Mapped[str] = mapped_column(Message)
    status: Mapped[int]
    request_id: Mapped[str] = mapped_column(String(64))


class CoordinatorRow(Row):
    """A process that runs studies: it is alive as long as its heartbeat is young."""

    __tablename__ = "coordinator"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    started: Mapped[datetime]
    heartbeat: Mapped[datetime]
    slots: Mapped[int]
    shares: Mapped[dict[str, Any]]
