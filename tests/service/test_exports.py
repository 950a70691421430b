"""A student is asked for early or not at all, and its files come as they were verified."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from autokd.store import OperationRecord, StudyRecord

from .conftest import Service

ONNX = bytes(range(256)) * 4
ETAG = f'"{hashlib.sha256(ONNX).hexdigest()}"'

_REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "invalid_request"),
    ({"best": True, "trial": 2}, 422, "invalid_request"),
    ({"trial": 2, "max_parameters": "6k"}, 422, "invalid_request"),
    ({"trial": -1}, 422, "invalid_request"),
    ({"trial": 2**40}, 422, "invalid_request"),
    ({"trial": 2, "formats": []}, 422, "invalid_request"),
    ({"trial": 2, "formats": ["pickle"]}, 422, "invalid_request"),
    ({"trial": 2, "format": "onnx"}, 422, "invalid_request"),
    ({"best": True, "max_parameters": "many"}, 422, "invalid_request"),
    ({"best": True, "max_parameters": "0.1x"}, 422, "invalid_request"),
    ({"best": True, "max_parameters": "1k"}, 404, "nothing_feasible"),
    ({"trial": 99}, 404, "not_found"),
]
_NO_FILES = (
    "student.pt2",
    ".",
    "..%2f..%2fcoordinator.lock",
    "%2e%2e%2fstudent.onnx",
    "..%5cstudent.onnx",
    "%252e%252e%252fstudent.onnx",
    "%2fetc%2fpasswd",
    "student.onnx%00",
    "STUDENT.ONNX",
    "．．",
)


@pytest.fixture
def written(service: Service, digits: StudyRecord) -> OperationRecord:
    """An export of trial 2, as a coordinator would have left it."""
    store = service.store
    operation = store.add_operation("export", digits.id, {"trial": 2, "formats": ["onnx"]})
    store.begin_operation(operation.id)
    folder = digits.folder / "exports" / str(operation.id)
    folder.mkdir(parents=True)
    (folder / "student.onnx").write_bytes(ONNX)
    (folder / "README.md").write_text("# A student\n")
    (folder / "student.json").write_text('{"spec": {"data": {"root": "/srv/data"}}}')
    student = {
        "study": "digits",
        "trial": 2,
        "scored_on": "test",
        "spec": {**digits.spec, "data": {"name": "cifar10", "root": "/srv/data"}},
        "files": [
            {
                "name": "student.onnx",
                "bytes": len(ONNX),
                "sha256": hashlib.sha256(ONNX).hexdigest(),
                "verified": "test accuracy 81.25 %",
                "accuracy": 0.8125,
                "largest_difference": 1e-6,
            }
        ],
    }
    response = {"export": operation.id, "student": student}
    return store.end_operation(operation.id, response=response)


def _url(operation: OperationRecord, rest: str = "") -> str:
    return f"/exports/exp_{operation.id}{rest}"


class TestAsking:
    def test_an_export_is_an_operation_for_the_coordinator(
        self, launcher: TestClient, digits: StudyRecord, service: Service
    ) -> None:
        answer = launcher.post("/studies/digits/exports", json={"trial": 2, "formats": ["pt2"]})
        assert answer.status_code == 202
        body = answer.json()
        assert (body["kind"], body["state"], body["study"]) == ("export", "queued", "std_1")
        assert answer.headers["location"] == f"/api/v1/operations/{body['id']}"
        (operation,) = service.store.operations(digits.id)
        assert operation.request == {"trial": 2, "limits": {}, "formats": ["pt2"]}
        assert operation.owner is not None

    def test_limits_of_the_best_are_written_as_people_write_sizes(
        self, launcher: TestClient, digits: StudyRecord, service: Service
    ) -> None:
        asked = {
            "best": True,
            "max_parameters": "6k",
            "max_memory": "4KiB",
            "max_macs": 1e6,
            "max_weight": "0.1MB",
        }
        assert launcher.post("/studies/digits/exports", json=asked).status_code == 202
        (operation,) = service.store.operations(digits.id)
        assert operation.request["limits"] == {
            "parameters": 6000,
            "peak_activation_bytes": 4096,
            "macs": 1e6,
            "weight_bytes": 100_000,
        }
        assert operation.request["formats"] == ["onnx", "safetensors"]

    def test_what_can_not_be_exported_is_refused_at_once(
        self, launcher: TestClient, digits: StudyRecord, service: Service
    ) -> None:
        for asked, status, code in _REFUSED:
            answer = launcher.post("/studies/digits/exports", json=asked)
            assert (asked, answer.status_code, answer.json()["code"]) == (asked, status, code)
        assert service.store.operations(digits.id) == []

    @pytest.mark.parametrize("size", ["0.1x", "zzz", "5ms"])
    def test_what_is_no_size_is_said_once(
        self, size: str, launcher: TestClient, digits: StudyRecord
    ) -> None:
        asked = {"best": True, "max_parameters": size}
        answer = launcher.post("/studies/digits/exports", json=asked)
        (mistake,) = answer.json()["errors"]
        assert mistake["message"] == f"expected a size like 20k or 64KiB; got {size!r}"

    def test_asking_takes_a_token_that_may_launch(
        self, reader: TestClient, digits: StudyRecord, written: OperationRecord
    ) -> None:
        assert reader.post("/studies/digits/exports", json={"best": True}).status_code == 403
        assert reader.delete(_url(written)).status_code == 403


class TestReading:
    def test_an_export_says_what_its_check_said_and_what_is_known_of_the_student(
        self, reader: TestClient, written: OperationRecord
    ) -> None:
        export = reader.get(_url(written)).json()
        assert (export["id"], export["study"], export["trial"]) == ("exp_1", "std_1", 2)
        onnx = export["files"][0]
        assert (onnx["name"], onnx["bytes"]) == ("student.onnx", len(ONNX))
        assert (onnx["verified"], onnx["accuracy"]) == ("test accuracy 81.25 %", 0.8125)
        assert [file["name"] for file in export["files"][1:]] == ["student.json", "README.md"]
        assert export["student"]["scored_on"] == "test"

    def test_it_names_no_places_on_the_server(
        self, reader: TestClient, written: OperationRecord
    ) -> None:
        for path in (_url(written), _url(written, "/files/student.json")):
            assert "/srv" not in reader.get(path).text

    def test_the_operation_names_its_export(
        self, reader: TestClient, written: OperationRecord
    ) -> None:
        operation = reader.get(f"/operations/op_{written.id}").json()
        assert operation["response"] == {"export": "exp_1"}

    def test_the_exports_of_a_study_are_listed_newest_first(
        self, reader: TestClient, written: OperationRecord, service: Service, digits: StudyRecord
    ) -> None:
        failed = service.store.add_operation("export", digits.id, {})
        service.store.end_operation(failed.id, error={"message": "no"})
        service.store.add_operation("export", digits.id, {})
        page = reader.get("/studies/digits/exports").json()
        assert ([one["id"] for one in page["items"]], page["total"]) == (["exp_1"], 1)
        assert reader.get("/studies/digits/exports?trial=3").json()["items"] == []

    def test_what_is_no_export_is_not_found(
        self, reader: TestClient, written: OperationRecord
    ) -> None:
        for id in ("exp_9", "op_1", "exp_01", "1", "..%2f1", "exp_" + "9" * 18):
            answer = reader.get(f"/exports/{id}")
            assert (id, answer.status_code, answer.json()["code"]) == (id, 404, "not_found")

    def test_one_that_is_not_written_yet_is_not_found_and_says_why(
        self, reader: TestClient, service: Service, digits: StudyRecord
    ) -> None:
        service.store.add_operation("export", digits.id, {})
        purge = service.store.add_operation("purge", digits.id, {})
        problem = reader.get("/exports/exp_1").json()
        assert problem["detail"] == "export exp_1 is not there: its operation is queued"
        assert "op_1" in problem["hint"]
        assert reader.get(f"/exports/exp_{purge.id}").status_code == 404


class TestFiles:
    def test_a_file_comes_as_it_was_verified_to_be_saved_and_not_shown(
        self, reader: TestClient, written: OperationRecord
    ) -> None:
        answer = reader.get(_url(written, "/files/student.onnx"))
        assert answer.content == ONNX
        headers = answer.headers
        assert headers["etag"] == ETAG
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-disposition"] == 'attachment; filename="student.onnx"'
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "private, no-cache"

    def test_every_file_that_is_listed_is_there_with_its_checksum(
        self, reader: TestClient, written: OperationRecord
    ) -> None:
        for file in reader.get(_url(written)).json()["files"]:
            answer = reader.get(_url(written, f"/files/{file['name']}"))
            assert len(answer.content) == file["bytes"]
            assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
            assert answer.headers["etag"] == f'"{file["sha256"]}"'
            assert answer.headers["content-disposition"].startswith("attachment")

    def test_the_description_is_that_of_the_export(
        self, reader: TestClient, written: OperationRecord
    ) -> None:
        description = reader.get(_url(written, "/files/student.json"))
        assert json.loads(description.content) == reader.get(_url(written)).json()["student"]

    def test_a_download_that_was_cut_off_goes_on(
        self, reader: TestClient, written: OperationRecord
    ) -> None:
        url = _url(written, "/files/student.onnx")
        for part, content in (("0-9", ONNX[:10]), ("1000-", ONNX[1000:]), ("-5", ONNX[-5:])):
            headers = {"Range": f"bytes={part}", "If-Range": ETAG}
            answer = reader.get(url, headers=headers)
            assert (answer.status_code, answer.content) == (206, content)
            assert answer.headers["content-range"].endswith(f"/{len(ONNX)}")
            other = reader.get(url, headers={**headers, "If-Range": '"other"'})
            assert (other.status_code, other.content) == (200, ONNX)

    @pytest.mark.parametrize("range", ["bytes=abc", "items=0-5", "bytes=5-2", "bytes=", "none"])
    def test_a_range_that_is_none_is_ignored(
        self, range: str, reader: TestClient, written: OperationRecord
    ) -> None:
        answer = reader.get(_url(written, "/files/student.onnx"), headers={"Range": range})
        assert (answer.status_code, answer.content) == (200, ONNX)

    @pytest.mark.parametrize("range", ["bytes=5000-", "bytes=-0"])
    def test_a_range_beyond_the_end_is_refused(
        self, range: str, reader: TestClient, written: OperationRecord
    ) -> None:
        answer = reader.get(_url(written, "/files/student.onnx"), headers={"Range": range})
        assert answer.status_code == 416
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "range_not_satisfiable"
        assert answer.headers["content-range"] == f"bytes */{len(ONNX)}"

    def test_a_head_says_how_long_a_file_is(
        self, reader: TestClient, written: OperationRecord
    ) -> None:
        # Parts are for GET alone.
        head = reader.head(_url(written, "/files/student.onnx"), headers={"Range": "bytes=0-1"})
        assert (head.status_code, head.content) == (200, b"")
        assert (head.headers["content-length"], head.headers["etag"]) == (str(len(ONNX)), ETAG)

    def test_a_file_that_is_known_is_not_sent_again(
        self, reader: TestClient, written: OperationRecord
    ) -> None:
        url = _url(written, "/files/student.onnx")
        known = reader.get(url, headers={"If-None-Match": f'"other", {ETAG}'})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", ETAG)
        assert reader.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
        assert reader.get(url, headers={"If-None-Match": "*"}).status_code == 304

    def test_nothing_else_is_found(
        self, reader: TestClient, written: OperationRecord, digits: StudyRecord
    ) -> None:
        (digits.folder / "exports" / str(written.id) / "student.pt2").write_bytes(b"not verified")
        for name in _NO_FILES:
            answer = reader.get(_url(written, f"/files/{name}"))
            assert (name, answer.status_code) == (name, 404)
            assert answer.headers["content-type"] == "application/problem+json"


class TestDeleting:
    def test_a_deleted_export_frees_its_bytes_and_is_not_found(
        self, launcher: TestClient, written: OperationRecord, digits: StudyRecord
    ) -> None:
        assert launcher.delete(_url(written)).status_code == 204
        assert [*(digits.folder / "exports").iterdir()] == []
        for path in (_url(written), _url(written, "/files/student.onnx")):
            problem = launcher.get(path).json()
            assert (problem["status"], problem["detail"]) == (404, "export exp_1 was deleted")
        assert launcher.delete(_url(written)).status_code == 404
        assert launcher.get("/studies/digits/exports").json()["items"] == []
        assert launcher.get(f"/operations/op_{written.id}").status_code == 200

    def test_exports_of_a_study_that_was_deleted_can_be_had_until_it_is_purged(
        self, launcher: TestClient, written: OperationRecord, digits: StudyRecord, service: Service
    ) -> None:
        service.store.hide_study(digits.id)
        assert launcher.get(_url(written)).status_code == 200
        assert launcher.get("/studies/std_1/exports").status_code == 404  # as its trials are
        service.store.delete_study(digits.id)
        assert launcher.get(_url(written)).status_code == 404
