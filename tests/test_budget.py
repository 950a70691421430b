"""Limits, and what is said of those that are exceeded."""

from __future__ import annotations

import pytest

from autokd.budget import excess_in_words


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.126, "1.13x"), (11.0, "12x"), (998.0, "999x"), (998.6, "1,000x"), (22_299.0, "22,300x")],
)
def test_an_excess_is_said_without_powers_of_ten(share, said):
    assert excess_in_words({"parameters": share}) == f"{said} the limit of parameters"


def test_all_limits_that_are_exceeded_are_named():
    assert excess_in_words({"macs": 1.0, "weight_bytes": 0.5}) == (
        "2x the limit of macs, 1.5x the limit of weight_bytes"
    )
