from __future__ import annotations

import csv
import io
import threading
from typing import Any

import pytest
from starlette.testclient import TestClient

from autokd.errors import DataError, Mistake, SpecError
from autokd.inspector import Inspector, InspectorError
from autokd.space import Architecture
from autokd.store import StudyRecord
from autokd.trial import TrialKind, TrialState

from .conftest import Service


@pytest.fixture
def reading(recorded: Service) -> TestClient:
    """May read the study `digits`."""
    return recorded.client("read")


class TestList:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({}, [0, 1, 2, 3, 4, 5]),
            ({"filter": "parameters<=6k"}, [0, 1]),
            ({"filter": "state=complete|paused,accuracy>0.8"}, [1, 2]),
            ({"filter": "feasible=false"}, [5]),
            ({"filter": "on_front=true"}, [0, 1, 2]),
            ({"filter": "choices.bottom_nodes=3"}, [1, 3, 5]),
            ({"filter": "distillation.kd.temperature>=4"}, [2, 3, 4, 5]),
            ({"order_by": "-parameters"}, [5, 4, 3, 2, 1, 0]),
            ({"order_by": "-accuracy,parameters"}, [2, 1, 0, 3, 4, 5]),
            ({"filter": "epochs>=1", "order_by": "-choices.bottom_nodes,number"}, [1, 3, 0, 2]),
        ],
    )
    def test_candidates_are_filtered_and_ordered(
        self, query: dict[str, str], expected: list[int], reading: TestClient
    ) -> None:
        page = reading.get("/studies/digits/candidates", params=query).json()
        assert [candidate["number"] for candidate in page["items"]] == expected
        assert page["total"] == len(expected)

    def test_they_come_in_parts(self, reading: TestClient) -> None:
        query = {"order_by": "-parameters", "page_size": "4"}
        first = reading.get("/studies/digits/candidates", params=query).json()
        query["page_token"] = first["next_page_token"]
        second = reading.get("/studies/digits/candidates", params=query).json()
        assert [item["number"] for item in first["items"] + second["items"]] == [5, 4, 3, 2, 1, 0]
        assert second["next_page_token"] is None

    @pytest.mark.parametrize(
        ("query", "status", "code"),
        [
            ({"filter": "parameters"}, 422, "invalid_filter"),
            ({"filter": "parameters<=many"}, 422, "invalid_filter"),
            ({"filter": "parametres<=20k"}, 422, "unknown_name"),
            ({"order_by": "-acuracy"}, 422, "unknown_name"),
            ({"filter": "a" * 2001}, 422, "invalid_request"),
        ],
    )
    def test_what_is_no_filter_or_order_is_refused(
        self, query: dict[str, str], status: int, code: str, reading: TestClient
    ) -> None:
        answer = reading.get("/studies/digits/candidates", params=query)
        assert (answer.status_code, answer.json()["code"]) == (status, code)

    def test_a_misspelt_field_is_named(self, reading: TestClient) -> None:
        answer = reading.get("/studies/digits/candidates", params={"order_by": "-acuracy"})
        assert "accuracy" in answer.json()["hint"]


class TestColumns:
    def test_all_columns_are_equally_long(self, reading: TestClient) -> None:
        columns = reading.get("/studies/digits/columns").json()
        assert columns["candidate"] == [0, 1, 2, 3, 4, 5]
        assert columns["on_front"] == [True, True, True, False, False, False]
        assert columns["figures"]["accuracy"][4:] == [None, None]
        for group in ("figures", "choices", "distillation"):
            assert {len(column) for column in columns[group].values()} == {6}

    def test_those_are_given_that_are_asked_for(self, reading: TestClient) -> None:
        columns = reading.get("/studies/digits/columns?fields=accuracy,choices").json()
        assert set(columns["figures"]) == {"accuracy"}
        assert set(columns["choices"]) == {"top_nodes", "bottom_nodes"}
        assert columns["distillation"] == {}
        answer = reading.get("/studies/digits/columns?fields=acuracy")
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_name")


class TestFile:
    def test_it_is_a_table_of_all_candidates(self, reading: TestClient) -> None:
        answer = reading.get("/studies/digits/candidates.csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        disposition = answer.headers["content-disposition"]
        assert disposition == 'attachment; filename="digits-candidates.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["candidate"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
        assert float(rows[2]["accuracy"]) == pytest.approx(0.82)
        assert rows[5]["feasible"] == "false"


class TestRead:
    def test_a_candidate_is_as_the_list_has_it_with_its_retrainings(
        self, reading: TestClient
    ) -> None:
        listed = reading.get("/studies/digits/candidates?filter=number=1").json()["items"][0]
        candidate = reading.get("/studies/digits/candidates/1").json()
        assert candidate == {**listed, "repeats": []}
        assert (candidate["trials"], candidate["draw"]) == ([1], 1)
        assert candidate["choices"] == {"top_nodes": 3, "bottom_nodes": 3}

    def test_a_card_tells_what_there_is_to_know(self, reading: TestClient) -> None:
        answer = reading.get("/studies/digits/candidates/1/model_card")
        assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
        assert "5,500" in answer.text


class TestEnqueue:
    def test_a_candidate_of_ones_own_is_asked_for(
        self,
        digits: StudyRecord,
        launcher: TestClient,
        service: Service,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        body = {"choices": {"top_nodes": 3}, "distillation": {"kd.temperature": 4.0}, "draw": 7}
        asked: list[Any] = []
        monkeypatch.setattr(
            Inspector, "admit", lambda self, spec, named: asked.append((spec["name"], named))
        )
        answer = launcher.post("/studies/digits/candidates", json=body)
        assert (answer.status_code, answer.json()["kind"]) == (202, "enqueue")
        (operation,) = service.store.operations(digits.id)
        assert operation.request == body
        assert asked == [("digits", body)]

    def test_what_is_wrong_with_it_is_said_at_once_by_its_field(
        self, digits: StudyRecord, launcher: TestClient, service: Service, monkeypatch
    ) -> None:
        mistakes = [
            Mistake("choices.top", "there is no such parameter", "did you mean 'top_nodes'?"),
            Mistake("distillation.kd.temperature", "expected a number from 1 to 20; got 30"),
        ]

        def refuse(*_: Any) -> None:
            raise SpecError("the candidate", mistakes)

        monkeypatch.setattr(Inspector, "admit", refuse)
        answer = launcher.post("/studies/digits/candidates", json={"choices": {"top": 3}})
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "invalid_candidate")
        assert problem["detail"] == "the candidate has 2 mistakes"
        assert problem["errors"] == [
            {
                "pointer": "/choices/top",
                "message": "there is no such parameter",
                "hint": "did you mean 'top_nodes'?",
            },
            {
                "pointer": "/distillation/kd.temperature",
                "message": "expected a number from 1 to 20; got 30",
            },
        ]
        assert service.store.operations(digits.id) == []

    def test_one_that_only_the_coordinators_machine_can_judge_is_left_to_it(
        self, digits: StudyRecord, launcher: TestClient, monkeypatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise DataError("there is no such file")

        monkeypatch.setattr(Inspector, "admit", fail)
        answer = launcher.post("/studies/digits/candidates", json={"choices": {}})
        assert answer.status_code == 202

    def test_one_of_a_program_is_left_to_the_program(
        self, digits: StudyRecord, launcher: TestClient, service: Service, spec: dict[str, Any]
    ) -> None:
        service.store.change_study(digits.id, spec={**spec, "space": {"name": "custom"}})
        answer = launcher.post("/studies/digits/candidates", json={"choices": {"x": 1}})
        assert answer.status_code == 202

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "/choices"),
            ({"choices": {"a": [1]}}, "/choices/a"),
            ({"choices": {"a": None}}, "/choices/a"),
            ({"choices": {}, "draw": -1}, "/draw"),
            ({"choices": {}, "draw": 2**31}, "/draw"),
            ({"choices": {}, "draw": "1"}, "/draw"),
            ({"choices": {}, "seed": 1}, "/seed"),
        ],
    )
    def test_what_is_none_is_refused(
        self, body: dict[str, Any], pointer: str, recorded: Service
    ) -> None:
        answer = recorded.client("launch").post("/studies/digits/candidates", json=body)
        assert answer.status_code == 422
        assert any(one["pointer"].startswith(pointer) for one in answer.json()["errors"])


def test_networks_are_drawn_and_checked_by_the_process_that_knows_them(
    digits: StudyRecord, launcher: TestClient, service: Service, spec: dict[str, Any]
) -> None:
    """All of it, because that process takes seconds to start."""
    choices = {"top_nodes": 3, "middle_nodes": 1, "bottom_nodes": 2, "parameter_fraction": 0.3}
    trial = service.store.add_trial(
        digits.id,
        kind=TrialKind.SEARCH,
        architecture=Architecture(
            "hierarchical_graph", {**choices, "parameter_limit": 20_000}, seed=7
        ),
        distillation={"kd.temperature": 3.0},
        cost=service.store.trial(digits.id, 0).cost,
        repeat=0,
        state=TrialState.QUEUED,
        epochs=1,
    )
    path = f"/studies/digits/candidates/{trial.candidate}/graph"
    graph = launcher.get(path).json()
    assert graph["totals"]["parameters"] == sum(node["parameters"] for node in graph["nodes"])
    assert {edge["source"] for edge in graph["edges"]} < {node["id"] for node in graph["nodes"]}
    assert graph["teacher"]["parameters"] > graph["totals"]["parameters"]
    body = {"choices": {**choices, "bottom_nodes": 99, "top": 1}, "draw": 7}
    refused = launcher.post("/studies/digits/candidates", json=body).json()
    assert [one["pointer"] for one in refused["errors"]] == [
        "/choices/top",
        "/choices/bottom_nodes",
        "/distillation/kd.temperature",
        "/distillation/kd.weight",
    ]
    settings = {"kd.temperature": 4.0, "kd.weight": 0.9}
    fitting = {"choices": choices, "distillation": settings, "draw": 7}
    assert launcher.post("/studies/digits/candidates", json=fitting).status_code == 202
    drawn = launcher.get(f"{path}.svg")
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    assert drawn.headers["content-disposition"] == 'attachment; filename="digits-6.svg"'
    assert "sandbox" in drawn.headers["content-security-policy"]
    assert "<svg" in drawn.text
    # A recorded candidate that its space can not build.
    broken = launcher.get("/studies/digits/candidates/0/graph")
    assert (broken.status_code, broken.json()["code"]) == (503, "check_failed")

    spec["name"] = "new"
    checked = launcher.post("/studies?validate_only=true", json={"spec": spec})
    assert checked.status_code == 200
    assert checked.json()["smallest"]["parameters"] <= checked.json()["largest"]["parameters"]
    assert 0 < checked.json()["feasible_share"] <= 1
    spec["budget"] = {"parameters": 1}
    checked = launcher.post("/studies?validate_only=true", json={"spec": spec})
    assert (checked.json()["feasible_share"], bool(checked.json()["nearest"])) == (0, True)
    assert launcher.get("/studies/new").status_code == 404


def test_who_waits_for_that_process_keeps_nobody_from_other_answers(
    service: Service, digits: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on, before = threading.Semaphore(0), threading.Event(), []

    def slow(*_arguments: Any) -> Any:
        before.append(not go_on.is_set())
        asked.release()
        assert go_on.wait(60)
        raise InspectorError("it was slow")

    monkeypatch.setattr(Inspector, "graph", slow)
    reader, statuses = service.client("read"), []
    path = "/studies/digits/candidates/0/graph"
    waiting = [
        threading.Thread(target=lambda: statuses.append(reader.get(path).status_code))
        for _ in range(50)
    ]
    for thread in waiting:
        thread.start()
    assert all(asked.acquire(timeout=60) for _ in range(4))
    assert [reader.get("/studies/digits").status_code for _ in range(3)] == [200] * 3
    go_on.set()
    for thread in waiting:
        thread.join()
    assert statuses == [503] * 50
    assert sum(before) == 4
