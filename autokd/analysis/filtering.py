"""The small language in which lists are filtered and ordered.

::

    filter      parameters<=20k, state=complete|paused, choices.top_nodes!=3
    order_by    -accuracy, parameters

A comma means *and*, `|` stands between alternatives, a minus before a name means descending. What
an item lacks meets no condition and comes last.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from types import NoneType
from typing import Any, Literal, TypeVar

from autokd.errors import FilterError, UnknownNameError
from autokd.spec import Quantity

Kind = Literal["number", "text", "truth"]
Value = bool | float | str | None
Item = TypeVar("Item")
Field = Callable[[str], Callable[[Item], Value]]

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"([^=!<>]*)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Condition:
    """One condition of a filter.

    Attributes:
        name: of the field that it is about.
        compare: the field's value with one of `wanted`.
        wanted: alternatives.
        every: whether all comparisons must hold; else one is enough.
    """

    name: str
    compare: Callable[[Any, Any], bool]
    wanted: tuple[Value, ...]
    every: bool

    def holds(self, value: Value) -> bool:
        """Whether the value of the field meets it."""
        if value is None:
            return False
        return (all if self.every else any)(self.compare(value, each) for each in self.wanted)


@dataclass(frozen=True)
class Key:
    """One key of an order: the field's name, and whether its largest value comes first."""

    name: str
    descending: bool


def parse_filter(text: str, kinds: Mapping[str, Kind]) -> tuple[Condition, ...]:
    """The conditions of a filter; none if it is blank.

    Args:
        text: in the language above.
        kinds: what the value of each field is, by name.

    Raises:
        FilterError: it is no filter, or compares what cannot be compared.
        UnknownNameError: a field that there is not.
    """
    return tuple(_condition(part, kinds) for part in text.split(",") if text.strip())


def parse_order(text: str, kinds: Mapping[str, Kind]) -> tuple[Key, ...]:
    """The keys of an order, the first one first; none if it is blank. Raises UnknownNameError."""
    parts = [part.strip() for part in text.split(",") if text.strip()]
    keys = tuple(Key(part.removeprefix("-").strip(), part.startswith("-")) for part in parts)
    for key in keys:
        _check_name(key.name, kinds)
    return keys


def kind_of(values: Iterable[Value]) -> Kind:
    """What all of the values are, None left out: truths, else numbers, else texts."""
    types = set(map(type, values)) - {NoneType}
    if types == {bool}:
        return "truth"
    return "number" if types <= {int, float} else "text"


def filtered(
    items: Iterable[Item], conditions: Iterable[Condition], field: Field[Item]
) -> list[Item]:
    """The items that meet all conditions; `field` gives what gives the value of a field."""
    kept = list(items)
    for condition in conditions:
        value = field(condition.name)
        kept = [item for item in kept if condition.holds(value(item))]
    return kept


def ordered(items: Iterable[Item], keys: Iterable[Key], field: Field[Item]) -> list[Item]:
    """The items by the first key, equal ones by the next; what is equal in all keeps its order."""
    result = list(items)
    for key in reversed(list(keys)):
        pairs = list(zip(map(field(key.name), result), result, strict=True))
        known = [pair for pair in pairs if pair[0] is not None]
        known.sort(key=itemgetter(0), reverse=key.descending)
        result = [item for _, item in known] + [item for value, item in pairs if value is None]
    return result


def _condition(text: str, kinds: Mapping[str, Kind]) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None or not match[3].strip():
        raise FilterError(
            f"expected a name, one of {', '.join(_OPERATORS)} and a value; got {text.strip()!r}",
            hint="`parameters<=20k,state=complete|paused`: a comma means and",
        )
    name, sign, values = match[1].strip(), match[2], match[3].split("|")
    _check_name(name, kinds)
    kind = kinds[name]
    if sign not in ("=", "!=") and (kind != "number" or len(values) > 1):
        what = "one number" if kind == "number" else "= or !="
        raise FilterError(
            f"expected {what} after {name!r}, which is a {kind}; got {text.strip()!r}"
        )
    wanted = tuple(_value(name, value.strip(), kind) for value in values)
    return Condition(name, _OPERATORS[sign], wanted, every=sign == "!=")


def _check_name(name: str, kinds: Mapping[str, Kind]) -> None:
    if name not in kinds:
        raise UnknownNameError("field", name, kinds)


def _value(name: str, text: str, kind: Kind) -> Value:
    if kind == "text":
        return text
    if kind == "truth":
        if text not in _TRUTH:
            raise FilterError(f"{name}: expected true or false; got {text!r}")
        return _TRUTH[text]
    number = _number(text)
    if number is None or not math.isfinite(number):
        raise FilterError(f"{name}: expected a number, like 0.5, 20k, 1.5M or 64KiB; got {text!r}")
    return number


def _number(text: str) -> float | None:
    """A plain number, which a quantity need not be: it may be negative or zero."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        quantity = Quantity.parse(text)
    except ValueError:
        return None
    return None if quantity.relative else quantity.amount
