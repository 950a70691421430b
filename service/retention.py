"""What the service forgets: notes about requests that are long done.

Studies with all that belongs to them, and exports, are kept until somebody deletes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from anyio import to_thread

from autokd.errors import AutokdError
from autokd.store import Store
from service.background import working

_LOG = logging.getLogger(__name__)

_PAUSE_SECONDS = 3600.0


@asynccontextmanager
async def forgetting(store: Store, kept: timedelta) -> AsyncIterator[None]:
    """Forgets what is older than `kept`, now and then while the block lasts."""
    async with working(partial(_keep_forgetting, store, kept)):
        yield


async def _keep_forgetting(store: Store, kept: timedelta) -> None:
    while True:
        try:
            await to_thread.run_sync(forget, store, kept)
        except AutokdError as error:  # the database is away, or the disk is full, for a while
            _LOG.warning("%s", error)
        except Exception:  # the boundary of the task: without it the database would grow for ever
            _LOG.exception("forgetting")
        await asyncio.sleep(_PAUSE_SECONDS)


def forget(store: Store, kept: timedelta) -> None:
    """Forgets audit events, operations and deliveries that are older than `kept`."""
    store.forget_audits(kept)
    store.forget_operations(kept)
    store.forget_deliveries(kept)
