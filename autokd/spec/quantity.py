"""Sizes as people write them: `20k`, `1.5M`, `64KiB`, `2MB`, `0.1x` (of the teacher)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_COUNT_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_BYTE_FACTORS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_FACTORS = {**_COUNT_FACTORS, **_BYTE_FACTORS, "ms": 1}
_RELATIVE = "x"
_LARGEST = 1e30
"""Far from what a float can hold, so that multiples of it are finite."""

_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([A-Za-z]*)\s*")
_EXPECTED = "a positive number with an optional unit, like 20k, 1.5M, 64KiB, 2MB or 0.1x"


@dataclass(frozen=True)
class Quantity:
    """A positive amount, absolute or as a multiple of the teacher's.

    Attributes:
        amount: the number, in bytes, parameters, MACs or milliseconds; or the multiple.
        relative: whether it is a multiple of the teacher's figure.
        text: how it was written; two spellings of one amount are equal.
    """

    amount: float
    relative: bool
    text: str = field(compare=False)

    @classmethod
    def parse(cls, value: str | float) -> Quantity:
        """The quantity that `value` spells. Raises ValueError if it spells none."""
        match = _PATTERN.fullmatch(str(value))
        if match is None or isinstance(value, bool):
            raise ValueError(f"expected {_EXPECTED}; got {value!r}")
        number, unit = float(match[1]), match[2]
        if unit != _RELATIVE and unit not in _FACTORS:
            raise ValueError(f"expected {_EXPECTED}; got {value!r} with the unknown unit {unit!r}")
        amount = number * _FACTORS.get(unit, 1)
        if not 0 < amount <= _LARGEST:
            raise ValueError(f"expected {_EXPECTED}; got {value!r}")
        return cls(amount, unit == _RELATIVE, str(value).strip())

    @property
    def canonical(self) -> str:
        """One text for all spellings of the amount."""
        return f"{self.amount}{_RELATIVE if self.relative else ''}"

    def resolve(self, teacher: float) -> float:
        """The absolute amount, given the teacher's figure."""
        return self.amount * teacher if self.relative else self.amount

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tells pydantic to accept text, a number or a Quantity, and to write the text."""

        def validate(value: Any) -> Quantity:
            if isinstance(value, Quantity):
                return value
            if isinstance(value, str | int | float):
                return cls.parse(value)
            raise ValueError(f"expected {_EXPECTED}; got {value!r}")

        return core_schema.no_info_plain_validator_function(
            validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda q: q.text),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Tells pydantic how a JSON Schema describes it."""
        return {"type": ["string", "number"], "description": _EXPECTED, "examples": ["0.1x", "20k"]}


def _written(what: str, *units: str) -> AfterValidator:
    """Accepts quantities in the given units only; the teacher's multiple counts as the unit `x`."""

    def check(quantity: Quantity) -> Quantity:
        match = _PATTERN.fullmatch(quantity.text)
        if match is not None and match[2] not in units:
            raise ValueError(f"expected {what}; got {quantity.text!r}")
        return quantity

    return AfterValidator(check)


Count = Annotated[
    Quantity, _written("a count, like 20k, 1.5M or 0.1x of the teacher's", *_COUNT_FACTORS, "x")
]
"""How many, absolute or as a multiple of the teacher's."""

Bytes = Annotated[
    Quantity,
    _written(
        "bytes, like 64KiB, 2MB or 0.3x of the teacher's", *_COUNT_FACTORS, *_BYTE_FACTORS, "x"
    ),
]
"""A size in bytes, absolute or as a multiple of the teacher's."""

AbsoluteBytes = Annotated[
    Quantity, _written("bytes, like 512MiB or 2GB", *_COUNT_FACTORS, *_BYTE_FACTORS)
]
"""A size in bytes that has nothing to do with the teacher."""

Milliseconds = Annotated[Quantity, _written("milliseconds, like 5ms or 0.5x", "", "ms", "x")]
"""A duration in milliseconds, absolute or as a multiple of the teacher's."""
