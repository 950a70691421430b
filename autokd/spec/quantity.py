"""Sizes as people write them: `20k`, `1.5M`, `64KiB`, `2MB`, `0.1x` (of the teacher)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_FACTORS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "ms": 1,
}
_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([A-Za-z]*)\s*")
_EXPECTED = "a positive number with an optional unit, like 20k, 1.5M, 64KiB, 2MB or 0.1x"


@dataclass(frozen=True)
class Quantity:
    """A positive amount, absolute or as a multiple of the teacher's.

    Attributes:
        amount: the number, in bytes, parameters, MACs or milliseconds; or the multiple.
        relative: whether it is a multiple of the teacher's figure.
        text: how it was written.
    """

    amount: float
    relative: bool
    text: str

    @classmethod
    def parse(cls, value: str | float) -> Quantity:
        """The quantity that `value` spells. Raises ValueError if it spells none."""
        match = _PATTERN.fullmatch(str(value))
        if match is None or isinstance(value, bool):
            raise ValueError(f"expected {_EXPECTED}; got {value!r}")
        number, unit = float(match[1]), match[2]
        if unit != "x" and unit not in _FACTORS:
            raise ValueError(f"expected {_EXPECTED}; got {value!r} with the unknown unit {unit!r}")
        if number <= 0:
            raise ValueError(f"expected {_EXPECTED}; got {value!r}")
        return cls(number * _FACTORS.get(unit, 1), unit == "x", str(value).strip())

    def resolve(self, teacher: float) -> float:
        """The absolute amount, given the teacher's figure."""
        return self.amount * teacher if self.relative else self.amount

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
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
        return {"type": ["string", "number"], "description": _EXPECTED, "examples": ["0.1x", "20k"]}
