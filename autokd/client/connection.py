"""Requests and answers: what is sent again, what is an error, lists that come in parts."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

import autokd
from autokd.client import retrying
from autokd.client.problems import error_of_answer, not_ours
from autokd.client.settings import TOKEN, token_file
from autokd.errors import AccessError, AutokdError, ServerUnreachableError

Value = TypeVar("Value")

_CONNECT_SECONDS = 10.0
_PAGE = 500


class Connection:
    """A server's API, as requests that either do what is asked or raise an AutokdError.

    A path is what follows `/api/v1/`, quoted. Of parameters, those that are None are left out.

    Args:
        server: its address, as `http://HOST:PORT`.
        token: shown with every request; None: none.
        timeout: seconds that the server may be silent for.
        transport: in place of the network, for tests.
    """

    def __init__(
        self,
        server: str,
        token: str | None,
        timeout: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.server = server
        self.timeout = timeout
        self._has_token = token is not None
        self._http = httpx.Client(
            base_url=f"{server}/api/v1/",
            headers={
                "User-Agent": f"autokd/{autokd.__version__}",
                **({"Authorization": f"Bearer {token}"} if token else {}),
            },
            transport=transport,
        )

    def close(self) -> None:
        """Closes its sockets."""
        self._http.close()

    def read(
        self,
        kind: type[Value],
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Value:
        """What stands at a path.

        Args:
            kind: of what will be told.
            path: where.
            params: of the query.
            timeout: in place of the connection's own, for what takes longer.

        Raises:
            AutokdError: the one that the server's problem document stands for.
            ServerUnreachableError: there was no answer, or one of another program.
        """
        return self.ask(kind, "GET", path, params=params, timeout=timeout)

    def ask(
        self,
        kind: type[Value],
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        content: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        waits: Iterable[float] = retrying.WAITS,
    ) -> Value:
        """Has something done, and gives what is told of it.

        The arguments and errors are those of `read`, and:

        Args:
            kind: of what will be told.
            method: of HTTP. A POST is done once, however often it has to be sent.
            path: where.
            params: of the query.
            body: JSON data to send.
            content: bytes to send in its place.
            headers: further ones.
            timeout: in place of the connection's own.
            waits: seconds before each further attempt.
        """
        with self.answer(
            method,
            path,
            params=params,
            body=body,
            content=content,
            headers=headers,
            timeout=timeout,
            waits=waits,
        ) as answer:
            answer.read()
            try:
                told = answer.json() if answer.content else None
            except ValueError as error:
                raise not_ours(answer) from error
            return _value(TypeAdapter(kind), told)

    def items(
        self, kind: type[Value], path: str, params: Mapping[str, Any] | None = None
    ) -> Iterator[Value]:
        """All items of a list, which is read in parts."""
        adapter = TypeAdapter(kind)
        token: str | None = None
        while True:
            wanted = {"page_size": _PAGE, **(params or {}), "page_token": token}
            page = self.read(dict[str, Any], path, params=wanted)
            for item in page["items"]:
                yield _value(adapter, item)
            token = page.get("next_page_token")
            if token is None:
                return

    @contextmanager
    def answer(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        content: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        waits: Iterable[float] = retrying.WAITS,
    ) -> Iterator[httpx.Response]:
        """A good answer whose content is still to come; arguments and errors are those of `ask`.

        Args:
            method: of HTTP.
            path: where.
            params: of the query.
            body: JSON data to send.
            content: bytes to send in its place.
            headers: further ones.
            timeout: in place of the connection's own.
            waits: seconds before each further attempt.
        """
        silence = timeout or self.timeout
        request = self._http.build_request(
            method,
            path,
            params={name: value for name, value in (params or {}).items() if value is not None},
            json=body,
            content=content,
            headers={**(headers or {}), **_key_of(method)},
            timeout=httpx.Timeout(silence, connect=min(silence, _CONNECT_SECONDS)),
        )
        answer = self._send(request, waits)
        try:
            yield answer
        except httpx.RequestError as error:
            raise self._lost(error) from error
        finally:
            answer.close()

    def _send(self, request: httpx.Request, waits: Iterable[float]) -> httpx.Response:
        repeatable = retrying.is_repeatable(request)
        for wait in (*waits, None):
            again: float | None = None
            try:
                answer = self._http.send(request, stream=True)
                if answer.is_success:
                    return answer
                answer.read()
            except httpx.RequestError as error:
                if wait is not None:
                    again = retrying.wait_after_failure(error, repeatable, wait)
                if again is None:
                    raise self._lost(error) from error
            else:
                if wait is not None:
                    status, headers = answer.status_code, answer.headers
                    again = retrying.wait_after_answer(status, headers, repeatable, wait)
                if again is None:
                    raise self._refusal(answer)
            retrying.pause(again)
        raise AssertionError("the last attempt returns or raises")

    def _refusal(self, answer: httpx.Response) -> AutokdError:
        error = error_of_answer(answer)
        if isinstance(error, AccessError) and not self._has_token:
            error.hint = (
                f"set {TOKEN}, or put a token into {token_file()} (mode 600); "
                "`autokd token create` makes one where the service runs"
            )
        return error

    def _lost(self, error: httpx.RequestError) -> ServerUnreachableError:
        if isinstance(error, httpx.TimeoutException):
            what = f"{self.server} did not answer in time"
        else:
            what = f"{self.server} can not be reached: {error or type(error).__name__}"
        return ServerUnreachableError(what, hint="is the service running, and the address right?")


def _key_of(method: str) -> dict[str, str]:
    return {retrying.KEY: secrets.token_hex(16)} if method == "POST" else {}


def _value(adapter: TypeAdapter[Value], told: Any) -> Value:
    try:
        return adapter.validate_python(told)
    except ValidationError as error:
        raise AutokdError(
            f"the server's answer is not what was expected: {error}",
            hint="is it of another version of autokd?",
        ) from error
