"""Errors as problem documents (RFC 9457): one mapping, from what went wrong to what is said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from autokd import errors
from autokd.inspector import InspectorBusyError, InspectorError, InspectorTimeoutError
from autokd.store import ReusedKeyError
from service.outbound import UrlRefusedError
from service.redaction import redact
from service.tokens import TokenError
from service.uploads import TooLargeError, UploadError

_LOG = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

ENDLESS = "/api/v1/events"
"""The one path whose GET has no end, so that a HEAD can not be answered like it."""

_MOST_FIELDS = 100
_SHOWN = 100

_UNTOLD = {
    "database_unavailable": "the database does not answer in time; it may do so later",
    "database_version": "the database is of another version than this service",
    "check_failed": "the process that knows networks could not answer",
    "storage_full": "the server's disk is full; nothing was changed",
    "verification_failed": "a file does not compute what it should",
}
"""What is said in place of an error, which may name files and hosts of the server."""


_PASSING = ("check_busy", "database_unavailable")
"""What is over soon, so that asking again is worth while."""


class FieldProblem(BaseModel):
    """One thing that is wrong in a request."""

    pointer: str = Field(description="Where, as a JSON pointer into the body, or a parameter.")
    message: str = Field(description="What was expected, and what was got.")
    hint: str | None = Field(None, description="What to do.")


class Problem(BaseModel):
    """Why a request was not done (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "there is no study 'digitz'",
                "code": "not_found",
                "hint": "did you mean 'digits'?",
                "request_id": "5f0c6a8e2b1d4c3f",
            }
        }
    )

    type: str = Field("about:blank", description="Always about:blank; `code` tells kinds apart.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What was expected, and what was got.")
    instance: str | None = Field(None, description="Path of the request.")
    code: str = Field(description="A stable word for this kind of problem.")
    hint: str | None = Field(None, description="What to do.")
    errors: list[FieldProblem] | None = Field(None, description="All that is wrong in the request.")
    request_id: str | None = Field(None, description="Finds the request in the logs.")


class Refusal(Exception):
    """Raised by a route for what only HTTP knows of.

    Args:
        status: HTTP status.
        code: stable word.
        detail: what was expected, what was got.
        hint: what to do.
        headers: of the response.
        fields: what is wrong in the request, by its place.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
        fields: Sequence[FieldProblem] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.headers = headers
        self.fields = fields


_OF_ERRORS: Sequence[tuple[type[errors.AutokdError], int, str]] = (
    # What takes too long takes as long again, so that is no 503, which clients repeat.
    (InspectorTimeoutError, 422, "check_timeout"),
    (InspectorBusyError, 503, "check_busy"),
    (InspectorError, 503, "check_failed"),
    (TooLargeError, 413, "too_large"),
    (UploadError, 422, "invalid_upload"),
    (UrlRefusedError, 422, "refused_url"),
    (TokenError, 401, "unauthenticated"),
    (errors.SpecError, 422, "invalid_spec"),
    (errors.UnknownNameError, 422, "unknown_name"),
    (errors.FilterError, 422, "invalid_filter"),
    (errors.DataError, 422, "invalid_data"),
    (errors.TeacherError, 422, "invalid_teacher"),
    (errors.StaleVersionError, 412, "stale_etag"),
    (ReusedKeyError, 422, "reused_idempotency_key"),
    (errors.StoreUnavailableError, 503, "database_unavailable"),
    (errors.StoreVersionError, 503, "database_version"),
    (errors.NothingFeasibleError, 404, "nothing_feasible"),
    (errors.NotFoundError, 404, "not_found"),
    (errors.AccessError, 403, "forbidden"),
    (errors.VerificationError, 500, "verification_failed"),
    (errors.StorageFullError, 507, "storage_full"),
    (errors.ConflictError, 409, "conflict"),
    (errors.AutokdError, 400, "invalid_request"),
)
"""The first that fits."""

_OF_STATUS = {
    400: "invalid_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    503: "unavailable",
}


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    hint: str | None = None,
    fields: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The response that says what is wrong, without the secrets that were sent."""
    document = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=redact(detail),
        instance=redact(request.url.path),
        code=code,
        hint=hint,
        errors=list(fields)[:_MOST_FIELDS] if fields else None,
        request_id=getattr(request.state, "request_id", None),
    )
    return JSONResponse(
        document.model_dump(exclude_none=True),
        status_code=status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def add_handlers(app: FastAPI, not_found: Callable[[Request], Response | None]) -> None:
    """Makes every error of the app a problem document.

    Args:
        app: the app.
        not_found: the page that says so where no route is, or None for a problem document.
    """

    @app.exception_handler(errors.AutokdError)
    def _ours(request: Request, error: errors.AutokdError) -> JSONResponse:
        status, code = next(
            (status, code) for kind, status, code in _OF_ERRORS if isinstance(error, kind)
        )
        headers = {"Retry-After": "5"} if code in _PASSING else None
        if code in _UNTOLD:
            _LOG.error("%s", error)
            hint = "the server's log says more, under this request id"
            return problem(request, status, code, _UNTOLD[code], hint=hint, headers=headers)
        if isinstance(error, errors.SpecError):
            return _refused(request, _of_spec(error, lambda path: pointer_to("spec", *path)))
        fields = None
        if isinstance(error, UrlRefusedError):
            message = redact(error.message)
            fields = [FieldProblem(pointer="/url", message=message, hint=error.hint)]
        return problem(
            request, status, code, error.message, hint=error.hint, fields=fields, headers=headers
        )

    @app.exception_handler(Refusal)
    def _refused(request: Request, error: Refusal) -> JSONResponse:
        return problem(
            request,
            error.status,
            error.code,
            error.detail,
            hint=error.hint,
            fields=error.fields,
            headers=error.headers,
        )

    @app.exception_handler(HTTPException)
    def _of_the_framework(request: Request, error: HTTPException) -> Response:
        page = not_found(request) if error.status_code == 404 else None
        if page is not None:
            return page
        code = _OF_STATUS.get(error.status_code, "error")
        detail = str(error.detail)
        headers = error.headers
        if error.status_code == 404:
            detail = f"there is nothing at {request.url.path}"
        elif error.status_code == 405:
            headers = {"Allow": ", ".join(_methods_at(request, app))}
            detail = (
                f"{request.method} is not possible at {request.url.path}, only {headers['Allow']}"
            )
        return problem(request, error.status_code, code, detail, headers=headers)

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and any(map(_is_unread, error.errors())):
            return problem(
                request,
                415,
                "unsupported_media_type",
                f"expected a body of application/json, got {kind[:_SHOWN] or 'none'}",
            )
        fields = [_field(one) for one in error.errors()]
        count = len(fields)
        detail = f"the request has {count} mistake{'' if count == 1 else 's'}"
        return problem(request, 422, "invalid_request", detail, fields=fields)


@contextmanager
def pointing(pointer: Callable[[Sequence[str]], str]) -> Iterator[None]:
    """Points to mistakes of a spec where a request has them that holds no whole spec.

    Args:
        pointer: what to point to in the body, for the path of a mistake in the spec.

    Raises:
        Refusal: there are some.
    """
    try:
        yield
    except errors.SpecError as error:
        raise _of_spec(error, pointer) from error


def _of_spec(error: errors.SpecError, pointer: Callable[[Sequence[str]], str]) -> Refusal:
    detail = error.message.partition("\n")[0].rstrip(":")
    fields = [
        FieldProblem(
            pointer=pointer([*filter(None, mistake.path.split("."))]),
            message=redact(mistake.message),
            hint=mistake.hint,
        )
        for mistake in error.mistakes
    ]
    return Refusal(422, "invalid_spec", detail, hint=error.hint, fields=fields)


def _methods_at(request: Request, app: FastAPI) -> list[str]:
    """What the path of a request can be asked for, by whichever route."""
    methods = [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in app.routes
        )
    ]
    has_head = "GET" in methods and request.url.path != ENDLESS
    return [*methods, "HEAD"] if has_head else methods


def _is_unread(error: Mapping[str, Any]) -> bool:
    """Whether a body came, and was not read because it is not said to be JSON."""
    return tuple(error["loc"]) == ("body",) and str(error["type"]) != "missing"


def _field(error: Mapping[str, Any]) -> FieldProblem:
    place, *path = error["loc"]
    if path and path[-1] == "[key]":  # what pydantic adds where a name is wrong, and not its value
        path.pop()
    pointer = pointer_to(*path) if place == "body" else f"{place}:{'.'.join(map(str, path))}"
    given = error.get("input")
    got = f"; got {str(given)[:_SHOWN]!r}" if isinstance(given, str | int | float) else ""
    message = error["msg"].removeprefix("Value error, ")
    return FieldProblem(pointer=pointer, message=redact(f"{message}{got}"))


def pointer_to(*path: str | int) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What went wrong, as a problem document.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
"""What every operation may answer beside its own."""
