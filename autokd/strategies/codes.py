"""Values as the numbers that stand for them in other libraries: categories and grids by index."""

from __future__ import annotations

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from autokd.space import Choice


def code_of(value: Choice, distribution: BaseDistribution) -> int | float:
    """The number of a value: of a category its index, on a linear grid the step, else itself."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices.index(value)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    assert not isinstance(value, str)
    if distribution.step is None or distribution.log:
        return value
    return round((value - distribution.low) / distribution.step)


def value_of(code: int | float, distribution: BaseDistribution) -> Choice:
    """The value of a number: the inverse of `code_of`; within the range in spite of rounding."""
    if isinstance(distribution, CategoricalDistribution):
        choice = distribution.choices[int(code)]
        assert choice is not None
        return choice
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    value: int | float
    if distribution.step is None or distribution.log:
        value = type(distribution.low)(code)
    else:
        value = distribution.low + distribution.step * int(code)
    return min(max(value, distribution.low), distribution.high)


def range_of(distribution: BaseDistribution) -> tuple[tuple[int | float, int | float], bool]:
    """The lowest and highest code of a number, and whether all codes are whole."""
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    ends = code_of(distribution.low, distribution), code_of(distribution.high, distribution)
    return ends, isinstance(distribution, IntDistribution) or distribution.step is not None
