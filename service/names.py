"""The ids of the API (`std_12`), and the numbers of the record behind them.

No other module builds or parses one. An id is ASCII letters and digits in one spelling only, so it
can neither be a path nor be written in two ways.
"""

from __future__ import annotations

import re
from enum import StrEnum

from autokd.errors import NotFoundError

_SHOWN = 40


class Kind(StrEnum):
    """What an id names."""

    STUDY = "std"
    OPERATION = "op"
    EXPORT = "exp"
    UPLOAD = "upl"
    TOKEN = "tok"
    WEBHOOK = "whk"


NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""Names of studies; see `is_name`."""

_NUMBER = "[1-9][0-9]{0,8}"  # what every database takes for a key: 9 digits fit 32 bits
_ID = re.compile(f"({'|'.join(Kind)})_({_NUMBER})")


def id_of(kind: Kind, number: int) -> str:
    """The id of the record's `number`, which is 1 or more."""
    return f"{kind}_{number}"


def number_of(kind: Kind, text: str) -> int:
    """The record's number behind an id.

    Raises:
        NotFoundError: `text` is no id of this kind, so nothing can have it.
    """
    match = _ID.fullmatch(text)
    if match is None or match[1] != kind:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise NotFoundError(
            f"expected the id of {_article(kind)}, such as {id_of(kind, 12)}, got {shown!a}"
        )
    return int(match[2])


def is_id(text: str) -> bool:
    """Whether `text` is an id of any kind; then no study may be called so."""
    return _ID.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether a study may be called so. What is an id is no name: a path says one or the other."""
    return re.fullmatch(NAME, text) is not None and not is_id(text)


def id_pattern(*kinds: Kind) -> str:
    """The ids of some kinds as a regular expression, for schemas."""
    return f"^({'|'.join(kinds)})_{_NUMBER}$"


def _article(kind: Kind) -> str:
    noun = kind.name.lower()
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
