"""A token has as many studies and bytes as it may, also when it asks for several at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from autokd.store import Store
from autokd.trial import StudyState
from service.settings import Settings

from .conftest import Service, searched, serving
from .test_uploads import WEIGHTS

_TOGETHER_SECONDS = 0.2
"""How long one request waits for the other at the moment when both count."""


@pytest.fixture
def service(url: str, tmp_path: Path) -> Iterator[Service]:
    """On each of the databases."""
    with serving(Settings(storage=url, files=tmp_path / "autokd.files")) as service:
        yield service


@pytest.fixture
def launcher(service: Service) -> TestClient:
    """May have one study under way."""
    body = {"name": "ci", "scope": "launch", "limits": {"studies": 1}}
    made = service.client("admin").post("/tokens", json=body)
    return service.client_with(made.json()["token"])


@pytest.fixture
def counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests that count do so at one moment, if nothing else keeps them apart."""
    for name in ("wanted_studies", "uploaded_bytes"):
        monkeypatch.setattr(Store, name, _waiting(getattr(Store, name), threading.Barrier(2)))


def _waiting(count: Callable[..., Any], both: threading.Barrier) -> Callable[..., Any]:
    def counted(*arguments: Any) -> Any:
        found = count(*arguments)
        with suppress(threading.BrokenBarrierError):
            both.wait(_TOGETHER_SECONDS)
        both.reset()
        return found

    return counted


def _at_once(client: TestClient, *requests: tuple[str, dict[str, Any]]) -> list[int]:
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = pool.map(lambda request: client.post(request[0], json=request[1]), requests)
        return sorted(answer.status_code for answer in answers)


def test_of_two_uploads_that_arrive_at_once_one_is_refused(
    service: Service, counted_at_once: None
) -> None:
    limits = {"disk_bytes": len(WEIGHTS) + 1}
    body = {"name": "ci", "scope": "launch", "limits": limits}
    token = service.client("admin").post("/tokens", json=body).json()["token"]
    client = service.client_with(token)
    announced = {"kind": "teacher", "name": "mine"}
    ids = [client.post("/uploads", json=announced).json()["id"] for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(
            lambda upload: client.put(f"/uploads/{upload}/content", content=WEIGHTS), ids
        )
        assert sorted(answer.status_code for answer in answers) == [200, 413]
    assert [upload.size_bytes for upload in service.store.uploads()].count(0) == 1


def test_of_two_studies_that_are_created_at_once_one_is_refused(
    launcher: TestClient, service: Service, spec: dict[str, Any], counted_at_once: None
) -> None:
    specs = [{"spec": {**spec, "name": name}} for name in ("a", "b")]
    assert _at_once(launcher, *(("/studies", body) for body in specs)) == [201, 429]
    assert len(service.store.studies()) == 1


def test_of_two_trials_that_wake_their_studies_at_once_one_is_refused(
    launcher: TestClient, service: Service, spec: dict[str, Any], counted_at_once: None
) -> None:
    for name in ("a", "b"):
        searched(service.store, {**spec, "name": name})
    retries = ((f"/studies/{name}/trials/4:retry", {}) for name in ("a", "b"))
    assert _at_once(launcher, *retries) == [202, 429]
    assert len(service.store.operations()) == 1


def test_a_request_that_comes_again_does_not_count_what_it_made(
    launcher: TestClient,
    service: Service,
    spec: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(*_: Any) -> None:
        raise RuntimeError("the process dies before it has answered")

    key = {"Idempotency-Key": "once"}
    with monkeypatch.context() as patched:
        patched.setattr("service.routes.studies.study_json", die)
        assert launcher.post("/studies", json={"spec": spec}, headers=key).status_code == 500
    assert launcher.post("/studies", json={"spec": spec}, headers=key).status_code == 201
    assert [study.name for study in service.store.studies()] == ["digits"]


def test_a_study_that_goes_on_counts(
    launcher: TestClient, service: Service, spec: dict[str, Any]
) -> None:
    ended = searched(service.store, {**spec, "name": "ended"})
    launcher.post("/studies", json={"spec": spec})
    for verb, body in ((":extend", {"limits": {"trials": 100}}), (":resume", None)):
        service.store.update_study(ended.id, state=StudyState.FAILED)
        answer = launcher.post(f"/studies/ended{verb}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_studies")
    assert service.store.study("ended").wish is None
    assert launcher.post("/studies/digits:extend", json={"limits": {"trials": 100}}).is_success


def test_a_study_that_waits_does_not_count_until_it_is_to_run(
    launcher: TestClient, service: Service, spec: dict[str, Any]
) -> None:
    launcher.post("/studies", json={"spec": spec})
    waiting = {"spec": {**spec, "name": "waiting"}, "paused": True}
    assert launcher.post("/studies", json=waiting).status_code == 201
    assert launcher.post("/studies/waiting:resume").status_code == 429
    assert service.store.study("waiting").status == "paused"


def test_a_study_that_is_brought_back_to_run_counts(
    launcher: TestClient, service: Service, spec: dict[str, Any]
) -> None:
    deleted = launcher.post("/studies", json={"spec": {**spec, "name": "deleted"}}).json()["id"]
    launcher.delete("/studies/deleted")
    launcher.post("/studies", json={"spec": spec})
    assert launcher.post(f"/studies/{deleted}:undelete").status_code == 429
    assert service.store.study(service.store.studies(deleted=True)[0].id).deleted is not None
    launcher.post("/studies/digits:pause")
    brought = launcher.post(f"/studies/{deleted}:undelete")
    assert (brought.status_code, brought.json()["state"]) == (200, "queued")
