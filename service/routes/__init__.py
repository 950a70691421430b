"""The API by resource: one module each, with a `router`."""

from __future__ import annotations

from service.routes import events, operations, service, studies, tokens

ROUTERS = (
    studies.router,
    operations.router,
    events.router,
    tokens.router,
    service.router,
)
