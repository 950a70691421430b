"""What the store gives back of the service's tables: frozen values, free of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self

from autokd.store.rows import Row


@dataclass(frozen=True)
class _Record:
    @classmethod
    def of(cls, row: Row) -> Self:
        """The values of a row, by the names of its columns."""
        return cls(**{field.name: getattr(row, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class OperationRecord(_Record):
    """Work that takes longer than a request.

    Attributes:
        id: identifies it in the database.
        kind: `export`, `purge`, `retry`, `cancel_trial` or `enqueue`.
        study_id: of the study it is about.
        state: `queued`, `running`, `succeeded`, `failed` or `cancelled`.
        request: what was asked for.
        response: what came of it; set if and only if it succeeded.
        error: why it failed: `class`, `message`, `hint` and `exit_code`.
        created: when it was asked for, in UTC.
        started: when it was begun.
        ended: when it was done.
        owner: id of the token it was asked for with.
    """

    id: int
    kind: str
    study_id: int | None
    state: str
    request: Mapping[str, Any]
    response: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    owner: int | None

    @property
    def done(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class TokenRecord(_Record):
    """Who may ask for what.

    Attributes:
        id: identifies it in the database.
        parent: id of the token that this session was opened with; None for a token proper.
        name: what its owner calls it.
        scope: `read`, `launch` or `admin`; each includes those before it.
        limits: largest numbers of its holder's `studies` under way, `slots` and `disk_bytes`.
        created: when, in UTC.
        expires: when it ends; None: never.
        last_used: to the minute; None: never.
    """

    id: int
    parent: int | None
    name: str
    scope: str
    limits: Mapping[str, int]
    created: datetime
    expires: datetime | None
    last_used: datetime | None


@dataclass(frozen=True)
class WebhookRecord(_Record):
    """An address that wants to be told of events.

    Attributes:
        id: identifies it in the database.
        url: where to.
        kinds: the kinds of events it wants, as `{"any": [...]}`.
        secret: what messages to it are signed with.
        created: when, in UTC.
        owner: id of the token it was made with.
    """

    id: int
    url: str
    kinds: Mapping[str, Any]
    secret: str
    created: datetime
    owner: int | None


@dataclass(frozen=True)
class DeliveryRecord(_Record):
    """One message to a webhook.

    Attributes:
        id: identifies it in the database.
        webhook_id: the webhook.
        event: id of the event it tells of; None for a test.
        body: what is sent.
        state: `pending`, `delivered` or `failed`.
        attempts: how often it was tried.
        due: when it is to be tried next, in UTC.
        created: when, in UTC.
        status: HTTP status of the last answer, if there was one.
        message: why the last attempt failed; else empty.
    """

    id: int
    webhook_id: int
    event: int | None
    body: Mapping[str, Any]
    state: str
    attempts: int
    due: datetime
    created: datetime
    status: int | None
    message: str


@dataclass(frozen=True)
class UploadRecord(_Record):
    """A file that a user sent.

    Attributes:
        id: identifies it in the database.
        kind: `teacher` (safetensors) or `data` (npz).
        name: what its owner calls it.
        state: `waiting` for its content, `ready`, or `refused`.
        size_bytes: of what has arrived.
        sha256: of its content.
        summary: what it holds.
        error: why it was refused.
        created: when, in UTC.
        owner: id of the token it was sent with.
    """

    id: int
    kind: str
    name: str
    state: str
    size_bytes: int
    sha256: str | None
    summary: Mapping[str, Any] | None
    error: str | None
    created: datetime
    owner: int | None


@dataclass(frozen=True)
class AuditRecord(_Record):
    """A request that changed something, or was refused.

    Attributes:
        id: ascending.
        time: when, in UTC.
        token: id of the token it came with, if any.
        name: that token's name.
        operation: id of the operation in the API.
        target: path of the request.
        status: HTTP status of the answer.
        request_id: the request's id in the logs.
    """

    id: int
    time: datetime
    token: int | None
    name: str
    operation: str
    target: str
    status: int
    request_id: str


@dataclass(frozen=True)
class CoordinatorRecord(_Record):
    """A process that runs studies.

    Attributes:
        id: identifies it in the database.
        host: name of its machine.
        pid: its process there.
        started: when, in UTC.
        heartbeat: when it last said that it lives.
        slots: how many trials it runs at a time.
        shares: slots of each study that it runs, by the study's id as text.
    """

    id: int
    host: str
    pid: int
    started: datetime
    heartbeat: datetime
    slots: int
    shares: Mapping[str, int]
