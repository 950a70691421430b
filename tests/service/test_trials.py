from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from starlette.testclient import TestClient

from autokd.space import Architecture
from autokd.store import StudyRecord
from autokd.trial import CalibrationBin, Evaluation, TrialKind, TrialState

from .conftest import Service


@pytest.fixture
def reading(recorded: Service) -> TestClient:
    """May read the study `digits`."""
    return recorded.client("read")


class TestList:
    def test_trials_come_by_number_and_in_parts(self, reading: TestClient) -> None:
        numbers, token = [], ""
        while token is not None:
            page = reading.get(f"/studies/digits/trials?page_size=4{token}").json()
            numbers += [trial["number"] for trial in page["items"]]
            assert page["total"] == 6
            token = page["next_page_token"] and f"&page_token={page['next_page_token']}"
        assert numbers == [0, 1, 2, 3, 4, 5]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("newest_first=true", [5, 4, 3, 2, 1, 0]),
            ("state=complete", [0, 1, 2]),
            ("state=failed&state=infeasible", [4, 5]),
            ("kind=search&state=paused", [3]),
            ("kind=final", []),
            ("page_size=10000", [0, 1, 2, 3, 4, 5]),
        ],
    )
    def test_they_are_filtered(self, query: str, expected: list[int], reading: TestClient) -> None:
        items = reading.get(f"/studies/digits/trials?{query}").json()["items"]
        assert [trial["number"] for trial in items] == expected

    def test_a_token_is_of_its_list(self, reading: TestClient) -> None:
        page = reading.get("/studies/digits/trials?page_size=2").json()
        query = f"page_size=2&state=complete&page_token={page['next_page_token']}"
        assert reading.get(f"/studies/digits/trials?{query}").status_code == 400


class TestRead:
    def test_a_trial_has_its_figures_and_attempts(self, reading: TestClient) -> None:
        trial = reading.get("/studies/digits/trials/1").json()
        assert (trial["state"], trial["epochs_done"]) == ("complete", 2)
        assert trial["figures"]["parameters"] == 5500
        assert trial["figures"]["accuracy"] == pytest.approx(0.81)
        assert [each["epochs"] for each in trial["evaluations"]] == [1, 2]
        assert [(each["n"], each["state"]) for each in trial["attempts"]] == [
            (1, "done"),
            (2, "done"),
        ]

    def test_it_says_how_well_calibrated_its_student_is_if_that_was_kept(
        self, digits: StudyRecord, service: Service, reader: TestClient
    ) -> None:
        bins = {"validation": (CalibrationBin(3, 0.4, 0.5), CalibrationBin(2, 0.9, 1.0))}
        number = _trained(service, digits, [{"accuracy": 0.7}], bins)
        told = reader.get(f"/studies/digits/trials/{number}").json()["calibration"]
        assert told == {
            "validation": [
                {"count": 3, "confidence": 0.4, "accuracy": 0.5},
                {"count": 2, "confidence": 0.9, "accuracy": 1.0},
            ]
        }
        assert reader.get("/studies/digits/trials/0").json()["calibration"] == {}

    def test_a_failed_trial_says_why(self, reading: TestClient) -> None:
        failure = reading.get("/studies/digits/trials/4").json()["failure"]
        assert failure == {"class": "nan", "message": "the loss is not finite"}


class TestMetrics:
    def test_curves_have_a_point_for_each_epoch(self, reading: TestClient) -> None:
        curves = reading.get("/studies/digits/trials/0/metrics").json()
        assert curves["trial"] == 0
        assert set(curves["metrics"]) == {"accuracy", "loss"}
        assert curves["metrics"]["accuracy"] == [[1, pytest.approx(0.75)], [2, pytest.approx(0.8)]]

    def test_long_curves_are_thinned_and_keep_their_ends(
        self, digits: StudyRecord, service: Service, reader: TestClient
    ) -> None:
        number = _trained(service, digits, [{"accuracy": 0.01 * epoch} for epoch in range(1, 41)])
        path = f"/studies/digits/trials/{number}/metrics"
        points = reader.get(f"{path}?max_points=5").json()["metrics"]["accuracy"]
        assert len(points) == 5
        assert (points[0], points[-1]) == ([1, 0.01], [40, 0.4])
        assert len(reader.get(path).json()["metrics"]["accuracy"]) == 40
        assert reader.get(f"{path}?max_points=2").status_code == 422

    def test_what_is_not_finite_is_null_everywhere(
        self, digits: StudyRecord, service: Service, reader: TestClient
    ) -> None:
        nan, infinite = float("nan"), float("inf")
        number = _trained(service, digits, [{"accuracy": 0.7, "loss": nan, "kd_loss": infinite}])
        trial = reader.get(f"/studies/digits/trials/{number}").json()
        assert (trial["figures"]["loss"], trial["figures"]["kd_loss"]) == (None, None)
        for path in (
            "",
            "/trials",
            f"/trials/{number}/metrics",
            "/candidates",
            "/columns",
            "/front",
            "/front?x=loss&y=accuracy",
            "/best",
            "/hypervolume",
            "/report.json",
            "/importances?metric=loss",
            "/rank_correlation?metric=loss",
        ):
            answer = reader.get(f"/studies/digits{path}")
            assert answer.status_code == 200, path
            json.loads(answer.text, parse_constant=pytest.fail)


def _trained(
    service: Service,
    study: StudyRecord,
    epochs: list[dict[str, float]],
    calibration: Mapping[str, Sequence[CalibrationBin]] | None = None,
) -> int:
    """Number of a trial that was trained so."""
    store = service.store
    template = store.trial(study.id, 0)
    trial = store.add_trial(
        study.id,
        kind=TrialKind.SEARCH,
        architecture=Architecture("hierarchical_graph", {"top_nodes": 4, "bottom_nodes": 3}, 99),
        distillation={"kd.temperature": 3.0},
        cost=template.cost,
        repeat=0,
        state=TrialState.QUEUED,
        epochs=len(epochs),
    )
    attempt = store.start_attempt(study.id, trial.number, lease_seconds=60)
    for epoch, metrics in enumerate(epochs, start=1):
        store.record_epoch(attempt.id, attempt.token, epoch, metrics)
    evaluation = Evaluation(len(epochs), epochs[-1], calibration or {})
    store.finish_attempt(attempt.id, attempt.token, evaluation, None, TrialState.COMPLETE)
    return trial.number


class TestLog:
    TEXT = "epoch 1: größer 数字 🙂 e\u0301\n" * 6

    @pytest.fixture
    def logged(self, digits: StudyRecord, service: Service) -> StudyRecord:
        """Attempt 2 of trial 0 has written more than a byte for many a character."""
        attempts = service.store.attempts(digits.id, 0)
        (digits.folder / attempts[1].folder / "log.txt").write_text(self.TEXT, encoding="utf-8")
        return digits

    def test_the_newest_attempt_is_read_if_none_is_named(
        self, logged: StudyRecord, reader: TestClient
    ) -> None:
        log = reader.get("/studies/digits/trials/0/logs").json()
        size = len(self.TEXT.encode())
        assert (log["attempt"], log["text"], log["ended"]) == (2, self.TEXT, True)
        assert (log["size"], log["offset"], log["next_offset"]) == (size, 0, size)
        first = reader.get("/studies/digits/trials/0/logs?attempt=1").json()
        assert first["text"] == "attempt 1 of trial 0\n"

    @pytest.mark.parametrize("limit", [4, 5, 7, 64])
    def test_parts_cut_no_character_and_make_the_whole(
        self, limit: int, logged: StudyRecord, reader: TestClient
    ) -> None:
        text, offset, ended = "", 0, False
        while not ended:
            query = f"offset={offset}&limit={limit}"
            log = reader.get(f"/studies/digits/trials/0/logs?{query}").json()
            assert log["offset"] == offset
            assert offset < log["next_offset"] <= offset + limit
            text, offset, ended = text + log["text"], log["next_offset"], log["ended"]
        assert text == self.TEXT

    def test_the_tail_is_the_end_however_long(
        self, logged: StudyRecord, reader: TestClient
    ) -> None:
        log = reader.get("/studies/digits/trials/0/logs?tail=100&limit=10").json()
        size = len(self.TEXT.encode())
        assert (log["offset"], log["next_offset"], log["ended"]) == (size - 100, size, True)
        assert self.TEXT.endswith(log["text"].lstrip("\N{REPLACEMENT CHARACTER}"))

    def test_beyond_the_end_there_is_nothing_yet(
        self, logged: StudyRecord, reader: TestClient
    ) -> None:
        log = reader.get("/studies/digits/trials/0/logs?offset=999999").json()
        assert (log["text"], log["offset"]) == ("", log["size"])

    def test_a_trial_that_never_ran_has_no_log(self, reading: TestClient) -> None:
        log = reading.get("/studies/digits/trials/5/logs").json()
        assert (log["attempt"], log["text"], log["ended"]) == (0, "", False)

    def test_neither_secrets_nor_commands_to_a_terminal_are_in_it(
        self, logged: StudyRecord, service: Service, reader: TestClient
    ) -> None:
        attempts = service.store.attempts(logged.id, 0)
        secret = service.tokens["admin"]
        text = f"\x1b[2Jpassword=hunter2 {secret}\n"
        (logged.folder / attempts[1].folder / "log.txt").write_text(text, encoding="utf-8")
        shown = reader.get("/studies/digits/trials/0/logs").json()["text"]
        assert shown == "\\x1b[2Jpassword=*** akd_***\n"


class TestSteer:
    def test_a_failed_trial_is_retried(
        self, digits: StudyRecord, launcher: TestClient, service: Service
    ) -> None:
        answer = launcher.post("/studies/digits/trials/4:retry")
        assert (answer.status_code, answer.json()["kind"]) == (202, "retry")
        assert answer.json()["request"] == {"trial": 4}
        assert launcher.get(answer.headers["location"].removeprefix("/api/v1")).status_code == 200
        (operation,) = service.store.operations(digits.id)
        assert operation.state == "queued"

    @pytest.mark.parametrize(
        ("number", "verb"), [(0, "retry"), (0, "cancel"), (4, "cancel"), (5, "retry")]
    )
    def test_what_has_ended_otherwise_is_not(
        self, number: int, verb: str, digits: StudyRecord, launcher: TestClient, service: Service
    ) -> None:
        answer = launcher.post(f"/studies/digits/trials/{number}:{verb}")
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert service.store.operations(digits.id) == []

    def test_a_paused_trial_is_cancelled(self, digits: StudyRecord, launcher: TestClient) -> None:
        answer = launcher.post("/studies/digits/trials/3:cancel")
        assert (answer.status_code, answer.json()["kind"]) == (202, "cancel_trial")


def test_the_record_is_read_anew_when_it_has_changed(
    digits: StudyRecord, service: Service, reader: TestClient
) -> None:
    def total() -> Any:
        return reader.get("/studies/digits/trials").json()["total"]

    assert total() == 6
    _trained(service, digits, [{"accuracy": 0.9, "loss": 0.1}])
    assert total() == 7
    assert reader.get("/studies/digits/best").json()["accuracy"] == 0.9
