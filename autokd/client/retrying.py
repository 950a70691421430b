"""Which requests are sent again, and when: none that could do something twice.

what went wrong                          GET, or POST with an Idempotency-Key    any other
nothing was sent (no connection)         again                                   again
it was sent, and the answer was lost     again                                   no
502, 503, 504                            again                                   no
refused, with Retry-After of ≤ 30 s      again, when it says                     no
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

WAITS = (0.25, 0.5, 1.0, 2.0)
"""Seconds before each further attempt; after the last of them the request has failed."""

KEY = "Idempotency-Key"

_MOST_PATIENCE = 30.0
"""Who is told to wait for longer than so many seconds hears of it instead."""

_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_WOULD_FAIL_AGAIN = (httpx.DecodingError, httpx.LocalProtocolError, httpx.UnsupportedProtocol)
_OUT_OF_ORDER = (502, 503, 504)


def is_repeatable(request: httpx.Request) -> bool:
    """Whether a request may come twice and is done once."""
    return request.method in ("GET", "HEAD") or KEY in request.headers


def wait_after_failure(error: httpx.RequestError, repeatable: bool, wait: float) -> float | None:
    """Seconds until a request that got no answer is sent again; None: it is not."""
    if isinstance(error, _WOULD_FAIL_AGAIN):
        return None
    return wait if repeatable or isinstance(error, _NOTHING_SENT) else None


def wait_after_answer(
    status: int, headers: Mapping[str, str], repeatable: bool, wait: float
) -> float | None:
    """Seconds until a request that was answered is sent again; None: the answer counts."""
    if status < 400 or not repeatable:
        return None
    asked = _seconds(headers.get("retry-after"))
    if asked is None:
        return wait if status in _OUT_OF_ORDER else None
    return max(asked, wait) if asked <= _MOST_PATIENCE else None


def pause(seconds: float) -> None:
    """Waits; tests put something quicker in its place."""
    time.sleep(seconds)


def _seconds(text: str | None) -> float | None:
    """What a Retry-After header says: seconds, or a moment."""
    if text is None:
        return None
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
