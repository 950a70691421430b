from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from autokd.store import StudyRecord
from autokd.trial import StudyState, StudyWish

from .conftest import Service


@pytest.fixture
def created(launcher: TestClient, spec: dict[str, Any]) -> dict[str, Any]:
    answer = launcher.post("/studies", json={"spec": spec, "labels": {"team": "vision"}})
    assert answer.status_code == 201
    body: dict[str, Any] = answer.json()
    return body


class TestCreate:
    def test_a_study_is_queued_and_found_by_id_and_by_name(
        self, created: dict[str, Any], launcher: TestClient, service: Service
    ) -> None:
        assert created["state"] == "queued"
        assert created["labels"] == {"team": "vision"}
        assert service.store.study("digits").wish is StudyWish.RUN
        for key in (created["id"], "digits"):
            assert launcher.get(f"/studies/{key}").json()["id"] == created["id"]

    def test_a_study_file_is_taken_as_yaml(self, launcher: TestClient) -> None:
        text = (
            "name: digits\ndata: {name: digits}\nteacher: {model: resnet8}\n"
            "space: {name: hierarchical_graph}\ndistillation: {losses: [{name: kd}]}\n"
            "fidelity: {min_epochs: 1, max_epochs: 3}\n"
        )
        headers = {"Content-Type": "application/yaml"}
        assert launcher.post("/studies", content=text, headers=headers).status_code == 201

    def test_yaml_aliases_are_refused_before_they_are_expanded(self, launcher: TestClient) -> None:
        text = "a: &a [x, x]\nb: &b [*a, *a]\nname: [*b, *b]\n"
        answer = launcher.post(
            "/studies", content=text, headers={"Content-Type": "application/yaml"}
        )
        assert answer.status_code == 422
        assert "aliases" in answer.json()["errors"][0]["message"]

    def test_all_mistakes_are_told_with_pointers(
        self, launcher: TestClient, spec: dict[str, Any]
    ) -> None:
        spec["teacher"] = {"model": "resnet21", "epochs": 0}
        answer = launcher.post("/studies", json={"spec": spec})
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["code"] == "invalid_spec"
        pointers = {one["pointer"] for one in problem["errors"]}
        assert pointers == {"/spec/teacher/model", "/spec/teacher/epochs"}

    @pytest.mark.parametrize(
        ("part", "value", "pointer"),
        [
            ("name", "std_7", "/spec/name"),
            ("data", {"name": "npz", "path": "/etc/passwd"}, "/spec/data/path"),
            ("data", {"name": "npz", "path": "../../secret.npz"}, "/spec/data/path"),
            ("data", {"name": "cifar10", "root": "/root"}, "/spec/data/root"),
            ("data", {"name": "cifar10", "download": True}, "/spec/data/download"),
            (
                "data",
                {"name": "image_folder", "root": "/etc", "image_size": 8},
                "/spec/data/root",
            ),
            ("data", {"name": "custom"}, "/spec/data"),
            ("space", {"name": "custom"}, "/spec/space"),
            ("teacher", {"model": "resnet8", "weights": "/etc/shadow"}, "/spec/teacher/weights"),
            ("teacher", {"model": "resnet8", "weights": "upl_9"}, "/spec/teacher/weights"),
            (
                "strategy",
                {"name": "optuna", "hub": "samplers/evil", "sampler": "X"},
                "/spec/strategy/hub",
            ),
        ],
    )
    def test_a_request_names_no_places_and_no_code(
        self,
        launcher: TestClient,
        spec: dict[str, Any],
        part: str,
        value: Any,
        pointer: str,
    ) -> None:
        answer = launcher.post("/studies", json={"spec": {**spec, part: value}})
        assert answer.status_code == 422
        assert pointer in {one["pointer"] for one in answer.json()["errors"]}

    def test_a_name_that_is_taken_is_a_conflict(
        self, created: dict[str, Any], launcher: TestClient, spec: dict[str, Any]
    ) -> None:
        answer = launcher.post("/studies", json={"spec": spec})
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")

    def test_a_study_can_wait_until_it_is_resumed(
        self, launcher: TestClient, spec: dict[str, Any]
    ) -> None:
        answer = launcher.post("/studies", json={"spec": spec, "paused": True})
        assert answer.json()["state"] == "paused"
        assert launcher.post("/studies/digits:resume").json()["state"] == "queued"

    def test_a_token_has_as_many_studies_under_way_as_it_may(
        self, admin: TestClient, service: Service, spec: dict[str, Any]
    ) -> None:
        made = admin.post(
            "/tokens", json={"name": "a", "scope": "launch", "limits": {"studies": 1}}
        )
        service.tokens["launch"] = made.json()["token"]
        launcher = service.client("launch")
        assert launcher.post("/studies", json={"spec": spec}).status_code == 201
        answer = launcher.post("/studies", json={"spec": {**spec, "name": "second"}})
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_studies")
        launcher.post("/studies/digits:pause")
        answer = launcher.post("/studies", json={"spec": {**spec, "name": "second"}})
        assert answer.status_code == 201


class TestOnce:
    def test_the_same_key_creates_one_study(
        self, launcher: TestClient, spec: dict[str, Any], service: Service
    ) -> None:
        headers = {"Idempotency-Key": "one"}
        first = launcher.post("/studies", json={"spec": spec}, headers=headers)
        again = launcher.post("/studies", json={"spec": spec}, headers=headers)
        assert first.status_code == again.status_code == 201
        assert again.json() == first.json()
        assert again.headers["idempotency-replayed"] == "true"
        assert len(service.store.studies()) == 1

    def test_the_key_of_another_request_is_refused(
        self, launcher: TestClient, spec: dict[str, Any]
    ) -> None:
        headers = {"Idempotency-Key": "one"}
        launcher.post("/studies", json={"spec": spec}, headers=headers)
        other = launcher.post("/studies", json={"spec": {**spec, "name": "b"}}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "reused_idempotency_key")

    def test_a_request_that_failed_may_come_again(
        self, launcher: TestClient, spec: dict[str, Any]
    ) -> None:
        headers = {"Idempotency-Key": "one"}
        wrong = launcher.post("/studies", json={"spec": {}}, headers=headers)
        right = launcher.post("/studies", json={"spec": spec}, headers=headers)
        assert (wrong.status_code, right.status_code) == (422, 201)


class TestSteer:
    def test_verbs_change_what_is_wanted(
        self, created: dict[str, Any], launcher: TestClient
    ) -> None:
        for verb, state in (
            ("pause", "paused"),
            ("resume", "queued"),
            ("cancel", "cancelled"),
            ("resume", "queued"),
            ("stop", "stopping"),
        ):
            answer = launcher.post(f"/studies/digits:{verb}")
            assert (answer.status_code, answer.json()["state"]) == (200, state)

    def test_a_running_study_is_on_its_way_to_what_is_wanted(
        self, created: dict[str, Any], launcher: TestClient, service: Service
    ) -> None:
        store = service.store
        study = store.study("digits")
        with store.coordinate(study.id):
            store.update_study(study.id, state=StudyState.RUNNING)
            assert launcher.post("/studies/digits:pause").json()["state"] == "pausing"
            assert launcher.delete("/studies/digits").status_code == 409

    @pytest.mark.parametrize("verb", ["pause", "stop", "cancel"])
    def test_what_has_ended_is_not_steered(
        self, digits: StudyRecord, launcher: TestClient, verb: str
    ) -> None:
        answer = launcher.post(f"/studies/digits:{verb}")
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")

    def test_a_completed_study_is_extended(
        self, digits: StudyRecord, launcher: TestClient, service: Service
    ) -> None:
        answer = launcher.post("/studies/digits:extend", json={"limits": {"trials": 80}})
        assert answer.json()["state"] == "queued"
        assert service.store.study("digits").spec["limits"]["trials"] == 80

    def test_limits_that_are_none_are_refused(
        self, digits: StudyRecord, launcher: TestClient
    ) -> None:
        answer = launcher.post("/studies/digits:extend", json={"limits": {"trials": -1}})
        assert answer.json()["errors"][0]["pointer"] == "/limits/trials"

    def test_a_clone_has_the_file_with_changes(
        self, digits: StudyRecord, launcher: TestClient
    ) -> None:
        body = {"name": "more", "changes": {"limits.trials": 7, "seed": 3}}
        answer = launcher.post("/studies/digits:clone", json=body)
        assert answer.status_code == 201
        spec = launcher.get("/studies/more").json()["spec"]
        assert (spec["limits"]["trials"], spec["seed"], spec["name"]) == (7, 3, "more")


class TestChange:
    def test_labels_and_name_are_changed_by_who_has_the_newest_version(
        self, created: dict[str, Any], launcher: TestClient
    ) -> None:
        etag = launcher.get("/studies/digits").headers["etag"]
        headers = {"If-Match": etag}
        first = launcher.patch("/studies/digits", json={"name": "numbers"}, headers=headers)
        assert first.json()["name"] == "numbers"
        stale = launcher.patch("/studies/numbers", json={"labels": {}}, headers=headers)
        assert (stale.status_code, stale.json()["code"]) == (412, "stale_etag")
        fresh = {"If-Match": first.headers["etag"]}
        answer = launcher.patch("/studies/numbers", json={"labels": {}}, headers=fresh)
        assert answer.json()["labels"] == {}
        assert launcher.get("/studies/numbers").json()["spec"]["name"] == "numbers"

    def test_what_happens_in_a_study_is_no_reason_to_refuse_its_owner(
        self, created: dict[str, Any], launcher: TestClient, service: Service
    ) -> None:
        etag = launcher.get("/studies/digits").headers["etag"]
        service.store.add_event(service.store.study("digits").id, "note", {})
        answer = launcher.patch("/studies/digits", json={"labels": {}}, headers={"If-Match": etag})
        assert answer.status_code == 200

    def test_how_far_the_teacher_s_training_is_is_told_until_it_ends(
        self, created: dict[str, Any], launcher: TestClient, service: Service
    ) -> None:
        store, study = service.store, service.store.study("digits")
        assert launcher.get("/studies/digits").json()["teacher_epoch"] is None
        store.update_study(study.id, teacher={"parameters": 100})
        for epoch in (1, 2):
            metrics = {"loss": 1 / epoch}
            store.add_event(study.id, "teacher_epoch", {"epoch": epoch, "metrics": metrics})
        told = launcher.get("/studies/digits").json()["teacher_epoch"]
        assert told == {"epoch": 2, "metrics": {"loss": 0.5}}
        store.update_study(study.id, teacher={"parameters": 100, "accuracy": 0.9})
        assert launcher.get("/studies/digits").json()["teacher_epoch"] is None

    def test_a_study_that_has_not_changed_is_not_sent_again(
        self, created: dict[str, Any], launcher: TestClient, service: Service
    ) -> None:
        etag = launcher.get("/studies/digits").headers["etag"]
        headers = {"If-None-Match": etag}
        assert launcher.get("/studies/digits", headers=headers).status_code == 304
        service.store.add_event(service.store.study("digits").id, "note", {})
        assert launcher.get("/studies/digits", headers=headers).status_code == 200


class TestDelete:
    def test_a_deleted_study_is_out_of_sight_until_it_is_brought_back(
        self, digits: StudyRecord, launcher: TestClient
    ) -> None:
        assert launcher.delete("/studies/digits").json()["deleted"] is not None
        assert launcher.get("/studies").json()["total"] == 0
        for path in ("/studies/digits", "/studies/digits/best", f"/studies/std_{digits.id}/best"):
            problem = launcher.get(path).json()
            assert (problem["status"], problem["code"]) == (404, "not_found")
            assert problem["detail"].startswith("study 'digits' was deleted on 2")
            assert f"POST …/studies/std_{digits.id}:undelete" in problem["hint"]
        (item,) = launcher.get("/studies?deleted=true").json()["items"]
        assert item["name"] == "digits"
        answer = launcher.post(f"/studies/{item['id']}:undelete")
        assert (answer.status_code, answer.json()["deleted"]) == (200, None)
        assert launcher.get("/studies/digits/best").status_code == 200

    def test_the_name_of_a_deleted_study_is_free(
        self, digits: StudyRecord, launcher: TestClient, spec: dict[str, Any]
    ) -> None:
        launcher.delete("/studies/digits")
        assert launcher.post("/studies", json={"spec": spec}).status_code == 201
        answer = launcher.post(f"/studies/std_{digits.id}:undelete")
        assert answer.status_code == 409

    def test_only_a_deleted_study_is_purged(
        self, digits: StudyRecord, launcher: TestClient
    ) -> None:
        assert launcher.post("/studies/digits:purge").status_code == 409
        launcher.delete("/studies/digits")
        answer = launcher.post(f"/studies/std_{digits.id}:purge")
        assert (answer.status_code, answer.json()["kind"]) == (202, "purge")
        operation = launcher.get(answer.headers["location"].removeprefix("/api/v1"))
        assert operation.json()["state"] == "queued"


class TestList:
    def test_studies_are_filtered_ordered_and_read_in_parts(
        self, launcher: TestClient, spec: dict[str, Any]
    ) -> None:
        for name in ("a", "b", "c"):
            labels = {"odd": "yes"} if name != "b" else {}
            body = {"spec": {**spec, "name": name}, "labels": labels}
            launcher.post("/studies", json=body)
        launcher.post("/studies/c:pause")

        def names(query: str) -> list[str]:
            return [item["name"] for item in launcher.get(f"/studies?{query}").json()["items"]]

        assert names("order_by=name") == ["a", "b", "c"]
        assert names("order_by=-created") == ["c", "b", "a"]
        assert names("label=odd:yes&order_by=name") == ["a", "c"]
        assert names("state=paused") == ["c"]
        assert names("q=B") == ["b"]
        first = launcher.get("/studies?order_by=name&page_size=2").json()
        assert (first["total"], len(first["items"])) == (3, 2)
        token = first["next_page_token"]
        assert names(f"order_by=name&page_size=2&page_token={token}") == ["c"]
        wrong = launcher.get(f"/studies?order_by=-name&page_token={token}")
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_page_token")


@pytest.mark.parametrize("execution", [{}, {"workers": None}])
def test_a_study_that_leaves_its_workers_open_has_no_more_than_its_token_may(
    admin: TestClient, service: Service, spec: dict[str, Any], execution: Any
) -> None:
    made = admin.post("/tokens", json={"name": "a", "scope": "launch", "limits": {"slots": 1}})
    service.tokens["launch"] = made.json()["token"]
    answer = service.client("launch").post(
        "/studies", json={"spec": {**spec, "execution": execution}}
    )
    assert answer.status_code == 201
    assert service.store.study("digits").spec["execution"]["workers"] == 1
