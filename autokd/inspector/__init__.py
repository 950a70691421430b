"""Questions about networks, answered by a child process: this one need not load torch."""

from __future__ import annotations

from autokd.inspector.client import (
    Inspector,
    InspectorBusyError,
    InspectorError,
    InspectorTimeoutError,
)

__all__ = ["Inspector", "InspectorBusyError", "InspectorError", "InspectorTimeoutError"]
