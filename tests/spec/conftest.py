from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from autokd.errors import SpecError
from autokd.spec import names, read_study

_STUDY = {
    "name": "small",
    "data": {"name": "digits"},
    "teacher": {"model": "resnet20"},
    "space": {"name": "hierarchical_graph"},
    "distillation": {"losses": [{"name": "kd"}]},
    "fidelity": {"min_epochs": 1, "max_epochs": 9},
}


@pytest.fixture(autouse=True)
def installed_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "search_space_names", lambda: ("hierarchical_graph", "tiny_chain"))


@pytest.fixture
def study() -> dict[str, Any]:
    """The smallest study file, as data."""
    return copy.deepcopy(_STUDY)


@pytest.fixture
def mistakes() -> Callable[[Any], list[str]]:
    """Reads a study that is wrong and gives the lines of its error."""

    def read(source: Any) -> list[str]:
        with pytest.raises(SpecError) as caught:
            read_study(source)
        return [str(mistake) for mistake in caught.value.mistakes]

    return read
