from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from autokd.spec.quantity import AbsoluteBytes, Bytes, Count, Milliseconds, Quantity


@pytest.mark.parametrize(
    ("text", "amount", "relative"),
    [
        ("20k", 20_000, False),
        ("1.5M", 1_500_000, False),
        ("64KiB", 65_536, False),
        ("2MB", 2_000_000, False),
        ("1GiB", 2**30, False),
        ("3ms", 3, False),
        (" 7 B ", 7, False),
        ("1e3", 1_000, False),
        (512, 512, False),
        (0.5, 0.5, False),
        ("0.1x", 0.1, True),
    ],
)
def test_a_quantity_is_the_number_times_its_unit(
    text: str | float, amount: float, relative: bool
) -> None:
    quantity = Quantity.parse(text)
    assert (quantity.amount, quantity.relative) == (amount, relative)


@pytest.mark.parametrize("text", ["", "k", "-3", "0", "3 parsecs", "1e999", "nan", "1,5M", True])
def test_what_is_no_positive_number_with_a_known_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a positive number with an optional unit"):
        Quantity.parse(text)


def test_a_relative_quantity_is_resolved_by_the_teachers_figure() -> None:
    assert Quantity.parse("0.1x").resolve(270_000) == 27_000
    assert Quantity.parse("20k").resolve(270_000) == 20_000


def test_two_spellings_of_one_amount_are_equal_and_have_one_canonical_text() -> None:
    first, second = Quantity.parse("1.5M"), Quantity.parse(1_500_000)
    assert first == second
    assert first.canonical == second.canonical
    assert first.text != second.text
    assert Quantity.parse("2x").canonical != Quantity.parse("2").canonical


@given(st.floats(min_value=1e-9, max_value=1e18), st.sampled_from(["", "k", "MiB", "ms", "x"]))
def test_the_text_of_a_quantity_spells_the_same_quantity(number: float, unit: str) -> None:
    quantity = Quantity.parse(f"{number}{unit}")
    assert Quantity.parse(quantity.text) == quantity
    assert Quantity.parse(quantity.canonical) == quantity


@pytest.mark.parametrize(
    ("kind", "accepted", "refused"),
    [
        (Count, ["20k", "0.1x", 3], ["2MB", "5ms"]),
        (Bytes, ["64KiB", "0.1x", "20k", 3], ["5ms"]),
        (AbsoluteBytes, ["64KiB", 3], ["5ms", "0.1x"]),
        (Milliseconds, ["5ms", "0.5x", 3], ["2MB", "20k"]),
    ],
)
def test_a_figure_takes_only_its_own_units(
    kind: object, accepted: list[str | float], refused: list[str]
) -> None:
    adapter: TypeAdapter[Quantity] = TypeAdapter(kind)
    for text in accepted:
        assert adapter.validate_python(text) == Quantity.parse(text)
    for text in refused:
        with pytest.raises(ValidationError, match=f"got '{text}'"):
            adapter.validate_python(text)
