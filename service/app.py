"""The app: one factory, from settings to routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from fastapi.routing import APIRoute

import autokd
from autokd.inspector import Inspector
from autokd.store import Store
from service import problems
from service.deliveries import Deliveries
from service.events import EventFeed
from service.middleware import Envelope, Figures
from service.outbound import Outbound
from service.record import Studies
from service.retention import forgetting
from service.routes import (
    analyses,
    candidates,
    catalogue,
    events,
    exports,
    operations,
    pages,
    service,
    studies,
    tokens,
    trials,
    uploads,
    webhooks,
)
from service.settings import Settings
from service.uploads import remove_stale_parts

_ROUTERS = (
    studies.router,
    trials.router,
    candidates.router,
    analyses.router,
    exports.router,
    operations.router,
    events.router,
    catalogue.router,
    uploads.router,
    webhooks.router,
    tokens.router,
    service.router,
)

_INSPECTING = 4
"""Threads that may wait for the inspector, of some 40 that answer requests."""

_DESCRIPTION = """
Launches, steers and remembers searches for small networks that do a big one's work.

Every error is a problem document (RFC 9457) with a stable `code`. Lists are read in parts with
`page_size` and `page_token`. A POST with an `Idempotency-Key` is done once, however often it comes.
"""


def create_app(settings: Settings) -> FastAPI:
    """The service, with its record opened; whoever serves it closes it by the app's lifespan.

    Raises:
        StoreVersionError: the database is of another version of autokd; says what to run.
        ConflictError: it can not be opened.
    """
    store = Store.open(settings.storage, files=settings.files)
    inspector = Inspector(seconds=settings.check_seconds)
    feed = EventFeed(store, settings)
    deliveries = Deliveries(store, Outbound(settings.webhook_hosts))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            await to_thread.run_sync(remove_stale_parts, store.files / "uploads")
            kept = timedelta(days=settings.kept_days)
            async with feed.running(), deliveries.running(), forgetting(store, kept):
                yield
        finally:
            inspector.close()
            store.close()

    app = FastAPI(
        title="autokd",
        version=autokd.__version__,
        description=_DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        separate_input_output_schemas=False,
    )
    app.state.settings = settings
    app.state.store = store
    app.state.inspector = inspector
    app.state.inspecting = CapacityLimiter(_INSPECTING)
    app.state.feed = feed
    app.state.deliveries = deliveries
    app.state.studies = Studies(store)
    app.state.figures = Figures()
    problems.add_handlers(app, pages.not_found)
    for router in _ROUTERS:
        app.include_router(router, prefix="/api/v1")
    app.include_router(pages.router)
    app.add_middleware(Envelope, settings=settings, figures=app.state.figures, store=store)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
