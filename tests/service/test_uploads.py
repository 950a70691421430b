"""An upload is ready, or it is refused and says why; a study that needs it keeps it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from safetensors.numpy import save
from starlette.testclient import TestClient

from service.access import Scope, make_token
from service.settings import Settings
from service.uploads import remove_stale_parts

from .conftest import Service

WEIGHTS = save({"conv.weight": np.zeros((3, 4), np.float32), "conv.bias": np.ones(3, np.float16)})
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


def _images(**changed: Any) -> bytes:
    file = io.BytesIO()
    images, labels = np.zeros((4, 5, 4), np.uint8), np.array([0, 1, 0, 1])
    arrays = {"x_train": images, "y_train": labels, "x_test": images[:2], "y_test": labels[:2]}
    np.savez_compressed(file, **(arrays | changed))
    return file.getvalue()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Of a service that takes 10,000 bytes at a time."""
    return settings.model_copy(update={"upload_bytes": 10_000})


def _announce(client: TestClient, kind: str = "teacher") -> dict[str, Any]:
    answer = client.post("/uploads", json={"kind": kind, "name": "mine"})
    assert answer.status_code == 201
    body: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/v1/uploads/{body['id']}"
    return body


def _send(client: TestClient, content: bytes = WEIGHTS, kind: str = "teacher") -> dict[str, Any]:
    made = _announce(client, kind)
    answer = client.put(f"/uploads/{made['id']}/content", content=content)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def _files(service: Service) -> list[str]:
    folder = service.store.files / "uploads"
    return sorted(path.name for path in folder.glob("*") if path.suffix != ".lock")


class TestSending:
    def test_an_upload_waits_for_its_content_and_is_ready_with_it(
        self, launcher: TestClient, service: Service
    ) -> None:
        made = _announce(launcher)
        assert (made["id"], made["kind"], made["name"]) == ("upl_1", "teacher", "mine")
        assert (made["state"], made["bytes"], made["sha256"]) == ("waiting", 0, None)
        answer = launcher.put("/uploads/upl_1/content", content=WEIGHTS)
        ready = answer.json()
        assert (ready["state"], ready["bytes"], ready["sha256"]) == ("ready", len(WEIGHTS), SHA256)
        assert ready["summary"] == {
            "tensors": 2,
            "parameters": 15,
            "dtypes": {"F16": 3, "F32": 12},
        }
        assert launcher.get("/uploads/upl_1").json() == ready
        assert _files(service) == ["1.safetensors"]
        assert (service.store.files / "uploads" / "1.safetensors").read_bytes() == WEIGHTS

    def test_data_are_checked_as_data(self, launcher: TestClient) -> None:
        ready = _send(launcher, _images(), "data")
        assert ready["summary"] == {
            "train": 4,
            "test": 2,
            "shape": [5, 4],
            "unpacked_bytes": ready["summary"]["unpacked_bytes"],
        }

    def test_content_may_come_in_pieces_of_unknown_number(self, launcher: TestClient) -> None:
        _announce(launcher)

        def pieces() -> Iterator[bytes]:
            for start in range(0, len(WEIGHTS), 50):
                yield WEIGHTS[start : start + 50]

        answer = launcher.put("/uploads/upl_1/content", content=pieces())
        assert answer.json()["sha256"] == SHA256

    def test_content_is_not_replaced(self, launcher: TestClient, service: Service) -> None:
        _send(launcher)
        other = save({"other": np.zeros(1, np.float32)})
        answer = launcher.put("/uploads/upl_1/content", content=other)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert (service.store.files / "uploads" / "1.safetensors").read_bytes() == WEIGHTS

    def test_only_one_sends_at_a_time(self, launcher: TestClient, service: Service) -> None:
        _announce(launcher)
        folder = service.store.files / "uploads"
        folder.mkdir(parents=True)
        with FileLock(folder / "1.safetensors.lock"):  # another process receives it
            for answer in (
                launcher.put("/uploads/upl_1/content", content=WEIGHTS),
                launcher.delete("/uploads/upl_1"),
            ):
                assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert launcher.put("/uploads/upl_1/content", content=WEIGHTS).status_code == 200

    def test_uploads_are_listed_newest_first_by_kind_and_state(self, launcher: TestClient) -> None:
        _send(launcher)
        _announce(launcher, "data")
        for query, ids in (
            ("", ["upl_2", "upl_1"]),
            ("?kind=data", ["upl_2"]),
            ("?state=ready", ["upl_1"]),
            ("?state=ready&kind=data", []),
        ):
            page = launcher.get(f"/uploads{query}").json()
            assert ([one["id"] for one in page["items"]], page["total"]) == (ids, len(ids))


class TestRefusing:
    @pytest.mark.parametrize(
        ("kind", "content", "message"),
        [
            ("teacher", b"PK\x03\x04 a pickle in a zip", "expected a safetensors file"),
            ("teacher", WEIGHTS[:-1], "expected 54 bytes of tensors, got 53"),
            ("data", WEIGHTS, "expected a NumPy archive"),
            ("data", _images(y_test=np.array([{}, {}], object)), "expected y_test to be whole"),
        ],
    )
    def test_other_content_is_refused_and_deleted_and_better_may_follow(
        self, launcher: TestClient, service: Service, kind: str, content: bytes, message: str
    ) -> None:
        made = _announce(launcher, kind)
        answer = launcher.put(f"/uploads/{made['id']}/content", content=content)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "invalid_upload")
        refused = launcher.get(f"/uploads/{made['id']}").json()
        assert (refused["state"], refused["bytes"]) == ("refused", 0)
        assert message in problem["detail"] + refused["error"]
        assert problem["detail"] in refused["error"]
        assert _files(service) == []
        better = WEIGHTS if kind == "teacher" else _images()
        answer = launcher.put(f"/uploads/{made['id']}/content", content=better)
        assert answer.json()["state"] == "ready"
        assert answer.json()["error"] is None

    def test_too_large_content_is_refused_and_changes_nothing(
        self, launcher: TestClient, service: Service
    ) -> None:
        _announce(launcher)
        large = b"x" * 10_001
        for content in (large, iter([large[:9000], large[9000:]])):
            answer = launcher.put("/uploads/upl_1/content", content=content)
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert launcher.get("/uploads/upl_1").json()["state"] == "waiting"
        assert _files(service) == []

    def test_a_sender_that_hangs_up_changes_nothing(
        self, launcher: TestClient, service: Service, caplog: pytest.LogCaptureFixture
    ) -> None:
        _announce(launcher)
        messages = [
            {"type": "http.request", "body": WEIGHTS[:50], "more_body": True},
            {"type": "http.disconnect"},
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "PUT",
            "path": "/api/v1/uploads/upl_1/content",
            "query_string": b"",
            "headers": [
                (b"host", b"127.0.0.1:8000"),
                (b"authorization", launcher.headers["Authorization"].encode()),
            ],
        }
        asyncio.run(service.anonymous.app(scope, receive, send))
        assert sent[0]["status"] == 422
        assert "Traceback" not in caplog.text
        assert launcher.get("/uploads/upl_1").json()["state"] == "waiting"
        assert _files(service) == []

    def test_content_is_what_its_sender_says_it_is(
        self, launcher: TestClient, service: Service
    ) -> None:
        _announce(launcher)

        def send(digest: str) -> tuple[int, str]:
            headers = {"Repr-Digest": digest}
            answer = launcher.put("/uploads/upl_1/content", content=WEIGHTS, headers=headers)
            return answer.status_code, answer.json().get("code", "")

        right = base64.b64encode(bytes.fromhex(SHA256)).decode()
        wrong = base64.b64encode(bytes(32)).decode()
        assert send(f"sha-256=:{wrong}:") == (422, "invalid_upload")
        good = f"sha-256=:{right}:"
        for malformed in (
            *("sha-256=:abc:", "sha-256=", "sha-256=:%%%:", f"sha-256={right}"),
            *("garbage", "sha-512=AAAA", "sha-512=:A:", f"garbage, {good}", f"{good}, garbage"),
        ):
            assert send(malformed) == (400, "invalid_request")
        assert launcher.get("/uploads/upl_1").json()["state"] == "waiting"
        assert send(f"sha-512=:AAAA:, SHA-256=:{right}:")[0] == 200

    def test_an_announcement_says_what_and_names_no_place(self, launcher: TestClient) -> None:
        for body in (
            {"kind": "teacher"},
            {"kind": "model", "name": "x"},
            {"kind": "data", "name": ""},
            {"kind": "data", "name": "a\nb"},
            {"kind": "data", "name": "x" * 201},
            {"kind": "data", "name": "x", "path": "/etc/passwd"},
        ):
            assert launcher.post("/uploads", json=body).status_code == 422

    def test_what_is_no_upload_is_not_found(self, launcher: TestClient) -> None:
        for id in ("upl_1", "std_1", "..", "upl_01"):
            for answer in (
                launcher.get(f"/uploads/{id}"),
                launcher.put(f"/uploads/{id}/content", content=b""),
                launcher.delete(f"/uploads/{id}"),
            ):
                assert answer.status_code in (404, 405)

    def test_sending_takes_a_token_that_may_launch(
        self, reader: TestClient, launcher: TestClient
    ) -> None:
        _announce(launcher)
        for answer in (
            reader.post("/uploads", json={"kind": "data", "name": "x"}),
            reader.put("/uploads/upl_1/content", content=WEIGHTS),
            reader.delete("/uploads/upl_1"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


class TestQuota:
    @pytest.fixture
    def poor(self, service: Service) -> TestClient:
        """May have 200 bytes of uploads."""
        limits = {"disk_bytes": 200}
        _, secret = make_token(service.store, "poor", Scope.LAUNCH, limits=limits)
        client = service.client("launch")
        client.headers["Authorization"] = f"Bearer {secret}"
        return client

    def test_all_uploads_of_a_token_share_its_limit(self, poor: TestClient) -> None:
        assert len(WEIGHTS) in range(101, 200)
        _send(poor)
        second = _announce(poor)
        answer = poor.put(f"/uploads/{second['id']}/content", content=WEIGHTS)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert poor.delete("/uploads/upl_1").status_code == 204
        answer = poor.put(f"/uploads/{second['id']}/content", content=WEIGHTS)
        assert answer.status_code == 200

    def test_a_refused_upload_takes_nothing_of_it(self, poor: TestClient) -> None:
        made = _announce(poor)
        poor.put(f"/uploads/{made['id']}/content", content=b"x" * 190)
        assert _send(poor)["state"] == "ready"

    def test_a_token_that_has_nothing_left_is_told_so(
        self, poor: TestClient, service: Service
    ) -> None:
        made = _announce(poor)
        upload = service.store.upload(int(made["id"][4:]))
        other = service.store.add_upload("data", "other", upload.owner)
        service.store.end_upload(other.id, size_bytes=200, sha256=SHA256)
        problem = poor.put(f"/uploads/{made['id']}/content", content=WEIGHTS).json()
        assert "at most 200 bytes in all of this token, there are 200" in problem["detail"]

    def test_content_comes_with_the_token_that_announced_it(
        self, poor: TestClient, launcher: TestClient
    ) -> None:
        made = _announce(launcher)
        answer = poor.put(f"/uploads/{made['id']}/content", content=WEIGHTS)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


class TestDeleting:
    def test_a_deleted_upload_leaves_nothing(self, launcher: TestClient, service: Service) -> None:
        _send(launcher)
        assert launcher.delete("/uploads/upl_1").status_code == 204
        assert [*(service.store.files / "uploads").iterdir()] == []
        assert launcher.get("/uploads/upl_1").status_code == 404

    @pytest.mark.parametrize(
        ("kind", "part"),
        [
            ("teacher", {"teacher": {"model": "resnet8", "weights": "upl_1"}}),
            ("data", {"data": {"name": "npz", "path": "upl_1"}}),
        ],
    )
    def test_an_upload_is_kept_while_a_study_that_is_not_purged_names_it(
        self,
        launcher: TestClient,
        service: Service,
        spec: dict[str, Any],
        kind: str,
        part: dict[str, Any],
    ) -> None:
        _send(launcher, WEIGHTS if kind == "teacher" else _images(), kind)
        answer = launcher.post("/studies", json={"spec": {**spec, **part}})
        assert answer.status_code == 201
        study = service.store.study("digits")
        for _ in range(2):
            refused = launcher.delete("/uploads/upl_1")
            assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
            assert "digits" in refused.json()["detail"]
            if study.deleted is None:
                study = service.store.hide_study(study.id)
        service.store.delete_study(study.id)
        assert launcher.delete("/uploads/upl_1").status_code == 204


class TestParts:
    def test_a_part_to_which_nothing_came_for_long_is_deleted(self, tmp_path: Path) -> None:
        old, young, whole = (tmp_path / name for name in ("1.npz.a.part", "2.npz.b.part", "3.npz"))
        for path in (old, young, whole):
            path.write_bytes(b"x")
        for path in (old, whole):
            os.utime(path, (0, 0))
        remove_stale_parts(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["2.npz.b.part", "3.npz"]

    def test_a_folder_that_is_not_there_has_none(self, tmp_path: Path) -> None:
        remove_stale_parts(tmp_path / "uploads")
