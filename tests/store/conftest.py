"""A fresh database for each test: SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autokd.budget import Cost
from autokd.space import Architecture
from autokd.store import Store, StudyRecord
from autokd.trial import Trial, TrialKind, TrialState


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:
    with Store.open(url, files=tmp_path / "autokd.files") as opened:
        yield opened


@pytest.fixture
def study(store: Store) -> StudyRecord:
    return store.create_study("digits", {"seed": 0})


@pytest.fixture
def new_trial(store: Store, study: StudyRecord) -> Callable[..., Trial]:
    """Adds a queued search trial of the candidate `width=16`, but for what is given."""

    def add(width: int = 16, **given: Any) -> Trial:
        values: dict[str, Any] = {
            "kind": TrialKind.SEARCH,
            "architecture": Architecture("chain", {"width": width, "top": "ring"}, seed=3),
            "distillation": {"kd.temperature": 4.0},
            "cost": Cost(1000 * width, 4000 * width, 512, 10**6),
            "repeat": 0,
            "state": TrialState.QUEUED,
            "epochs": 2,
        }
        return store.add_trial(study.id, **{**values, **given})

    return add
