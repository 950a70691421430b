"""Any data as plain JSON data, with a mistake for every value that has no place in a study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from autokd.errors import Mistake
from autokd.spec.quantity import Quantity

_MOST_VALUES = 10_000
_DEEPEST = 20
_LARGEST = 2**63
_TOO_LARGE = f"expected at most {_MOST_VALUES:,} values, at most {_DEEPEST} levels deep; got more"


def plain(data: Any) -> tuple[Any, list[Mistake]]:
    """`data` as it would be read from JSON, and what in it cannot be (replaced by None).

    Spec values, paths and tuples become what they are written as. A few lines of YAML can stand
    for billions of values by aliases of aliases, or for a mapping that holds itself; beyond a
    sane size nothing is returned.
    """
    cleaning = _Cleaning()
    try:
        return cleaning.value(data, ()), cleaning.mistakes
    except _TooLargeError:
        return None, [Mistake("", _TOO_LARGE)]


class _TooLargeError(Exception):
    """The data is larger than any study."""


class _Cleaning:
    """One pass over the data: counts values, collects mistakes."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._count = 0

    def value(self, value: Any, path: tuple[str, ...]) -> Any:
        """`value` as plain data; `path` says where it stands."""
        self._count += 1
        if self._count > _MOST_VALUES or len(path) > _DEEPEST:
            raise _TooLargeError
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        if isinstance(value, Mapping):
            return self._mapping(value, path)
        if isinstance(value, list | tuple):
            return [self.value(item, (*path, str(i))) for i, item in enumerate(value)]
        if isinstance(value, Quantity):
            return value.text
        if isinstance(value, PurePath):
            value = str(value)
        expected = _refusal(value)
        if expected is None:
            return value
        self._add(path, expected, value)
        return None

    def _mapping(self, mapping: Mapping[Any, Any], path: tuple[str, ...]) -> dict[str, Any]:
        result = {}
        for key, value in mapping.items():
            if not isinstance(key, str) or _refusal(key):
                self._add(path, "names of fields as text", key)
            else:
                result[key] = self.value(value, (*path, key))
        return result

    def _add(self, path: tuple[str, ...], expected: str, value: object) -> None:
        self.mistakes.append(Mistake(".".join(path), f"expected {expected}; got {_shown(value)}"))


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return "a larger one"  # Python refuses to spell integers of thousands of digits
    return ascii(value)[:60]


def _refusal(value: object) -> str | None:
    """What was expected instead of a single value; None if it can be in a study."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if abs(value) < _LARGEST else "an integer of at most 63 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else "a finite number"
    if isinstance(value, str):
        # Half of a surrogate pair, as JSON can spell it, is no text that could be stored.
        return "whole Unicode text" if any(0xD800 <= ord(c) < 0xE000 for c in value) else None
    return "text, a number, a list or a mapping"
