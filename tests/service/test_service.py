from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

import autokd
from autokd.store import StudyRecord
from service import middleware
from service.routes.service import ALIVE

from .conftest import Service


def test_anybody_may_know_what_it_is(service: Service) -> None:
    meta = service.anonymous.get("/meta").json()
    assert meta == {"version": autokd.__version__, "api": "v1", "authentication": True}


class TestWorkers:
    def test_a_coordinator_is_listed_with_its_studies_and_running_trials(
        self, digits: StudyRecord, service: Service, reader: TestClient
    ) -> None:
        store = service.store
        coordinator = store.add_coordinator("lab", 4711, slots=4)
        store.promote(digits.id, 3, 2)
        store.start_attempt(digits.id, 3, lease_seconds=60)
        store.beat(coordinator.id, {str(digits.id): 2})
        (worker,) = reader.get("/workers").json()["items"]
        assert (worker["host"], worker["pid"], worker["slots"]) == ("lab", 4711, 4)
        assert worker["alive"]
        assert worker["running"] == [
            {"study": f"std_{digits.id}", "name": "digits", "slots": 2, "trials": [3]}
        ]

    def test_one_whose_heart_has_stopped_is_not_alive(
        self, service: Service, reader: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service.store.add_coordinator("lab", 4711, slots=4)

        class Later(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return datetime.now(UTC) + ALIVE + timedelta(seconds=1)

        monkeypatch.setattr("service.routes.service.datetime", Later)
        (worker,) = reader.get("/workers").json()["items"]
        assert not worker["alive"]

    def test_a_share_in_a_study_that_was_purged_is_left_out(
        self, digits: StudyRecord, service: Service, reader: TestClient
    ) -> None:
        coordinator = service.store.add_coordinator("lab", 4711, slots=4)
        service.store.beat(coordinator.id, {str(digits.id): 2})
        service.store.delete_study(digits.id)
        answer = reader.get("/workers")
        assert answer.status_code == 200
        assert answer.json()["items"][0]["running"] == []


class TestStorage:
    def test_it_says_what_each_study_takes(
        self, digits: StudyRecord, service: Service, launcher: TestClient, spec: dict[str, Any]
    ) -> None:
        launcher.post("/studies", json={"spec": {**spec, "name": "small"}})
        (digits.folder / "big.bin").write_bytes(b"\0" * 100_000)
        launcher.delete("/studies/small")
        storage = launcher.get("/storage").json()
        first, second = storage["studies"]
        assert (first["name"], first["deleted"], first["bytes"] > 100_000) == (
            "digits",
            False,
            True,
        )
        assert (second["name"], second["deleted"], second["bytes"]) == ("small", True, 0)
        assert storage["bytes"]["studies"] == first["bytes"]
        assert storage["bytes"]["database"] > 0
        assert storage["free_bytes"] > 0


class TestAudit:
    def test_it_tells_who_changed_or_tried_what_but_not_of_strangers(
        self, digits: StudyRecord, service: Service, admin: TestClient
    ) -> None:
        launcher = service.client("launch")
        changed = launcher.patch("/studies/digits", json={"labels": {"a": "b"}})
        service.client("read").delete("/studies/digits")
        service.client_with(None).get("/studies/digits")
        launcher.get("/studies/digits")
        events = admin.get("/audit_events").json()["items"]
        assert [
            (each["name"], each["operation"], each["target"], each["status"]) for each in events
        ] == [
            ("read", "delete_study", "/api/v1/studies/digits", 403),
            ("launch", "change_study", "/api/v1/studies/digits", 200),
        ]
        assert events[1]["request_id"] == changed.headers["x-request-id"]
        assert [event["token"] for event in events] == ["tok_1", "tok_2"]

    def test_a_session_counts_as_its_token(self, service: Service, admin: TestClient) -> None:
        browser = service.client_with(None)
        browser.post("/session", json={"token": service.tokens["launch"]})
        browser.post("/studies/none:pause", headers={"X-Autokd-Session": "1"})
        newest = admin.get("/audit_events").json()["items"][0]
        assert (newest["name"], newest["token"], newest["status"]) == ("launch", "tok_2", 404)

    def test_logins_are_in_it_also_those_that_fail(
        self, service: Service, admin: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(middleware, "_LOGIN_SECONDS", 0.0)
        browser = service.client_with(None)
        browser.post("/session", json={"token": "akd_" + "x" * 48})
        browser.post("/session", json={"token": service.tokens["read"]})
        foreign = {"Origin": "https://evil.example"}
        browser.post("/session", json={"token": service.tokens["read"]}, headers=foreign)
        events = admin.get("/audit_events").json()["items"]
        assert [
            (each["name"], each["token"], each["operation"], each["status"]) for each in events
        ] == [
            ("unknown", None, "open_session", 403),
            ("read", "tok_1", "open_session", 200),
            ("unknown", None, "open_session", 401),
        ]

    def test_whoever_tries_thousands_of_tokens_does_not_fill_it(
        self, service: Service, admin: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(middleware, "_LOGIN_SECONDS", 3600.0)
        for _ in range(3):
            service.client_with(None).post("/session", json={"token": "akd_" + "x" * 48})
        assert admin.get("/audit_events").json()["total"] == 1

    def test_it_is_read_in_parts(self, service: Service, admin: TestClient) -> None:
        for _ in range(5):
            admin.post("/studies/none:pause")
        numbers, token = [], ""
        while token is not None:
            page = admin.get(f"/audit_events?page_size=2{token}").json()
            assert page["total"] == 5
            numbers += [event["number"] for event in page["items"]]
            token = page["next_page_token"] and f"&page_token={page['next_page_token']}"
        assert numbers == sorted(numbers, reverse=True)
        assert len(numbers) == 5

    @pytest.mark.parametrize("token", ["2", "x", "OTk5", "9" * 30])
    def test_what_is_no_page_token_of_it_is_refused(self, token: str, admin: TestClient) -> None:
        answer = admin.get(f"/audit_events?page_token={token}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_page_token")
