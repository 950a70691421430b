from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autokd.spec import KDLossSpec, Quantity
from autokd.spec.plain import plain
from autokd.spec.text import read_yaml


def test_spec_values_become_what_they_are_written_as() -> None:
    data = {
        "path": Path("data/x.npz"),
        "limit": Quantity.parse("2GiB"),
        "mean": (0.5, 0.25),
        "loss": KDLossSpec(name="kd", temperature=2.0, weight=0.5),
    }
    assert plain(data) == (
        {
            "path": "data/x.npz",
            "limit": "2GiB",
            "mean": [0.5, 0.25],
            "loss": {"name": "kd", "temperature": 2.0, "weight": 0.5},
        },
        [],
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "a.0: expected a finite number; got nan"),
        (2**63, "a.0: expected an integer of at most 63 bits; got a larger one"),
        pytest.param(
            10**5_000, "a.0: expected an integer of at most 63 bits; got a larger one", id="huge"
        ),
        ("\ud800", "a.0: expected whole Unicode text; got '\\ud800'"),
        (b"x", "a.0: expected text, a number, a list or a mapping; got b'x'"),
        ({1: 2}, "a.0: expected names of fields as text; got 1"),
    ],
)
def test_a_value_that_json_cannot_hold_is_a_mistake(value: Any, message: str) -> None:
    _, mistakes = plain({"a": [value]})
    assert [str(mistake) for mistake in mistakes] == [message]


def test_data_that_holds_itself_is_a_mistake() -> None:
    loop: list[Any] = []
    loop.append(loop)
    data, mistakes = plain({"a": loop})
    assert data is None
    assert "got more" in str(mistakes[0])


def test_a_few_lines_that_stand_for_billions_of_values_are_a_mistake() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    data, mistakes = plain(read_yaml("\n".join(lines))[0])
    assert data is None
    assert len(mistakes) == 1
