"""Server-sent events: their text as messages, and a stream that is taken up where it was cut off.

References:
    WHATWG, "HTML Living Standard", section 9.2, Server-sent events.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx
from pydantic import ValidationError

from autokd.client import retrying
from autokd.client.connection import Connection
from autokd.client.models import Event
from autokd.errors import AutokdError

_LOG = logging.getLogger(__name__)

_SILENCE_SECONDS = 45.0
"""A server says something every 10 seconds, if only that nothing is new."""

_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0)
"""Seconds before each attempt to be connected again."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Message:
    """One message of a stream.

    Attributes:
        event: its kind; `message` if the server named none.
        data: its text.
    """

    event: str
    data: str


class MessageReader:
    """Makes messages of a stream's bytes, in whatever pieces these come.

    Attributes:
        last_id: the newest id that the server gave, with a message or without; empty: none.
        retry: seconds that it wants to be left alone for when the stream was cut off.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry = _WAITS[0]
        self._rest = b""
        self._began = False
        self._after_return = False
        self._id = last_id
        self._event = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[Message]:
        """The messages that a piece completes."""
        if not piece:
            return
        if self._after_return:  # the line end "\r\n" was cut in two
            piece = piece.removeprefix(b"\n")
        self._after_return = piece.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(self._rest + piece)
        for line in lines:
            if not self._began:
                self._began = True
                line = line.removeprefix(_BYTE_ORDER_MARK)
            yield from self._take(line.decode(errors="replace"))

    def _take(self, line: str) -> Iterator[Message]:
        if not line:
            self.last_id = self._id  # not before: a block that is cut off did not happen
            if self._data:
                yield Message(self._event or "message", "\n".join(self._data))
            self._event, self._data = "", []
            return
        field, _, value = line.partition(":")  # a comment has an empty field
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and value.isascii() and value.isdecimal():
            self.retry = min(int(value[:9]) / 1000, _WAITS[-1])


class EventStream(Iterator[Event]):
    """What happens on a server, from the moment on when this was made; it has no end.

    A connection that is lost is made again, and goes on after the last event that was seen.

    Args:
        connection: to the server.
        study: id or name of the only study of interest; None: all.
        after: number of the last event that is known, to hear of those since; None: from now on.

    Raises:
        AutokdError: the server refuses.
        ServerUnreachableError: it does not answer, or is gone for minutes.
    """

    def __init__(
        self, connection: Connection, study: str | None = None, after: int | None = None
    ) -> None:
        self._connection = connection
        self._params = {"study": study, "after": after}
        self._last_id = ""
        self._open = ExitStack()
        # Now, not with the first `next`: what happens in between counts.
        self._answer = self._connect(retrying.WAITS)
        self._events = self._follow()

    def __next__(self) -> Event:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends it."""
        self._events.close()
        self._open.close()

    def _follow(self) -> Generator[Event]:
        answer = self._answer
        while True:
            reader = MessageReader(self._last_id)
            try:
                for piece in answer.iter_bytes():
                    for message in reader.feed(piece):
                        self._last_id = reader.last_id
                        yield _event(message)
                    self._last_id = reader.last_id
            except httpx.RequestError as error:
                _LOG.warning(
                    "the events of %s were cut off, and are asked for again: %s",
                    self._connection.server,
                    error,
                )
            self._open.close()
            retrying.pause(reader.retry)
            answer = self._connect(_WAITS)

    def _connect(self, waits: Iterable[float]) -> httpx.Response:
        headers = {"Accept": "text/event-stream"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        return self._open.enter_context(
            self._connection.answer(
                "GET",
                "events",
                params=self._params,
                headers=headers,
                timeout=_SILENCE_SECONDS,
                waits=waits,
            )
        )


def _event(message: Message) -> Event:
    try:
        return Event.model_validate_json(message.data)
    except ValidationError as error:
        raise AutokdError(
            f"an event of the server is not what was expected: {error}",
            hint="is it of another version of autokd?",
        ) from error
