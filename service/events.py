"""Events as they happen: one reader of the record, and as many listeners as want to know."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import takewhile
from typing import Any

from anyio import to_thread
from pydantic_core import to_json

from autokd.errors import AutokdError
from autokd.store import EventRecord, Store
from service.background import working
from service.names import Kind, id_of
from service.problems import Refusal
from service.schemas import moment_text
from service.settings import Settings

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
"""How often the record is asked for what is new; a listener hears of it that late at most."""

_AGAIN_SECONDS = 2.0
"""How long the record is left alone when it can not be read."""

_KEPT = 5000
"""Newest events that listeners read without asking the database."""

_BATCH = 1000


class EventFeed:
    """Follows the record and hands its events to listeners.

    Args:
        store: the record.
        settings: how many may listen.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._most = settings.event_readers
        self._listeners = 0
        self._newest = 0
        self._kept: deque[EventRecord] = deque(maxlen=_KEPT)
        self._news = asyncio.Condition()
        self._is_open = True

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return self._listeners

    def check_room(self) -> None:
        """Raises Refusal if too many listen already."""
        if self._listeners >= self._most:
            raise Refusal(
                503,
                "too_many_readers",
                f"{self._most} event streams are open, as many as may be",
                headers={"Retry-After": "30"},
            )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follows the record while the block lasts."""
        self._newest = await to_thread.run_sync(self._store.last_event)
        async with working(self._follow):
            yield

    async def close(self) -> None:
        """Ends all streams, so that a server can stop."""
        self._is_open = False
        async with self._news:
            self._news.notify_all()

    async def position(self, after: int | None) -> int:
        """Where a listener begins that knows the events up to one, or none; at most now."""
        if after is None:
            return self._newest
        if after > self._newest:  # another process may be ahead of this one
            return min(after, await to_thread.run_sync(self._store.last_event))
        return after

    async def listen(
        self, seen: int, study: int | None, quiet: float
    ) -> AsyncIterator[EventRecord | None]:
        """Events in order, and None whenever none came for a while.

        Args:
            seen: id of the event after which it begins.
            study: id of the only study it is interested in.
            quiet: seconds after which None is given.
        """
        self._listeners += 1
        told = time.monotonic()
        try:
            while self._is_open:
                newest = self._newest
                events = await self._since(seen)
                for event in events:
                    seen = event.id
                    if study is None or event.study == study:
                        yield event
                        told = time.monotonic()
                if len(events) < _BATCH:
                    seen = max(seen, newest)  # what is not there was deleted with its study
                # Of another study's events a listener hears nothing.
                left = told + quiet - time.monotonic()
                has_news = left > 0 and (seen < self._newest or await self._wait(seen, left))
                if not has_news and self._is_open:
                    yield None
                    told = time.monotonic()
        finally:
            self._listeners -= 1

    async def _since(self, seen: int) -> list[EventRecord]:
        """Events after one that a listener has seen, from memory if they are there."""
        if seen >= self._newest:
            return []
        if self._kept and self._kept[0].id <= seen + 1:
            news = takewhile(lambda event: event.id > seen, reversed(self._kept))
            return list(news)[::-1]
        return await to_thread.run_sync(self._store.all_events, seen, _BATCH)

    async def _wait(self, seen: int, quiet: float) -> bool:
        """Whether something came within so many seconds."""
        try:
            async with asyncio.timeout(quiet), self._news:
                await self._news.wait_for(lambda: self._newest > seen or not self._is_open)
        except TimeoutError:
            return False
        return True

    async def _follow(self) -> None:
        while True:
            try:
                new = await to_thread.run_sync(self._store.all_events, self._newest, _BATCH)
            except AutokdError as error:  # whatever it is, streams go on once it is mended
                _LOG.warning("%s", error)
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            except Exception:  # the boundary of the task: its end would be the end of all streams
                _LOG.exception("events")
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            if new:
                async with self._news:
                    self._kept.extend(new)
                    self._newest = new[-1].id
                    self._news.notify_all()
            if len(new) < _BATCH:
                await asyncio.sleep(_LOOK_SECONDS)


def event_json(event: EventRecord) -> dict[str, Any]:
    """An event as the API shows it."""
    return {
        "number": event.id,
        "study": id_of(Kind.STUDY, event.study),
        "time": moment_text(event.time),
        "kind": event.kind,
        "data": event.data,
    }


def event_text(event: EventRecord) -> str:
    """An event as one message of a stream."""
    data = to_json(event_json(event), inf_nan_mode="null").decode()
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n"
