"""Work that goes on beside the requests, as long as the service runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from anyio import create_task_group


@asynccontextmanager
async def working(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Works while the block lasts.

    What a thread does for it when the block ends is waited for: it may hold a connection of the
    record, which is closed next. (The cancellation of asyncio would leave the thread to itself.)
    """
    async with create_task_group() as tasks:
        tasks.start_soon(work)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
