"""From a problem document (RFC 9457) to the error that autokd raises for it on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx

from autokd import errors
from autokd.errors import AutokdError, Mistake, SpecError


def error_of_answer(answer: httpx.Response) -> AutokdError:
    """The error that an answer stands for; its content must have been read.

    One that is no problem document came from somewhere else: a proxy, or another program.
    """
    try:
        document = answer.json()
    except ValueError:
        document = None
    if isinstance(document, dict) and "detail" in document:
        return error_of({"status": answer.status_code, **document})
    if answer.status_code in (502, 503, 504):
        return errors.ServerUnreachableError(
            f"{_origin(answer)} answers {answer.status_code} {answer.reason_phrase}",
            hint="is the service running behind that address?",
        )
    return not_ours(answer)


def not_ours(answer: httpx.Response) -> AutokdError:
    """The error about an answer that no service of autokd gives."""
    got = f"{answer.status_code} {answer.reason_phrase}".strip()
    if answer.is_redirect:
        got += f" to {answer.headers.get('location', '')[:200]}"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return errors.ServerUnreachableError(
        f"expected the API of autokd at {_origin(answer)}, got {got}{kind and f' ({kind})'}",
        hint="check the address of the server",
    )


def error_of(problem: Mapping[str, Any]) -> AutokdError:
    """The error that a problem document stands for: by its code, else by its status."""
    status, code = int(problem.get("status", 500)), str(problem.get("code", ""))
    detail, hint = str(problem["detail"]), problem.get("hint")
    mistakes = [_mistake(each) for each in problem.get("errors") or ()]
    if mistakes:
        # The title counts the mistakes, and so does the error.
        return SpecError(detail.partition(" has ")[0], mistakes)
    make = _OF_CODE.get(code) or _OF_STATUS.get(status) or AutokdError
    if status >= 500 and make is AutokdError and problem.get("request_id"):
        detail += f" (request {problem['request_id']})"
    return make(detail, hint=hint)


def _wrong_input(detail: str, *, hint: str | None) -> AutokdError:
    return SpecError("the request", [Mistake("", detail, hint)])


def _unknown_name(detail: str, *, hint: str | None) -> AutokdError:
    # Which names are known is in the detail already.
    error = errors.UnknownNameError.__new__(errors.UnknownNameError)
    AutokdError.__init__(error, detail, hint=hint)
    return error


_OF_CODE: Mapping[str, Callable[..., AutokdError]] = {
    "conflict": errors.ConflictError,
    "data": errors.DataError,
    "database_unavailable": errors.StoreUnavailableError,
    "database_version": errors.StoreVersionError,
    "filter": errors.FilterError,
    "forbidden": errors.AccessError,
    "invalid_data": errors.DataError,
    "invalid_filter": errors.FilterError,
    "invalid_teacher": errors.TeacherError,
    "invalid_upload": errors.DataError,
    "nothing_feasible": errors.NothingFeasibleError,
    "not_found": errors.NotFoundError,
    "stale_etag": errors.StaleVersionError,
    "stale_version": errors.StaleVersionError,
    "storage_full": errors.StorageFullError,
    "store_unavailable": errors.StoreUnavailableError,
    "store_version": errors.StoreVersionError,
    "teacher": errors.TeacherError,
    "unauthenticated": errors.AccessError,
    "unknown_name": _unknown_name,
    "verification": errors.VerificationError,
    "verification_failed": errors.VerificationError,
}
"""By code; an operation that failed has the name of the error's class as its code."""

_OF_STATUS: Mapping[int, Callable[..., AutokdError]] = {
    400: _wrong_input,
    401: errors.AccessError,
    403: errors.AccessError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    412: errors.StaleVersionError,
    413: _wrong_input,
    415: _wrong_input,
    421: errors.ServerUnreachableError,
    422: _wrong_input,
    429: errors.ConflictError,
    502: errors.ServerUnreachableError,
    503: errors.ServerUnreachableError,
    504: errors.ServerUnreachableError,
    507: errors.StorageFullError,
}


def _mistake(field: Mapping[str, Any]) -> Mistake:
    parts = str(field.get("pointer", "")).removeprefix("/spec").removeprefix("/changes").split("/")
    path = ".".join(part.replace("~1", "/").replace("~0", "~") for part in parts if part)
    return Mistake(path, str(field.get("message", "")), field.get("hint"))


def _origin(answer: httpx.Response) -> str:
    url = answer.request.url
    return f"{url.scheme}://{url.netloc.decode()}"
