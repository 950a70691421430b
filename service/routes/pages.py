"""What is no part of the API: the dashboard, health, figures for Prometheus, documentation."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import FileResponse, PlainTextResponse, Response

from autokd.trial import StudyState
from service.access import Reader
from service.context import StoreOf
from service.middleware import Figures
from service.problems import Refusal

_LOG = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)

DASHBOARD = Path(__file__).resolve().parent.parent / "dashboard"
_LEAST_FREE_BYTES = 100 * 2**20
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


@router.get("/healthz")
async def healthz() -> PlainTextResponse:
    """Whether the process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
def readyz(store: StoreOf) -> PlainTextResponse:
    """Whether requests can be served: the database answers, the disk is there and has room."""
    store.last_event()
    try:
        store.files.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(store.files).free
    except OSError as error:
        _LOG.error("%s", error)
        raise Refusal(503, "storage_unavailable", "the folder of files can not be used") from error
    if free < _LEAST_FREE_BYTES:
        raise Refusal(503, "storage_full", f"only {free} bytes are free for files")
    return PlainTextResponse("ready\n")


@router.get("/metrics")
def metrics(request: Request, _caller: Reader, store: StoreOf) -> Response:
    """Figures for Prometheus."""
    figures: Figures = request.app.state.figures
    studies = store.studies()
    for each in StudyState:
        figures.studies.labels(each.value).set(sum(study.state is each for study in studies))
    figures.readers.set(request.app.state.feed.listeners)
    figures.slots.set(sum(each.slots for each in store.coordinators()))
    return Response(generate_latest(figures.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/v1/docs")
def docs() -> FileResponse:
    """The API's documentation, which is a page of the dashboard and works offline."""
    return _file("docs.html")


@router.get("/")
@router.get("/login")
@router.get("/studies")
@router.get("/studies/{study}")
@router.get("/studies/{study}/analyse")
@router.get("/studies/{study}/candidates")
@router.get("/studies/{study}/candidates/{candidate}")
@router.get("/compare")
@router.get("/workers")
@router.get("/settings")
def page() -> FileResponse:
    """The dashboard, which finds its page by the address."""
    return _file("index.html")


def not_found(request: Request) -> Response | None:
    """The dashboard for people who went where no page is; None for programs, and for its own parts.

    It finds no page for the address either, and says so.
    """
    is_elsewhere = not request.url.path.startswith(("/api/", "/static/"))
    if is_elsewhere and "text/html" in request.headers.get("accept", ""):
        return _file("index.html", status=404)
    return None


@router.get("/static/{name:path}")
def static(name: str) -> FileResponse:
    """A file of the dashboard."""
    return _file(name)


def _file(name: str, status: int = 200) -> FileResponse:
    try:
        path = (DASHBOARD / name).resolve()
        found = path.is_relative_to(DASHBOARD) and path.suffix in _TYPES and path.is_file()
    except (OSError, ValueError):  # too long for a name, or with a NUL in it
        found = False
    if not found:
        raise Refusal(404, "not_found", "there is no such file")
    headers: dict[str, Any] = {"Cache-Control": "no-cache"}
    return FileResponse(path, status, media_type=_TYPES[path.suffix], headers=headers)
