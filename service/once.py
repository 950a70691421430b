"""Requests that are to be done once, however often they come: the header `Idempotency-Key`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from anyio import to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute

from autokd.store import Store, one_request
from service.access import authenticate
from service.bodies import refuse_repeats
from service.problems import Refusal
from service.redaction import without_own_secrets

HEADER = "Idempotency-Key"
_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same request with the same key is done once, within a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_KEPT_HEADERS = ("location", "etag", "content-type")


class OnceRoute(APIRoute):
    """A route whose POSTs, with an `Idempotency-Key`, are done once and answered alike.

    Bodies have each of their fields once.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        if "POST" in (options.get("methods") or ()):
            described = options.get("openapi_extra") or {}
            options["openapi_extra"] = {**described, "parameters": [_PARAMETER]}
        super().__init__(*arguments, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, which looks for the key first."""
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            if self.body_field is not None:  # what FastAPI is to read as JSON
                refuse_repeats(await request.body())
            key = request.headers.get(HEADER)
            if request.method != "POST" or key is None:
                return await handle(request)
            if not 1 <= len(key) <= 255 or not key.isprintable():
                raise Refusal(
                    400,
                    "invalid_idempotency_key",
                    f"expected a key of 1 to 255 printable characters, got {len(key)}",
                )
            caller = await to_thread.run_sync(authenticate, request)
            if caller is None:
                return await handle(request)  # which refuses it
            store: Store = request.app.state.store
            parts = (request.url.path, request.url.query, (await request.body()).hex())
            fingerprint = hashlib.sha256("\n".join(parts).encode()).hexdigest()
            known = await to_thread.run_sync(store.begin_request, caller.id, key, fingerprint)
            if known is not None:
                return _replayed(known)
            kept = None
            try:
                with one_request(caller.id, key):
                    response = await handle(request)
                if response.status_code < 300 and "set-cookie" not in response.headers:
                    kept = _kept(response)
            finally:
                await to_thread.run_sync(store.end_request, caller.id, key, kept)
            return response

        return once


def _kept(response: Response) -> dict[str, Any]:
    """A response as it is kept: text, in which a new token is spelled out once and never again."""
    return {
        "status": response.status_code,
        "headers": {
            name: value for name, value in response.headers.items() if name in _KEPT_HEADERS
        },
        "body": without_own_secrets(bytes(response.body).decode()),
    }


def _replayed(kept: dict[str, Any]) -> Response:
    headers = {**kept["headers"], "Idempotency-Replayed": "true"}
    return Response(kept["body"], kept["status"], headers)
