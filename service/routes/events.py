"""One stream of events, which a reader that was cut off takes up where it was."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from service.access import Reader, authenticate
from service.context import StoreOf, study_named
from service.events import EventFeed, event_text
from service.problems import RESPONSES, Refusal

router = APIRouter(tags=["events"], responses=RESPONSES)

_QUIET_SECONDS = 10.0
"""After so long without an event a comment is sent, so that nobody takes the stream for dead."""

_KNOWN_SECONDS = 5.0
"""So long a token that was looked up is taken for valid; longer by one silence at most."""


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


@router.get(
    "/events",
    response_class=EventStream,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream_events(
    request: Request,
    _caller: Reader,
    store: StoreOf,
    study: Annotated[str | None, Query(description="Id or name.", max_length=200)] = None,
    after: Annotated[
        int | None, Query(ge=0, le=2**62, description="Number of the last event that is known.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(description="The same, as browsers say it.", max_length=40)
    ] = None,
) -> Any:
    """Streams what happens, from the event after `Last-Event-ID` or `after`, else from now on.

    Each message has the number of the event as `id` and its kind as `event`: `study` and `trial`
    for changes of state, `epoch` and `teacher_epoch` for the figures of a finished epoch.
    """
    if last_event_id is not None:
        if not (last_event_id.isascii() and last_event_id.isdecimal()):
            raise Refusal(
                400, "invalid_request", f"expected a number as Last-Event-ID, got {last_event_id!r}"
            )
        after = int(last_event_id)
    only = (await run_in_threadpool(study_named, store, study)).id if study else None
    feed: EventFeed = request.app.state.feed
    feed.check_room()
    begin = await feed.position(after)
    events = feed.listen(begin, only, _QUIET_SECONDS)

    async def messages() -> AsyncIterator[str]:
        # With its place, for a reader that is cut off before the first event.
        yield f"id: {begin}\nretry: 2000\n\n"
        known = time.monotonic()
        async for event in events:
            if event is None or time.monotonic() - known >= _KNOWN_SECONDS:
                known = time.monotonic()
                try:
                    await run_in_threadpool(authenticate, request)
                except Refusal:  # the token was revoked, or has expired
                    return
            yield ": nothing new\n\n" if event is None else event_text(event)

    return EventStream(messages(), headers={"X-Accel-Buffering": "no"})
