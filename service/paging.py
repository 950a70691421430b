"""Lists in parts: a page token says where the next part begins, and of which list."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request

from service.problems import Refusal

Item = TypeVar("Item")

_MOST = 500
_FARTHEST = 2**31 - 1
"""Ids are no larger."""


@dataclass(frozen=True)
class Paging:
    """Which part of a list is wanted.

    Attributes:
        start: where it begins: behind so many items, or behind the item of an id.
        size: how many.
        fingerprint: of all that says which list it is.
    """

    start: int
    size: int
    fingerprint: str

    def page(self, items: Sequence[Item], show: Callable[[Item], Any]) -> dict[str, Any]:
        """The part of a whole list, each item as it is shown."""
        end = self.start + self.size
        return {
            "items": [show(item) for item in items[self.start : end]],
            "next_page_token": self.token(end) if end < len(items) else None,
            "total": len(items),
        }

    def token(self, start: int) -> str:
        """The page token of the same list from another place on."""
        return base64.urlsafe_b64encode(f"{start}:{self.fingerprint}".encode()).decode()


async def _paging(
    request: Request,
    page_size: Annotated[int, Query(ge=1, description="At most 500 are given.")] = 50,
    page_token: Annotated[str | None, Query(max_length=200)] = None,
) -> Paging:
    asked = [
        (name, value)
        for name, value in sorted(request.query_params.multi_items())
        if name not in ("page_size", "page_token")
    ]
    fingerprint = hashlib.sha256(json.dumps([request.url.path, asked]).encode()).hexdigest()[:16]
    offset = 0 if page_token is None else _offset(page_token, fingerprint)
    return Paging(offset, min(page_size, _MOST), fingerprint)


def _offset(token: str, fingerprint: str) -> int:
    try:
        offset, _, of = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if of == fingerprint and offset.isdecimal() and int(offset) <= _FARTHEST:
            return int(offset)
    except (binascii.Error, UnicodeError):
        pass
    raise Refusal(
        400,
        "invalid_page_token",
        "expected a page token of this list, with the same filter and order",
        hint="begin again without page_token",
    )


PagingOf = Annotated[Paging, Depends(_paging)]
