from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from autokd.store import Store, StudyRecord
from service.record import Studies

from .conftest import TEACHER, Service


@pytest.fixture
def reading(recorded: Service) -> TestClient:
    """May read the study `digits`."""
    return recorded.client("read")


def _trials(answer: Any) -> list[int]:
    return [row["trial"] for row in answer.json()["front"]]


class TestFront:
    def test_it_has_the_best_first_and_what_stands_around_it(self, reading: TestClient) -> None:
        front = reading.get("/studies/digits/front").json()
        assert front["x"] == {"metric": "parameters", "direction": "minimize"}
        assert front["y"] == {"metric": "accuracy", "direction": "maximize"}
        assert [row["trial"] for row in front["front"]] == [2, 1, 0]
        assert front["teacher"] == {"x": TEACHER["parameters"], "y": TEACHER["accuracy"]}
        assert front["budget"] == {"x": 20_000, "y": None}
        assert front["baseline"] == []

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("max_parameters=20k", [2, 1, 0]),
            ("max_parameters=6k", [1, 0]),
            ("max_parameters=5500", [1, 0]),
            ("max_memory=64KiB", [2, 1, 0]),
            ("max_memory=3kB", [0]),
            ("max_macs=0.05M&max_weight=20kB", [0]),
            ("max_parameters=1", []),
            ("rung=1", [3, 2, 1, 0]),
            ("x=macs&y=loss", [2, 1, 0]),
            ("x=accuracy&y=accuracy", [2]),
        ],
    )
    def test_it_is_drawn_over_any_two_figures_within_limits(
        self, query: str, expected: list[int], reading: TestClient
    ) -> None:
        assert _trials(reading.get(f"/studies/digits/front?{query}")) == expected

    def test_it_shows_what_has_become_known_of_the_teacher(
        self, digits: StudyRecord, reader: TestClient, service: Service
    ) -> None:
        assert reader.get("/studies/digits/front").json()["teacher"]["y"] == TEACHER["accuracy"]
        service.store.update_study(digits.id, teacher={**TEACHER, "accuracy": 0.99})
        assert reader.get("/studies/digits/front").json()["teacher"]["y"] == 0.99

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("x=size", "unknown_name"),
            ("rung=7", "unknown_name"),
            ("rung=0", "invalid_request"),
            ("max_parameters=0.1x", "invalid_request"),
            ("max_parameters=5ms", "invalid_request"),
            ("max_parameters=many", "invalid_request"),
            ("max_parameters=-1", "invalid_request"),
            ("max_parameters=nan", "invalid_request"),
            ("max_parameters=1e400", "invalid_request"),
            ("max_memory=" + "9" * 41, "invalid_request"),
        ],
    )
    def test_what_is_no_figure_or_size_is_refused(
        self, query: str, code: str, reading: TestClient
    ) -> None:
        answer = reading.get(f"/studies/digits/front?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        if code == "invalid_request":
            (mistake,) = answer.json()["errors"]
            assert mistake["pointer"] == f"query:{query.partition('=')[0]}"
        if query.startswith("max_parameters"):
            given = query.partition("=")[2]
            assert mistake["message"] == f"expected a size like 20k or 64KiB; got {given!r}"


class TestBest:
    @pytest.mark.parametrize(
        ("query", "trial"), [("", 2), ("max_parameters=6k", 1), ("max_memory=3kB", 0)]
    )
    def test_it_is_the_most_accurate_within_the_limits(
        self, query: str, trial: int, reading: TestClient
    ) -> None:
        assert reading.get(f"/studies/digits/best?{query}").json()["trial"] == trial

    def test_nothing_is_feasible_below_the_smallest_and_the_nearest_is_named(
        self, reading: TestClient
    ) -> None:
        answer = reading.get("/studies/digits/best?max_parameters=3k")
        assert (answer.status_code, answer.json()["code"]) == (404, "nothing_feasible")
        assert "trial 0" in answer.json()["detail"]

    def test_a_study_without_trials_has_none_yet(
        self, launcher: TestClient, spec: dict[str, Any]
    ) -> None:
        launcher.post("/studies", json={"spec": spec})
        answer = launcher.get("/studies/digits/best")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert _trials(launcher.get("/studies/digits/front")) == []
        for path in ("hypervolume", "timeline", "survival", "rank_correlation", "importances"):
            assert launcher.get(f"/studies/digits/{path}").status_code == 200


class TestGrowth:
    def test_the_hypervolume_grows_to_that_of_the_front(self, reading: TestClient) -> None:
        growth = reading.get("/studies/digits/hypervolume").json()
        volumes = [point["hypervolume"] for point in growth["points"]]
        assert [point["trial"] for point in growth["points"]] == [0, 1, 2]
        assert volumes == sorted(volumes)
        front = reading.get("/studies/digits/front").json()
        assert volumes[-1] == pytest.approx(front["hypervolume"])
        assert growth["reference"] == front["reference"]

    def test_rungs_are_survived_and_foretell_each_other(self, reading: TestClient) -> None:
        survival = reading.get("/studies/digits/survival").json()
        assert survival["rungs"] == [{"epochs": 1, "reached": 4}, {"epochs": 2, "reached": 3}]
        ranks = reading.get("/studies/digits/rank_correlation").json()
        (pair,) = ranks["pairs"]
        assert (pair["low"], pair["high"], pair["n"], pair["spearman"]) == (1, 2, 3, 1.0)

    def test_the_timeline_has_every_attempt(self, reading: TestClient) -> None:
        attempts = reading.get("/studies/digits/timeline").json()["attempts"]
        assert [(each["trial"], each["n"]) for each in attempts] == [
            (0, 1),
            (0, 2),
            (1, 1),
            (1, 2),
            (2, 1),
            (2, 2),
            (3, 1),
            (4, 1),
        ]
        assert all(each["started"] <= each["ended"] for each in attempts)

    @pytest.mark.parametrize("method", ["ped_anova", "fanova"])
    def test_importances_are_of_the_metric_and_method_that_is_asked_for(
        self, method: str, reading: TestClient
    ) -> None:
        path = "/studies/digits/importances"
        found = reading.get(path, params={"metric": "loss", "method": method}).json()
        assert (found["metric"], found["method"], found["trials"]) == ("loss", method, 4)
        assert reading.get(path, params={"method": "shap"}).status_code == 422
        assert reading.get(path, params={"metric": "size"}).json()["code"] == "unknown_name"


class TestReport:
    def test_as_json_it_is_what_the_command_line_prints(self, reading: TestClient) -> None:
        report = reading.get("/studies/digits/report.json").json()
        assert (report["study"], report["state"]) == ("digits", "completed")
        assert [row["trial"] for row in report["front"]] == [2, 1, 0]

    def test_as_a_page_it_stands_alone_and_may_do_nothing(
        self, reading: TestClient, recorded: Service
    ) -> None:
        answer = reading.get("/studies/digits/report.html")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="digits.html"'
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "sandbox" in policy
        assert "<script" not in answer.text and "http://" not in answer.text.replace(
            "http://www.w3.org/", ""
        )
        assert str(Path(recorded.settings.storage).parent) not in answer.text


class TestMemory:
    """What is worked out once is kept, but not without end."""

    def test_the_newest_answers_are_kept_and_the_oldest_forgotten(
        self, settings: Any, spec: dict[str, Any], digits: StudyRecord, service: Service
    ) -> None:
        studies, worked = Studies(service.store), []

        def ask(key: int) -> None:
            studies.derived(digits, key, lambda _: worked.append(key))

        for key in range(150):
            ask(key)
        ask(149)
        assert worked == [*range(150)]
        ask(0)
        assert worked[-1] == 0

    def test_only_what_has_changed_is_read_again(
        self, digits: StudyRecord, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        studies, asked = Studies(service.store), []
        read = Store.trials

        def counting(self: Store, study: int, **options: Any) -> Any:
            asked.append(options["changed_after"])
            return read(self, study, **options)

        monkeypatch.setattr(Store, "trials", counting)
        assert len(studies.trials(digits)) == len(studies.trials(digits)) == 6
        assert asked == [0]
        service.store.add_event(digits.id, "note", {})
        assert len(studies.trials(service.store.study(digits.id))) == 6
        assert asked == [0, digits.events]
