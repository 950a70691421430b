"""Webhooks are the administrator's; their secrets are shown once."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from autokd.store import StudyRecord
from service.deliveries import Deliveries
from service.settings import Settings

from .conftest import Service

URL = "https://hooks.example/autokd"


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a service that sends nothing by itself."""

    async def nothing(_deliveries: Deliveries) -> int:
        return 0

    monkeypatch.setattr(Deliveries, "send_due", nothing)
    return settings


@pytest.fixture
def made(admin: TestClient) -> dict[str, Any]:
    answer = admin.post("/webhooks", json={"url": URL, "kinds": ["study", "trial", "study"]})
    assert answer.status_code == 201
    body: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/v1/webhooks/{body['id']}"
    return body


def test_a_webhook_is_made_with_a_secret_that_is_shown_once(
    admin: TestClient, made: dict[str, Any]
) -> None:
    assert (made["id"], made["url"], made["kinds"]) == ("whk_1", URL, ["study", "trial"])
    assert made["secret"].startswith("whsec_")
    for path in ("/webhooks", "/webhooks/whk_1", "/webhooks/whk_1/deliveries"):
        assert made["secret"] not in admin.get(path).text
    (listed,) = admin.get("/webhooks").json()["items"]
    assert listed == admin.get("/webhooks/whk_1").json()
    assert listed == {name: value for name, value in made.items() if name != "secret"}


def test_it_wants_to_know_of_studies_if_nothing_else_is_said(admin: TestClient) -> None:
    assert admin.post("/webhooks", json={"url": URL}).json()["kinds"] == ["study"]


def test_addresses_that_may_not_be_reached_and_other_mistakes_are_refused(
    admin: TestClient,
) -> None:
    for body, code in (
        ({"url": "http://hooks.example/"}, "refused_url"),
        ({"url": "https://127.0.0.1/"}, "refused_url"),
        ({"url": "https://169.254.169.254/latest"}, "refused_url"),
        ({"url": "https://10.1.2.3/"}, "refused_url"),
        ({"url": "https://[fe80::1]/"}, "refused_url"),
        ({"url": "https://localhost/"}, "refused_url"),
        ({"url": "https://hooks.LOCALHOST./"}, "refused_url"),
        ({"url": "https://127.1/"}, "refused_url"),
        ({"url": "https://0x0a.1/"}, "refused_url"),
        ({"url": "https://2130706433/"}, "refused_url"),
        ({"url": "https://user:password@hooks.example/"}, "refused_url"),
        ({"url": f"{URL}/{'a' * 2048}"}, "invalid_request"),
        ({"url": URL, "kinds": []}, "invalid_request"),
        ({"url": URL, "kinds": ["everything"]}, "invalid_request"),
        ({"url": URL, "secret": "mine"}, "invalid_request"),
        ({}, "invalid_request"),
    ):
        answer = admin.post("/webhooks", json=body)
        assert (body, answer.status_code, answer.json()["code"]) == (body, 422, code)
        if code == "refused_url":
            assert [one["pointer"] for one in answer.json()["errors"]] == ["/url"]
    assert admin.get("/webhooks").json()["items"] == []


@pytest.mark.parametrize("url", ["http://a.lan/", "https://a.example:8080/", "https://10.1.2.3/"])
def test_what_the_operator_could_allow_is_refused_with_the_name_of_the_setting(
    url: str, admin: TestClient
) -> None:
    assert "AUTOKD_WEBHOOK_HOSTS" in admin.post("/webhooks", json={"url": url}).json()["hint"]


def test_a_deleted_webhook_is_gone(admin: TestClient, made: dict[str, Any]) -> None:
    assert admin.delete("/webhooks/whk_1").status_code == 204
    for answer in (
        admin.get("/webhooks/whk_1"),
        admin.delete("/webhooks/whk_1"),
        admin.post("/webhooks/whk_1:test"),
        admin.get("/webhooks/whk_1/deliveries"),
        admin.post("/webhooks/whk_1/deliveries/1:redeliver"),
        admin.get("/webhooks/std_1"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_test_is_a_delivery(admin: TestClient, made: dict[str, Any], service: Service) -> None:
    answer = admin.post("/webhooks/whk_1:test")
    assert answer.status_code == 202
    (delivery,) = admin.get("/webhooks/whk_1/deliveries").json()["items"]
    assert delivery["id"] == answer.json()["id"]
    assert (delivery["event"], delivery["state"]) == (None, "pending")
    body = service.store.delivery(1, delivery["id"]).body
    assert (body["type"], body["data"]) == ("test", {"webhook": "whk_1"})


def test_a_message_is_sent_once_more_as_it_was(
    admin: TestClient, made: dict[str, Any], service: Service, digits: StudyRecord
) -> None:
    store = service.store
    first = store.add_delivery(1, 7, {"type": "study"})
    store.end_delivery(first.id, status=204)
    answer = admin.post(f"/webhooks/whk_1/deliveries/{first.id}:redeliver")
    assert answer.status_code == 202
    assert answer.json()["id"] > first.id
    again = store.delivery(1, answer.json()["id"])
    assert (again.event, again.body) == (7, {"type": "study"})
    assert admin.post("/webhooks/whk_1/deliveries/99999:redeliver").status_code == 404


def test_deliveries_are_listed_newest_first_with_what_came_of_them(
    admin: TestClient, made: dict[str, Any], service: Service
) -> None:
    store = service.store
    ids = [store.add_delivery(1, event, {}).id for event in (3, 4)]
    store.end_delivery(ids[0], status=204)
    store.end_delivery(ids[1], status=500, message="it answered 500")
    page = admin.get("/webhooks/whk_1/deliveries?page_size=1").json()
    (newest,) = page["items"]
    assert page["total"] == 2
    assert (newest["event"], newest["state"]) == (4, "failed")
    assert (newest["status"], newest["response_status"]) == ("it answered 500", 500)
    assert newest["due"] is None
    token = page["next_page_token"]
    url = f"/webhooks/whk_1/deliveries?page_size=1&page_token={token}"
    (oldest,) = admin.get(url).json()["items"]
    assert (oldest["event"], oldest["status"], oldest["response_status"]) == (3, "delivered", 204)


def test_only_an_administrator_sees_or_changes_them(
    launcher: TestClient, made: dict[str, Any]
) -> None:
    for answer in (
        launcher.get("/webhooks"),
        launcher.post("/webhooks", json={"url": URL}),
        launcher.get("/webhooks/whk_1"),
        launcher.delete("/webhooks/whk_1"),
        launcher.post("/webhooks/whk_1:test"),
        launcher.get("/webhooks/whk_1/deliveries"),
        launcher.post("/webhooks/whk_1/deliveries/1:redeliver"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
