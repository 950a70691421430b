"""What holds for every request, whatever it asks for: host, size, headers, log, audit, figures."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from http import HTTPStatus

from anyio import to_thread
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autokd.store import Store
from service import logs
from service.access import SAFE_METHODS
from service.problems import ENDLESS, MEDIA_TYPE, Problem
from service.redaction import redact
from service.settings import Settings

_LOG = logging.getLogger("service.requests")

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}

_LOGIN = "open_session"
_LOGIN_SECONDS = 1.0
"""Of failed logins that follow each other faster than this, the first is audited."""

_UNKNOWN = "unknown"

_PORT = re.compile(r":[0-9]*$")
_LENGTH = re.compile(r"[0-9]{1,18}")


class Figures:
    """Counts of requests, for Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "autokd_requests",
            "Requests by operation and status.",
            ["operation", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "autokd_request_seconds",
            "Time to the end of the answer, by operation.",
            ["operation"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
        )
        self.studies = Gauge(
            "autokd_studies", "Studies by state.", ["state"], registry=self.registry
        )
        self.readers = Gauge("autokd_event_readers", "Open streams.", registry=self.registry)
        self.slots = Gauge("autokd_slots", "Of all coordinators.", registry=self.registry)


class Envelope:
    """Goes around the whole app.

    It refuses hosts that the service does not answer to and bodies that are too large, gives each
    request an id and each answer its headers, answers HEAD as GET without a body, and notes what
    was asked.
    """

    def __init__(self, app: ASGIApp, settings: Settings, figures: Figures, store: Store) -> None:
        self.app = app
        self.settings = settings
        self.store = store
        self.figures = figures
        self._login_noted = -math.inf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = logs.request_id_of(headers.get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 0  # no answer yet
        is_head = scope["method"] == "HEAD" and scope["path"] != ENDLESS
        asked = _as_get(scope) if is_head else scope

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = MutableHeaders(scope=message)
                for name, value in {**_HEADERS, "x-request-id": request_id}.items():
                    given.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    given.setdefault("cache-control", "no-store")
            elif is_head and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        token = logs.request_id.set(request_id)
        try:
            refusal = self._refusal(scope, headers)
            if refusal is not None:
                await _send(refusal, scope, answer)
            else:
                limit = math.inf if _is_upload(scope) else self.settings.body_bytes
                await self.app(asked, _limited(receive, limit), answer)
        except ClientDisconnect:
            _LOG.info("the sender hung up")
        except Exception:  # the last place where a request can be answered
            _LOG.exception("%s %s", scope["method"], scope["path"])
            if status:
                raise
            await _send(_UNEXPECTED, scope, answer)
        finally:
            scope["route"] = asked.get("route")
            self._note(scope, status, time.perf_counter() - began)
            await self._audit(scope, status, request_id)
            logs.request_id.reset(token)

    def _refusal(self, scope: Scope, headers: Headers) -> Problem | None:
        host = _PORT.sub("", headers.get("host", ""))
        if host.lower() not in self.settings.hosts:
            return Problem(
                title="Misdirected Request",
                status=421,
                code="unknown_host",
                detail=f"this service does not answer to the name {host[:100]!r}",
                hint="name it in AUTOKD_ALLOWED_HOSTS",
            )
        length = headers.get("content-length", "0")
        if not _LENGTH.fullmatch(length):
            return Problem(
                title="Bad Request",
                status=400,
                code="invalid_request",
                detail="expected a content-length of at most 18 digits",
            )
        if not _is_upload(scope) and int(length) > self.settings.body_bytes:
            return _too_large(self.settings.body_bytes)
        return None

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        operation = _operation(scope)
        self.figures.requests.labels(operation, status).inc()
        self.figures.seconds.labels(operation).observe(seconds)
        level = logging.WARNING if status >= 500 else logging.INFO
        _LOG.log(
            level,
            "%s %s %d",
            scope["method"],
            scope["path"],
            status,
            extra={"operation": operation, "milliseconds": round(1000 * seconds, 1)},
        )

    async def _audit(self, scope: Scope, status: int, request_id: str) -> None:
        """Who changed something, or tried what they may not.

        The unknown are in the log only, but for those who try to log in.
        """
        if scope["method"] in SAFE_METHODS and status not in (401, 403):
            return
        if not scope["path"].startswith("/api/"):
            return
        caller = scope["state"].get("caller")
        if caller is None and not self._is_login_to_note(scope):
            return

        def write() -> None:
            self.store.add_audit(
                token=caller.id if caller else None,
                name=caller.name if caller else _UNKNOWN,
                operation=_operation(scope),
                target=redact(scope["path"])[:500],
                status=status,
                request_id=request_id,
            )

        try:
            await to_thread.run_sync(write)
        except Exception:  # the answer is out; what can not be written there goes into the log
            _LOG.exception("the audit log could not be written")

    def _is_login_to_note(self, scope: Scope) -> bool:
        """Whether it is a login, and none that came just after another one.

        Whoever tries thousands of tokens is not to fill the database.
        """
        now = time.monotonic()
        if _operation(scope) != _LOGIN or now - self._login_noted < _LOGIN_SECONDS:
            return False
        self._login_noted = now
        return True


def _as_get(scope: Scope) -> Scope:
    """What a HEAD asks about; parts of it are for GET alone (RFC 9110, 14.2)."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
    return {**scope, "method": "GET", "headers": headers}


def _limited(receive: Receive, limit: float) -> Receive:
    """Receives at most so many bytes; a sender need not say how many come."""
    taken = 0

    async def take() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise HTTPException(413, f"expected a body of at most {limit} bytes")
        return message

    return take


def _is_upload(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] == "PUT" and path.startswith("/api/v1/uploads/")


_UNEXPECTED = Problem(
    title="Internal Server Error",
    status=500,
    code="unexpected",
    detail="something went wrong that should not have",
    hint="the server's log says more, under this request id",
)


def _too_large(limit: int) -> Problem:
    return Problem(
        title=HTTPStatus(413).phrase,
        status=413,
        code="too_large",
        detail=f"expected a body of at most {limit} bytes",
        hint="files go through /api/v1/uploads",
    )


async def _send(problem: Problem, scope: Scope, send: Send) -> None:
    """Answers without the app."""
    document = problem.model_copy(
        update={"instance": redact(scope["path"]), "request_id": scope["state"]["request_id"]}
    )
    body = json.dumps(document.model_dump(exclude_none=True)).encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _operation(scope: Scope) -> str:
    route = scope.get("route")
    return getattr(route, "operation_id", None) or getattr(route, "name", None) or "none"
