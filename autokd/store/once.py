"""What a request makes is made once, however often the request comes and whoever dies meanwhile.

That is so for studies and operations. What is made is noted beside the request's key in the same
transaction. A request that comes again, since nobody answered the first time, finds there what it
made then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy.orm import Session

from autokd.store.service_rows import IdempotencyRow

NOBODY = 0
"""Owner of the keys of requests that come without a token."""

_MADE = "made"

_REQUEST: ContextVar[tuple[int, str] | None] = ContextVar("request", default=None)


@contextmanager
def one_request(owner: int | None, key: str) -> Iterator[None]:
    """The block, and the threads that it waits for, do what the request of this key asks for."""
    token = _REQUEST.set((owner or NOBODY, key))
    try:
        yield
    finally:
        _REQUEST.reset(token)


def made_before(session: Session, kind: str) -> int | None:
    """Id of the thing of that kind that the request made when it came before."""
    row = _row(session)
    return row.response[_MADE].get(kind) if row is not None and row.response else None


def note_made(session: Session, kind: str, id: int) -> None:
    """Notes what the request has made."""
    row = _row(session)
    if row is not None:
        row.response = {_MADE: {**(row.response or {_MADE: {}})[_MADE], kind: id}}


def has_made(row: IdempotencyRow) -> bool:
    """Whether the request of a key has made something, and was not answered."""
    return row.response is not None and _MADE in row.response


def _row(session: Session) -> IdempotencyRow | None:
    """The row of the request, locked: the same one may come twice at a time."""
    request = _REQUEST.get()
    found: Any = None
    if request is not None:
        found = session.get(IdempotencyRow, request, with_for_update=True)
    return found if found is None or found.response is None or has_made(found) else None
