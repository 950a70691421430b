from __future__ import annotations

import threading
from typing import Any

import pytest
from starlette.testclient import TestClient

from autokd.store import StudyRecord

from .conftest import Service


@pytest.fixture
def asked(digits: StudyRecord, service: Service) -> list[int]:
    """Ids of three operations: one has succeeded, one has failed, one waits."""
    store = service.store
    ids = [store.add_operation("retry", digits.id, {"trial": 4}).id for _ in range(3)]
    store.end_operation(ids[0], response={"trial": 4})
    error = {"class": "NothingFeasibleError", "message": "none", "hint": "more", "exit_code": 6}
    store.end_operation(ids[1], error=error)
    return ids


def test_they_are_listed_newest_first_and_filtered(asked: list[int], reader: TestClient) -> None:
    def listed(query: str) -> list[str]:
        page = reader.get(f"/operations?{query}").json()
        return [operation["id"] for operation in page["items"]]

    first, second, third = (f"op_{id}" for id in asked)
    assert listed("") == [third, second, first]
    assert listed("state=queued") == [third]
    assert listed("state=succeeded&state=failed") == [second, first]
    assert listed("study=digits&page_size=1") == [third]
    assert reader.get("/operations?state=done").status_code == 422


def test_exactly_one_of_response_and_error_is_there_at_the_end(
    asked: list[int], reader: TestClient
) -> None:
    succeeded, failed, queued = (reader.get(f"/operations/op_{id}").json() for id in asked)
    assert (succeeded["done"], succeeded["response"], succeeded["error"]) == (
        True,
        {"trial": 4},
        None,
    )
    assert (failed["done"], failed["response"]) == (True, None)
    problem = failed["error"]
    assert (problem["status"], problem["code"], problem["hint"]) == (
        404,
        "nothing_feasible",
        "more",
    )
    assert (queued["done"], queued["response"], queued["error"]) == (False, None, None)


def test_who_waits_is_answered_at_its_end(
    asked: list[int], service: Service, reader: TestClient
) -> None:
    answers: list[Any] = []
    path = f"/operations/op_{asked[2]}?wait=30"
    waiting = threading.Thread(target=lambda: answers.append(reader.get(path).json()))
    waiting.start()
    service.store.end_operation(asked[2], response={})
    waiting.join()
    assert answers[0]["state"] == "succeeded"


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon"])
def test_nobody_waits_for_ever(wait: str, asked: list[int], reader: TestClient) -> None:
    assert reader.get(f"/operations/op_{asked[2]}?wait={wait}").status_code == 422


def test_what_has_not_ended_is_cancelled_once(asked: list[int], launcher: TestClient) -> None:
    first = launcher.post(f"/operations/op_{asked[2]}:cancel")
    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    again = launcher.post(f"/operations/op_{asked[2]}:cancel")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_they_outlive_their_study(
    asked: list[int], digits: StudyRecord, service: Service, reader: TestClient
) -> None:
    service.store.hide_study(digits.id)
    service.store.delete_study(digits.id)
    assert reader.get(f"/operations/op_{asked[0]}").json()["study"] == f"std_{digits.id}"
    assert reader.get("/operations").json()["total"] == 3
