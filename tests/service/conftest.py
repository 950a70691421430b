"""A service over a record that was written by hand: no training, and the same on any day."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from autokd.budget import Cost
from autokd.space import Architecture
from autokd.spec import read_study
from autokd.store import Store, StudyRecord
from autokd.trial import (
    Evaluation,
    Failure,
    FailureClass,
    StopReason,
    StudyState,
    TrialKind,
    TrialState,
)
from service.access import Scope, make_token
from service.app import create_app
from service.settings import Settings

HOST = "http://127.0.0.1:8000"
TEACHER = {
    "parameters": 100_000,
    "weight_bytes": 400_000,
    "peak_activation_bytes": 40_000,
    "macs": 5_000_000,
    "accuracy": 0.95,
}


@pytest.fixture
def spec(tiny_spec: dict[str, Any]) -> dict[str, Any]:
    """A study file that may come with a request."""
    return {**tiny_spec, "name": "digits"}


@dataclass
class Service:
    """A running app, its record, and a client for each scope.

    Attributes:
        store: the record, as another process would have it.
        settings: of the app.
        anonymous: a client without a token.
        tokens: a secret for each scope.
    """

    store: Store
    settings: Settings
    anonymous: TestClient
    tokens: dict[str, str]

    def client(self, scope: str) -> TestClient:
        """A client with a token of the scope; it shares the app with the others."""
        return self.client_with(self.tokens[scope])

    def client_with(self, token: str | None) -> TestClient:
        """A client with that token, or with none and no cookies either."""
        client = TestClient(self.anonymous.app, base_url=f"{HOST}/api/v1")
        client.portal = self.anonymous.portal  # the event loop that the app runs in
        if token is not None:
            client.headers["Authorization"] = f"Bearer {token}"
        return client


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables and nothing in them: making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "autokd.db"
    Store.open(path).close()
    return path


@pytest.fixture
def settings(tmp_path: Path, empty_database: Path) -> Settings:
    """Of a service on loopback with a new SQLite database."""
    return Settings(storage=str(shutil.copy(empty_database, tmp_path)))


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    """The app, with its background tasks, and a record that is still empty."""
    with serving(settings) as service:
        yield service


@pytest.fixture(scope="session")
def recorded(
    empty_database: Path, tiny_spec: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service with the study `digits`, as below, for tests that only read."""
    storage = shutil.copy(empty_database, tmp_path_factory.mktemp("recorded"))
    with serving(Settings(storage=str(storage))) as service:
        searched(service.store, {**tiny_spec, "name": "digits"})
        yield service


@contextmanager
def serving(settings: Settings) -> Iterator[Service]:
    """The app of these settings, with a token for each scope."""
    app = create_app(settings)
    with (
        Store.open(settings.storage, files=settings.files) as store,
        TestClient(app, base_url=f"{HOST}/api/v1") as anonymous,
    ):
        tokens = {
            scope.word: make_token(store, scope.word, scope)[1]
            for scope in (Scope.READ, Scope.LAUNCH, Scope.ADMIN)
        }
        yield Service(store, settings, anonymous, tokens)


@pytest.fixture
def reader(service: Service) -> TestClient:
    """May read."""
    return service.client("read")


@pytest.fixture
def launcher(service: Service) -> TestClient:
    """May launch."""
    return service.client("launch")


@pytest.fixture
def admin(service: Service) -> TestClient:
    """May do everything."""
    return service.client("admin")


@pytest.fixture
def digits(service: Service, spec: dict[str, Any]) -> StudyRecord:
    """A completed study of six trials: two rungs, one pruned, one over budget, one failed."""
    return searched(service.store, spec)


def searched(store: Store, spec: dict[str, Any], trials: int = 6) -> StudyRecord:
    """A completed study in the record, as a coordinator would have left it."""
    study = store.create_study(spec["name"], read_study(spec).model_dump(mode="json"))
    store.update_study(study.id, state=StudyState.RUNNING, teacher=TEACHER)
    for number in range(trials):
        _add_trial(store, study, number)
    store.update_study(study.id, state=StudyState.COMPLETED, stop_reason=StopReason.TRIALS)
    return store.study(study.id)


def _add_trial(store: Store, study: StudyRecord, number: int) -> None:
    parameters = 4_000 + 1_500 * number
    over, fails, pruned = number % 6 == 5, number % 6 == 4, number % 6 == 3
    trial = store.add_trial(
        study.id,
        kind=TrialKind.SEARCH,
        architecture=Architecture(
            "hierarchical_graph", {"top_nodes": 3, "bottom_nodes": 2 + number % 2}, seed=number
        ),
        distillation={"kd.temperature": 2.0 + number},
        cost=Cost(
            parameters=parameters,
            weight_bytes=4 * parameters,
            peak_activation_bytes=3_000 + 100 * number,
            macs=10 * parameters,
        ),
        repeat=0,
        state=TrialState.INFEASIBLE if over else TrialState.QUEUED,
        epochs=1,
    )
    if over:
        return
    accuracy = 0.80 + 0.01 * number
    for epochs in (1,) if pruned else (1, 2):
        attempt = store.start_attempt(study.id, trial.number, lease_seconds=60)
        folder = study.folder / attempt.folder
        folder.mkdir(parents=True)
        (folder / "log.txt").write_text(f"attempt {attempt.n} of trial {trial.number}\n")
        if fails:
            store.fail_attempt(
                attempt.id, attempt.token, Failure(FailureClass.NAN, "the loss is not finite")
            )
            return
        metrics = {"accuracy": accuracy - 0.05 * (2 - epochs), "loss": 1.0 - accuracy}
        store.record_epoch(attempt.id, attempt.token, epochs, metrics)
        state = TrialState.COMPLETE if epochs == 2 else TrialState.PAUSED
        store.finish_attempt(attempt.id, attempt.token, Evaluation(epochs, metrics), None, state)
        if epochs == 1 and not pruned:
            store.promote(study.id, trial.number, 2)
