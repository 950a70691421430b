"""Errors travel between processes as they are."""

from __future__ import annotations

import pickle  # noqa: TID251 (as process pools send what a worker raises)

import pytest

from autokd.errors import DataError, Mistake, SpecError, StorageFullError, UnknownNameError


@pytest.mark.parametrize(
    "error",
    [
        UnknownNameError("strategy", "bayesain", ["bayesian", "random"]),
        SpecError("the study", [Mistake("seed", "expected a number"), Mistake("data", "expected")]),
        DataError("expected images", hint="bring some", field="data.path"),
        StorageFullError("the disk is full"),
    ],
)
def test_another_process_gets_the_same_error(error):
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
