"""What every part of a study file is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

MOST_EPOCHS = 1_000_000
"""Of one network; what is larger is a slip of the keyboard."""


class Spec(BaseModel):
    """A part of a study file: frozen, its numbers finite, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NumberRange(Spec):
    """A number to search for: uniform from `low` to `high`, on a log scale if `log`."""

    low: float = Field(description="Smallest value, included.")
    high: float = Field(description="Largest value, included.")
    log: bool = Field(False, description="Whether each octave is equally likely.")

    @model_validator(mode="after")
    def _is_a_range(self) -> NumberRange:
        if self.low > self.high:
            raise ValueError(f"expected low <= high; got low {self.low} and high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"expected low > 0 on a log scale; got {self.low}")
        return self


def _searched_kind(value: Any) -> str:
    return "range" if isinstance(value, dict | NumberRange) else "number"


Searched = Annotated[
    Annotated[float, Tag("number")] | Annotated[NumberRange, Tag("range")],
    Discriminator(_searched_kind),
]
"""A fixed number, or a range to search."""


def refuse_repeats(what: str, names: Iterable[str]) -> None:
    """Raises ValueError if a name stands more than once among `names`."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(f"expected each {what} once; got {', '.join(map(repr, repeated))} again")
