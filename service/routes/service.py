"""The service itself: its version, its workers, its disk, and what was done with it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import Field

import autokd
from autokd.errors import NotFoundError
from autokd.files import bytes_in
from autokd.store import AuditRecord, CoordinatorRecord, Store
from autokd.trial import AttemptState
from service.access import Admin, Reader
from service.context import SettingsOf, StoreOf
from service.names import Kind, id_of
from service.paging import PagingOf
from service.problems import RESPONSES
from service.schemas import Moment, Page, Told

router = APIRouter(tags=["service"], responses=RESPONSES)

ALIVE = timedelta(seconds=20)
"""A coordinator whose last heartbeat is older is taken for dead."""


class Meta(Told):
    """What this service is."""

    version: str
    api: str = Field(examples=["v1"])
    authentication: bool


class RunningStudy(Told):
    """A study that has slots."""

    study: str
    name: str
    slots: int
    trials: list[int] = Field(description="Numbers of the trials that run.")


class Worker(Told):
    """A coordinator with its slots."""

    id: str
    host: str
    pid: int
    started: Moment
    heartbeat: Moment
    alive: bool
    slots: int
    running: list[RunningStudy]


class StudyBytes(Told):
    """What a study takes on disk."""

    study: str
    name: str
    bytes: int
    deleted: bool


class Storage(Told):
    """What the service takes on disk, in bytes."""

    free_bytes: int
    bytes: dict[str, int]
    studies: list[StudyBytes] = Field(description="Largest first.")


class AuditEvent(Told):
    """A request that changed something, or was refused."""

    number: int
    time: Moment
    token: str | None
    name: str
    operation: str
    target: str
    status: int
    request_id: str


@router.get("/meta", response_model=Meta)
def read_meta(settings: SettingsOf) -> Any:
    """Says what this service is; needs no token."""
    return {
        "version": autokd.__version__,
        "api": "v1",
        "authentication": settings.authentication,
    }


@router.get("/workers", response_model=Page[Worker])
def list_workers(_caller: Reader, store: StoreOf, paging: PagingOf) -> Any:
    """Lists coordinators, with the studies that they run."""
    return paging.page(store.coordinators(), lambda each: _worker(each, store))


@router.get("/storage", response_model=Storage)
def read_storage(_caller: Reader, store: StoreOf) -> Any:
    """Says what is on disk; takes longer when there is much."""
    files = store.files
    studies = [
        {
            "study": id_of(Kind.STUDY, study.id),
            "name": study.name,
            "bytes": bytes_in(study.folder),
            "deleted": study.deleted is not None,
        }
        for study in [*store.studies(), *store.studies(deleted=True)]
    ]
    files.mkdir(parents=True, exist_ok=True)
    return {
        "free_bytes": shutil.disk_usage(files).free,
        "bytes": {
            "database": _database_bytes(store),
            "studies": sum(study["bytes"] for study in studies),
            "uploads": bytes_in(files / "uploads"),
            "teachers": bytes_in(files / "teachers"),
            "teacher_outputs": bytes_in(files / "teacher-outputs"),
        },
        "studies": sorted(studies, key=lambda study: -study["bytes"]),
    }


@router.get("/audit_events", response_model=Page[AuditEvent])
def list_audit_events(_caller: Admin, store: StoreOf, paging: PagingOf) -> Any:
    """Lists requests that changed something or were refused, newest first."""
    found = store.audits(paging.start or None, paging.size)  # a page begins after an event's id
    more = len(found) == paging.size
    return {
        "items": [_audit(each) for each in found],
        "next_page_token": paging.token(found[-1].id) if more else None,
        "total": store.count_audits(),
    }


def _worker(coordinator: CoordinatorRecord, store: Store) -> dict[str, Any]:
    running = []
    for number, slots in coordinator.shares.items():
        try:
            study = store.study(int(number))
        except NotFoundError:  # purged since
            continue
        attempts = store.running_attempts(study.id)
        trials = [each.trial for each in attempts if each.state is AttemptState.RUNNING]
        running.append(
            {
                "study": id_of(Kind.STUDY, study.id),
                "name": study.name,
                "slots": slots,
                "trials": trials,
            }
        )
    return {
        "id": f"wrk_{coordinator.id}",
        "host": coordinator.host,
        "pid": coordinator.pid,
        "started": coordinator.started,
        "heartbeat": coordinator.heartbeat,
        "alive": datetime.now(UTC) - coordinator.heartbeat < ALIVE,
        "slots": coordinator.slots,
        "running": running,
    }


def _audit(event: AuditRecord) -> dict[str, Any]:
    return {
        "number": event.id,
        "time": event.time,
        "token": id_of(Kind.TOKEN, event.token) if event.token else None,
        "name": event.name,
        "operation": event.operation,
        "target": event.target,
        "status": event.status,
        "request_id": event.request_id,
    }


def _database_bytes(store: Store) -> int:
    """Of a SQLite file with its log; 0 where the database is a server's."""
    if not store.url.startswith("sqlite:///"):
        return 0
    name = store.url.removeprefix("sqlite:///").partition("?")[0]
    files = [Path(name + suffix) for suffix in ("", "-wal", "-shm")]
    return sum(file.stat().st_size for file in files if file.exists())
