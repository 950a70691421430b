"""Files that are downloaded and sent."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

import httpx
import pytest

from autokd.errors import (
    AutokdError,
    DataError,
    ServerUnreachableError,
    TeacherError,
    VerificationError,
)

from .conftest import body, operation, problem

CONTENT = {"student.onnx": b"o" * 5000, "student.json": b"{}"}


class Exporter:
    """A server that exports a student; a file breaks off as often as it is told to."""

    def __init__(self, *, breaks: int = 0, ranges: bool = True, **names: str) -> None:
        self.breaks = breaks
        self.ranges = ranges
        self.asked: dict[str, object] = {}
        self.fetched: list[str | None] = []
        self.content = {names.get(name, name): value for name, value in CONTENT.items()}
        self.damage = b""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1/")
        if path == "studies/digits/exports":
            self.asked = body(request)
            return httpx.Response(202, json=operation("queued"))
        if path == "operations/op_5":
            done = operation("succeeded", response={"export": "exp_5"})
            return httpx.Response(200, json=done)
        if path == "exports/exp_5":
            return httpx.Response(200, json=self.export())
        return self.file(path.removeprefix("exports/exp_5/files/"), request.headers.get("range"))

    def export(self) -> dict[str, object]:
        files = [
            {
                "name": name,
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "verified": None,
            }
            for name, content in self.content.items()
        ]
        return {
            "id": "exp_5",
            "study": "std_1",
            "trial": 3,
            "created": "2026-01-02T03:04:05Z",
            "files": files,
            "student": {"format": 1},
        }

    def file(self, name: str, wanted: str | None) -> httpx.Response:
        self.fetched.append(wanted)
        content, start = self.content[name] + self.damage, 0
        if wanted is not None and self.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        breaks, self.breaks = self.breaks > 0, self.breaks - 1
        status = 206 if start else 200
        return httpx.Response(status, stream=Pieces(content[start:], breaks=breaks))


class Pieces(httpx.SyncByteStream):
    """Bytes, in two pieces; the second may get lost."""

    def __init__(self, content: bytes, *, breaks: bool) -> None:
        self.content = content
        self.breaks = breaks

    def __iter__(self) -> Iterator[bytes]:
        half = len(self.content) // 2
        yield self.content[:half]
        if self.breaks:
            raise httpx.ReadError("reset")
        yield self.content[half:]


def test_a_student_is_exported_and_downloaded(client_of, tmp_path):
    server = Exporter()
    folder = tmp_path / "a" / "student"
    export = client_of(server).export("digits", folder, max_parameters="20k")
    assert server.asked == {
        "best": True,
        "max_parameters": "20k",
        "formats": ["onnx", "safetensors"],
    }
    assert {path.name for path in folder.iterdir()} == {*CONTENT}
    assert (folder / "student.onnx").read_bytes() == CONTENT["student.onnx"]
    assert export.trial == 3


def test_a_trial_takes_the_place_of_the_best(client_of, tmp_path):
    server = Exporter()
    client_of(server).export("digits", tmp_path, trial=0, formats=["pt2"])
    assert server.asked == {"trial": 0, "formats": ["pt2"]}


def test_an_older_student_is_replaced(client_of, tmp_path):
    for name in ("student.onnx", "student.pt2", "notes.txt"):
        (tmp_path / name).write_text("old")
    client_of(Exporter()).export("digits", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*CONTENT, "notes.txt"}
    assert (tmp_path / "student.onnx").read_bytes() == CONTENT["student.onnx"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_off_goes_on(client_of, tmp_path, pauses, ranges):
    server = Exporter(breaks=2, ranges=ranges)
    client_of(server).export("digits", tmp_path)
    assert (tmp_path / "student.onnx").read_bytes() == CONTENT["student.onnx"]
    assert server.fetched[0] is None
    assert server.fetched[1] == "bytes=2500-"
    assert len(pauses) == 2


def test_a_download_that_always_breaks_off_is_given_up(client_of, tmp_path):
    with pytest.raises(ServerUnreachableError):
        client_of(Exporter(breaks=100)).export("digits", tmp_path / "student")
    assert not any((tmp_path / "student").iterdir())


def test_a_damaged_file_is_not_written(client_of, tmp_path):
    server = Exporter()
    server.damage = b"!"
    (tmp_path / "student.onnx").write_bytes(b"of an earlier student")
    with pytest.raises(VerificationError, match="expected SHA-256") as error:
        client_of(server).export("digits", tmp_path)
    assert error.value.exit_code == 7
    assert [path.name for path in tmp_path.iterdir()] == ["student.onnx"]
    assert (tmp_path / "student.onnx").read_bytes() == b"of an earlier student"


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a\\b", "..", "", "c:x", "a\0b"])
def test_a_file_stays_in_its_folder(client_of, tmp_path, name):
    server = Exporter(**{"student.onnx": name})
    with pytest.raises(AutokdError, match="no name of a file"):
        client_of(server).export("digits", tmp_path / "student")
    assert not any((tmp_path / "student").iterdir())


# Uploads


class Receiver:
    """A server that takes uploads."""

    def __init__(self, *, refuses: str | None = None) -> None:
        self.refuses = refuses
        self.uploads: list[dict[str, object]] = []
        self.received: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1/")
        if (request.method, path) == ("GET", "uploads"):
            page = {"items": self.uploads, "next_page_token": None, "total": len(self.uploads)}
            return httpx.Response(200, json=page)
        if (request.method, path) == ("POST", "uploads"):
            number = len(self.uploads) + 1
            made = {
                **body(request),
                "id": f"upl_{number}",
                "state": "waiting",
                "bytes": 0,
                "sha256": None,
                "error": None,
            }
            self.uploads.append(made)
            return httpx.Response(201, json=made)
        assert (request.method, path) == ("PUT", f"uploads/upl_{len(self.uploads)}/content")
        content = request.read()
        assert request.headers["content-length"] == str(len(content))
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert request.headers["repr-digest"] == f"sha-256=:{digest}:"
        self.received.append(content)
        if self.refuses:
            return problem(422, "invalid_upload", self.refuses, hint="send another")
        self.uploads[-1] |= {
            "state": "ready",
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        return httpx.Response(200, json=self.uploads[-1])


def test_a_file_is_sent(client_of, tmp_path):
    server = Receiver()
    path = tmp_path / "teacher.safetensors"
    path.write_bytes(b"weights" * 100_000)
    upload = client_of(server).upload_teacher(path)
    assert (upload.id, upload.kind, upload.name) == ("upl_1", "teacher", "teacher.safetensors")
    assert server.received == [path.read_bytes()]


def test_a_file_that_the_server_has_is_not_sent_again(client_of, tmp_path):
    server = Receiver()
    client = client_of(server)
    (tmp_path / "a.npz").write_bytes(b"images")
    (tmp_path / "b.npz").write_bytes(b"images")
    assert client.upload_data(tmp_path / "a.npz").id == "upl_1"
    assert client.upload_data(str(tmp_path / "b.npz")).id == "upl_1"
    assert len(server.received) == 1
    assert client.upload_teacher(tmp_path / "b.npz").id == "upl_2"  # of another kind


@pytest.mark.parametrize(("kind", "error"), [("teacher", TeacherError), ("data", DataError)])
def test_a_file_that_is_refused_says_why(client_of, tmp_path, kind, error):
    (tmp_path / "x").write_bytes(b"?")
    send = getattr(client_of(Receiver(refuses="expected a header")), f"upload_{kind}")
    with pytest.raises(error, match="refuses .*x: expected a header") as refused:
        send(tmp_path / "x")
    assert refused.value.hint == "send another"
    with pytest.raises(error, match="there is no file"):
        send(tmp_path / "y")
