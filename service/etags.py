"""Conditional requests (RFC 9110)."""

from __future__ import annotations


def is_known(if_none_match: str | None, etag: str | None) -> bool:
    """Whether an `If-None-Match` has the ETag (None: there is none), or `*`, which is any."""
    given = (if_none_match or "").strip()
    return given == "*" or (etag is not None and etag in given)
