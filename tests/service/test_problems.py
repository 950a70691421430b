"""Whatever goes wrong, the answer is a problem document, and nothing of the server shows."""

from __future__ import annotations

import copy
import json
import logging
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator, MutableMapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from starlette.testclient import TestClient

from autokd.errors import StorageFullError
from autokd.inspector import Inspector, InspectorBusyError, InspectorError, InspectorTimeoutError
from autokd.spec import study_schema
from autokd.store import Store, StudyRecord
from service.middleware import CONTENT_SECURITY_POLICY
from service.routes.pages import DASHBOARD
from service.settings import Settings

from .conftest import HOST, Service, serving

JSON = {"Content-Type": "application/json"}
YAML = {"Content-Type": "application/yaml"}


def problem_of(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer, which has all that one must have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["title"] and problem["detail"] and problem["type"] == "about:blank"
    assert problem["request_id"] == answer.headers["x-request-id"]
    _check_headers(answer)
    assert not re.search(r"Traceback|File \"|/tmp/|/home/|sqlite", answer.text)
    return problem


def _check_headers(answer: Any) -> None:
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"


def raw(
    service: Service, method: str, target: str, received: Any = None
) -> list[MutableMapping[str, Any]]:
    """What is sent for a request as a server hands it on: no client has tidied its path up."""
    sent = []
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(target),
        "raw_path": target.encode(),
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"application/json"),
            (b"authorization", f"Bearer {service.tokens['admin']}".encode()),
        ],
    }

    async def receive() -> MutableMapping[str, Any]:
        return received or {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    portal = service.anonymous.portal
    assert portal is not None
    portal.call(service.anonymous.app, scope, receive, send)
    return sent


class TestStatus:
    @pytest.mark.parametrize("path", ["/nothing", "/api/v1/nothing", "/api/v1/studies/", "/api/v2"])
    def test_404_where_there_is_nothing(self, path: str, recorded: Service) -> None:
        problem_of(recorded.client("read").get(HOST + path), 404, "not_found")

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("PUT", "/studies", "GET, POST, HEAD"),
            ("OPTIONS", "/studies/digits", "GET, PATCH, DELETE, HEAD"),
            ("GET", "/session", "POST, DELETE"),
            ("HEAD", "/events", "GET"),
            ("POST", f"{HOST}/healthz", "GET, HEAD"),
        ],
    )
    def test_405_says_all_that_is_possible(
        self, method: str, path: str, allowed: str, recorded: Service
    ) -> None:
        answer = recorded.client("read").request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        if method != "HEAD":
            problem_of(answer, 405, "method_not_allowed")

    @pytest.mark.parametrize("announced", [True, False])
    @pytest.mark.parametrize("path", ["/studies", "/studies/digits:clone", "/session"])
    def test_413_for_a_body_of_ten_megabytes(
        self, announced: bool, path: str, recorded: Service
    ) -> None:
        body = b'{"spec": "' + b"a" * 10_000_000 + b'"}'
        content = (
            body if announced else iter([body[at : at + 65536] for at in range(0, 10**7, 65536)])
        )
        answer = recorded.client("launch").post(path, content=content, headers=JSON)
        problem_of(answer, 413, "too_large")

    def test_413_has_one_title(self, recorded: Service) -> None:
        client, long = recorded.client("launch"), b"#" * 2_000_000
        titles = {
            problem_of(client.post("/studies", content=content, headers=YAML), 413, "too_large")[
                "title"
            ]
            for content in (long, long[:100_000], iter([long]))
        }
        assert len(titles) == 1

    def test_413_for_a_study_file_of_a_hundred_kilobytes(self, recorded: Service) -> None:
        answer = recorded.client("launch").post("/studies", content="#" * 100_000, headers=YAML)
        problem_of(answer, 413, "too_large")

    @pytest.mark.parametrize("length", ["many", "-1", "1e3", "9" * 5000])
    def test_400_for_a_length_that_is_none(self, length: str, recorded: Service) -> None:
        answer = recorded.client("launch").post("/studies", headers={"Content-Length": length})
        problem_of(answer, 400, "invalid_request")

    @pytest.mark.parametrize("path", ["/studies", "/studies/digits:clone", "/session"])
    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded", "json", ""]
    )
    def test_415_for_a_body_that_is_not_said_to_be_json(
        self, path: str, kind: str, recorded: Service
    ) -> None:
        headers = {"Content-Type": kind} if kind else {}
        answer = recorded.client("launch").post(path, content=b'{"name": "a"}', headers=headers)
        problem_of(answer, 415, "unsupported_media_type")

    def test_422_points_to_each_field(self, recorded: Service) -> None:
        body = {"labels": {"a": 1, "b/c~d": "x\0"}, "nam/e~": "a"}
        answer = recorded.client("launch").patch("/studies/digits", json=body)
        problem = problem_of(answer, 422, "invalid_request")
        pointers = {one["pointer"] for one in problem["errors"]}
        assert {"/labels/a", "/nam~1e~0"} <= pointers
        answer = recorded.client("read").get("/studies?page_size=0&order_by=size")
        problem = problem_of(answer, 422, "invalid_request")
        assert [one["pointer"] for one in problem["errors"]] == [
            "query:page_size",
            "query:order_by",
        ]

    @pytest.mark.parametrize(
        ("method", "path", "body", "pointer", "message"),
        [
            (
                "PATCH",
                "/studies/digits",
                {"name": "../a"},
                "/name",
                "expected at most 100 letters, digits, '.', '_' and '-', the first a letter or "
                "digit; got '../a'",
            ),
            (
                "PATCH",
                "/studies/digits",
                {"labels": {"a b": "c"}},
                "/labels/a b",
                "expected at most 63 letters, digits, '.', '_', '/' and '-', the first a letter or "
                "digit; got 'a b'",
            ),
            (
                "POST",
                "/uploads",
                {"kind": "data", "name": "a\nb"},
                "/name",
                "expected one line of text, without control characters; got 'a\\nb'",
            ),
            (
                "GET",
                "/studies?label=a",
                None,
                "query:label.0",
                "expected `key:value`; got 'a'",
            ),
            (
                "GET",
                "/studies?order_by=size",
                None,
                "query:order_by",
                "expected created, updated or name, or one of these with '-' before it; got 'size'",
            ),
        ],
    )
    def test_422_says_in_words_how_a_text_is_written(
        self, method: str, path: str, body: Any, pointer: str, message: str, recorded: Service
    ) -> None:
        answer = recorded.client("launch").request(method, path, json=body)
        (field,) = problem_of(answer, 422, "invalid_request")["errors"]
        assert field == {"pointer": pointer, "message": message}

    @pytest.mark.parametrize(
        ("method", "path", "body", "pointer"),
        [
            ("PATCH", "", {"limits": {"trials": -1}}, "/limits/trials"),
            ("PATCH", "", {"limits": {"years": 1}}, "/limits/years"),
            ("POST", ":extend", {"limits": {"trials": -1}}, "/limits/trials"),
            ("POST", ":clone", {"changes": {"limits.trials": -1}}, "/changes/limits.trials"),
            ("POST", ":clone", {"changes": {"limits": {"trials": -1}}}, "/changes/limits/trials"),
            ("POST", ":clone", {"changes": {"data.name.x": 1}}, "/changes/data.name.x"),
        ],
    )
    def test_422_points_to_what_was_sent_where_a_part_of_a_study_was(
        self, method: str, path: str, body: dict[str, Any], pointer: str, recorded: Service
    ) -> None:
        if path == ":clone":
            body = {"name": "more", **body}
        answer = recorded.client("launch").request(method, f"/studies/digits{path}", json=body)
        problem = problem_of(answer, 422, "invalid_spec")
        assert [one["pointer"] for one in problem["errors"]] == [pointer]

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/studies", b'{"spec": {"seed": 1, "seed": 2}}'),
            ("/studies", b'{"spec": {}, "spec": {}}'),
            ("/studies/digits:clone", b'{"name": "a", "name": "b"}'),
            ("/studies/digits:extend", b'{"limits": {"trials": 8, "trials": 9}}'),
            ("/session", b'{"token": "a", "token": "b"}'),
        ],
    )
    def test_422_for_a_field_that_comes_twice(
        self, path: str, body: bytes, recorded: Service
    ) -> None:
        answer = recorded.client("launch").post(path, content=body, headers=JSON)
        (field,) = problem_of(answer, 422, "invalid_request")["errors"]
        assert re.fullmatch("expected one field '[a-z]+', got two", field["message"])

    def test_422_lists_a_hundred_mistakes_at_most(self, recorded: Service) -> None:
        body = {"name": "a", "changes": {}, **{f"field{n}": n for n in range(1000)}}
        answer = recorded.client("launch").post("/studies/digits:clone", json=body)
        problem = problem_of(answer, 422, "invalid_request")
        assert len(problem["errors"]) == 100
        assert "1000 mistakes" in problem["detail"]

    def test_500_tells_nothing_but_the_log(
        self, recorded: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_arguments: Any, **_options: Any) -> Any:
            raise RuntimeError("/home/operator/secret")

        client = recorded.client("read")
        monkeypatch.setattr(Store, "studies", fail)
        answer = client.get("/studies", headers={"X-Request-ID": "mine-1"})
        assert problem_of(answer, 500, "unexpected")["request_id"] == "mine-1"
        assert "/home/operator/secret" in caplog.text

    @pytest.mark.parametrize(
        ("error", "status", "code", "again"),
        [
            (InspectorTimeoutError("it takes longer"), 422, "check_timeout", None),
            (InspectorBusyError("others ask"), 503, "check_busy", "5"),
            (InspectorError("it died"), 503, "check_failed", None),
        ],
    )
    def test_only_a_check_whose_turn_did_not_come_is_worth_asking_for_again(
        self,
        error: InspectorError,
        status: int,
        code: str,
        again: str | None,
        recorded: Service,
        spec: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_arguments: Any, **_options: Any) -> Any:
            raise error

        monkeypatch.setattr(Inspector, "check", fail)
        answer = recorded.client("launch").post("/studies?validate_only=1", json={"spec": spec})
        problem_of(answer, status, code)
        assert answer.headers.get("retry-after") == again

    def test_507_when_the_disk_is_full(
        self, launcher: TestClient, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_arguments: Any, **_options: Any) -> Any:
            raise StorageFullError("no space left for sqlite:////home/operator/autokd.db")

        with monkeypatch.context() as patched:
            patched.setattr(Store, "create_study", fail)
            problem_of(launcher.post("/studies", json={"spec": spec}), 507, "storage_full")
        assert launcher.post("/studies", json={"spec": spec}).status_code == 201

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/studies/digits", 200),
            ("/studies?page_size=0", 422),
            ("/studies/none", 404),
            ("/openapi.json", 200),
            (HOST + "/static/app.js", 200),
        ],
    )
    def test_head_is_answered_like_get_without_its_body(
        self, path: str, status: int, recorded: Service
    ) -> None:
        client = recorded.client("read")
        request = {"X-Request-ID": "mine-1"}
        got, head = client.get(path, headers=request), client.head(path, headers=request)
        assert (got.status_code, head.status_code, head.content) == (status, status, b"")
        assert head.headers == got.headers

    def test_a_request_id_that_is_none_is_replaced(self, recorded: Service) -> None:
        headers = {"X-Request-ID": "a b;c"}
        answer = recorded.client("read").get("/studies/none", headers=headers)
        assert re.fullmatch("[0-9a-f]{16}", problem_of(answer, 404, "not_found")["request_id"])

    def test_a_sender_that_hangs_up_is_no_error(
        self, recorded: Service, caplog: pytest.LogCaptureFixture
    ) -> None:
        hung_up = {"type": "http.disconnect"}
        assert raw(recorded, "POST", "/api/v1/studies", hung_up) == []
        assert not [each for each in caplog.records if each.levelno >= logging.ERROR]

    @pytest.mark.parametrize("path", ["/api/v1/meta", "/healthz", "/", "/static/app.js"])
    def test_every_answer_has_the_headers_that_guard_browsers(
        self, path: str, recorded: Service
    ) -> None:
        answer = recorded.client_with(None).get(HOST + path)
        assert answer.status_code == 200
        _check_headers(answer)


class TestDatabase:
    @pytest.fixture
    def hasty(self, settings: Settings) -> Iterator[Service]:
        """A service that waits for other writers no longer than a moment."""
        url = f"sqlite:///{settings.storage}?timeout=0.05"
        files = Path(settings.storage).with_suffix(".files")
        with serving(Settings(storage=url, files=files)) as service:
            yield service

    def test_503_while_another_process_writes_and_reading_goes_on(
        self, hasty: Service, settings: Settings, spec: dict[str, Any]
    ) -> None:
        launcher = hasty.client("launch")
        other = sqlite3.connect(settings.storage, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        answer = launcher.post("/studies", json={"spec": spec})
        problem_of(answer, 503, "database_unavailable")
        assert answer.headers["retry-after"] == "5"
        assert launcher.get("/studies").json()["total"] == 0
        other.execute("ROLLBACK")
        other.close()
        assert launcher.post("/studies", json={"spec": spec}).status_code == 201

    def test_503_while_the_file_is_gone_and_nothing_is_lost(
        self, hasty: Service, settings: Settings, spec: dict[str, Any]
    ) -> None:
        launcher = hasty.client("launch")
        assert launcher.post("/studies", json={"spec": spec}).status_code == 201
        database, elsewhere = Path(settings.storage), Path(settings.storage + ".moved")
        hasty.anonymous.app.state.store.close()  # type: ignore[attr-defined]  # its connections
        hasty.store.close()
        shutil.move(database, elsewhere)
        problem_of(launcher.get("/studies"), 503, "database_unavailable")
        problem_of(launcher.get(f"{HOST}/readyz"), 503, "database_unavailable")
        assert launcher.get(f"{HOST}/healthz").status_code == 200
        assert not database.exists()
        shutil.move(elsewhere, database)
        assert launcher.get("/studies").json()["total"] == 1

    def test_503_when_the_file_is_no_database(self, hasty: Service, settings: Settings) -> None:
        hasty.anonymous.app.state.store.close()  # type: ignore[attr-defined]
        hasty.store.close()
        Path(settings.storage).write_bytes(b"no database" * 1000)
        answer = hasty.client("read").get("/studies")
        # SQLite calls it no database or a damaged one, by what it still has of it in memory.
        assert answer.json()["code"] in ("database_version", "database_unavailable")
        problem_of(answer, 503, answer.json()["code"])

    def test_not_ready_without_a_folder_for_files(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocked = Path(service.settings.storage)  # a file, where a folder should be
        monkeypatch.setattr(service.anonymous.app.state.store, "files", blocked)  # type: ignore[attr-defined]
        problem_of(service.anonymous.get(f"{HOST}/readyz"), 503, "storage_unavailable")


def _base_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """A study with all of its parts."""
    base = copy.deepcopy(spec)
    base["data"]["augmentation"] = {"pad": 1}
    base["distillation"]["teach_once"] = {"memory_limit": "1GiB"}
    base["strategy"] = {"name": "bayesian"}
    return base


_VARIANTS: list[tuple[str, Any]] = [
    ("data", {"name": "npz", "path": "upl_1"}),
    ("data", {"name": "image_folder", "root": "cats", "image_size": 8}),
    ("data", {"name": "cifar10"}),
    *(
        ("strategy", {"name": name})
        for name in ("trade", "autokd", "regularized_evolution", "cmaes", "smac", "ax", "tpe")
    ),
]
_WRONG = (True, -1, "nonsense", None, 0.5, [], {})
"""Of which two are tried that do not fit."""

_SCHEMA = study_schema()


def _specs(spec: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any], list[str]]]:
    """Studies, and the part of each that is of interest, with its path."""
    base = _base_spec(spec)
    yield base, base, []
    for part, value in _VARIANTS:
        yield {**base, part: value}, value, [part]


def _resolved(schema: dict[str, Any], value: Any) -> dict[str, Any]:
    """The schema that says most of a value: of several, the one that it fits."""
    if "$ref" in schema:
        return _resolved(_SCHEMA["$defs"][schema["$ref"].split("/")[-1]], value)
    for branch in schema.get("anyOf", schema.get("oneOf", ())):
        if isinstance(value, dict) and _fits(branch, value):
            return _resolved(branch, value)
    return schema


def _fits(schema: dict[str, Any], value: Any) -> bool:
    return jsonschema.Draft202012Validator({**schema, "$defs": _SCHEMA["$defs"]}).is_valid(value)


def _fields(
    schema: dict[str, Any], value: Any, path: list[str]
) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Every field of a value that its schema knows, with its path and schema."""
    schema = _resolved(schema, value)
    for name, field in schema.get("properties", {}).items():
        yield [*path, name], field
        if isinstance(value, dict) and isinstance(value.get(name), dict | list):
            yield from _fields(field, value[name], [*path, name])
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from _fields(schema["items"], item, [*path, str(index)])


def _with(spec: Any, path: list[str], value: Any) -> Any:
    """A study with another value at a path."""
    name, *rest = path
    if isinstance(spec, list):
        items = list(spec)
        items[int(name)] = _with(items[int(name)], rest, value) if rest else value
        return items
    return {**spec, name: _with(spec[name], rest, value) if rest else value}


class TestStudyFile:
    def test_every_field_that_the_schema_refuses_is_refused_with_its_pointer(
        self, recorded: Service, spec: dict[str, Any]
    ) -> None:
        client = recorded.client("launch")
        tried, missed = 0, []
        for study, part, place in _specs(spec):
            schema = _SCHEMA["properties"][place[0]] if place else _SCHEMA
            for path, field in _fields(schema, part, place):
                unfit = (value for value in _WRONG if not _fits(field, value))
                for wrong in islice(unfit, 2):
                    tried += 1
                    body = {"spec": _with(study, path, wrong)}
                    answer = client.post("/studies?validate_only=true", json=body)
                    problem = problem_of(answer, 422, "invalid_spec")
                    pointer = "/".join(["/spec", *path])
                    if not any(
                        f"{one['pointer']}/".startswith(f"{pointer}/") for one in problem["errors"]
                    ):
                        missed.append((pointer, wrong, problem["errors"]))
        assert missed == []
        assert tried > 180

    def test_every_unknown_field_is_refused_with_its_pointer(
        self, recorded: Service, spec: dict[str, Any]
    ) -> None:
        client = recorded.client("launch")
        for study, part, place in _specs(spec):
            schema = _SCHEMA["properties"][place[0]] if place else _SCHEMA
            for path, field in [*_fields(schema, part, place), ([], _SCHEMA)]:
                value = study
                for name in path:
                    value = value[int(name)] if isinstance(value, list) else value.get(name)
                resolved = _resolved(field, value)
                if not isinstance(value, dict) or resolved.get("additionalProperties", True):
                    continue
                body = {"spec": _with(study, [*path, "nonsense"], 1)}
                answer = client.post("/studies?validate_only=true", json=body)
                problem = problem_of(answer, 422, "invalid_spec")
                pointer = "/".join(["/spec", *path, "nonsense"])
                assert pointer in {one["pointer"] for one in problem["errors"]}


_TRICKS = (
    "..",
    ".",
    "%2e%2e",
    "%252e%252e",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cetc%5cpasswd",
    "%2fetc%2fpasswd",
    "C:%5cautokd.db",
    "%5c%5chost%5cshare",
    "%00",
    "digits%00",
    "digits%00.html",
    "digits%20",
    "digits%0a",
    "digits~1",
    "%ef%bc%8e%ef%bc%8e",
    "%e2%80%a5",
    "%c0%ae%c0%ae",
    "%ff",
    "a" * 5000,
    "std_0",
    "std_01",
    "std_9",
    "std_999999999999999999",
    "std_9999999999999999999",
    "STD_1",
    "op_1",
    "tok_0",
    "-1",
    "1e3",
    "999",
    "99999999999999999999",
    "%d9%a3",
    "0x0",
    "%3Apause",
    "*",
    "%25",
    "'%20or%201=1--",
)


class TestPaths:
    @pytest.mark.parametrize("trick", _TRICKS, ids=lambda trick: trick[:24])
    def test_no_path_parameter_can_be_tricked(self, trick: str, recorded: Service) -> None:
        document = recorded.anonymous.get("/openapi.json").json()
        good = {"study": "digits", "number": "0", "delivery": "1", "name": "student.onnx"}
        good |= {"operation": "op_9", "token": "tok_9", "export": "exp_9", "upload": "upl_9"}
        good |= {"webhook": "whk_9"}
        for template, entries in document["paths"].items():
            for parameter in re.findall(r"\{(\w+)\}", template):
                path = template.format(**{**good, parameter: trick})
                for method in entries:
                    start, *_ = raw(recorded, method.upper(), path)
                    assert start["status"] in (404, 405, 409, 422), (method, path)
                    headers = dict(start["headers"])
                    assert headers[b"content-type"] == b"application/problem+json"

    @pytest.mark.parametrize("trick", [*_TRICKS, "../settings.py", "..%2fapp.py", "vendor", ""])
    def test_only_files_of_the_dashboard_are_served(self, trick: str, recorded: Service) -> None:
        for prefix in ("/static/", "/static//", "/static/vendor/", "/static/vendor/../"):
            start, *_ = raw(recorded, "GET", prefix + trick)
            assert start["status"] == 404

    @pytest.mark.parametrize("name", ["../app.py", "../../pyproject.toml", "../__init__.py"])
    def test_the_files_beside_the_dashboard_are_there_and_not_served(
        self, name: str, recorded: Service
    ) -> None:
        assert (DASHBOARD / name).resolve().is_file()
        for spelling in (name, name.replace("/", "%2f"), name.replace(".", "%2e")):
            start, *_ = raw(recorded, "GET", f"/static/{spelling}")
            assert start["status"] == 404

    @pytest.mark.parametrize(
        "path",
        [
            "/studies/none",
            "/studies/std_99",
            "/studies/digits/trials/99",
            "/studies/digits/trials/99/metrics",
            "/studies/digits/trials/99/logs",
            "/studies/digits/trials/0/logs?attempt=9",
            "/studies/digits/candidates/99",
            "/studies/digits/candidates/99/graph",
            "/studies/digits/candidates/99/graph.svg",
            "/studies/digits/candidates/99/model_card",
            "/operations/op_99",
            "/exports/exp_99",
            "/exports/exp_99/files/student.onnx",
            "/uploads/upl_99",
            "/operations?study=none",
            "/events?study=none",
        ],
    )
    def test_what_is_not_there_is_not_found(self, path: str, recorded: Service) -> None:
        problem_of(recorded.client("read").get(path), 404, "not_found")

    def test_the_nearest_name_is_offered(self, recorded: Service) -> None:
        problem = problem_of(recorded.client("read").get("/studies/digitz"), 404, "not_found")
        assert "digits" in problem["hint"]


def _nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b'"text"',
            b"{",
            b'{"spec": {}} extra',
            b"\xff\xfe{}",
            b'{"spec": {"name": "\xff"}}',
            b'{"spec": {"name": "\\ud800"}}',
            b'{"sp\\ud800ec": {}}',
            b'{"spec": {"na\\ud800me": 1}}',
            b'{"spec": {"name": "a\\u0000b"}}',
            b'{"spec": {"seed": NaN}}',
            b'{"spec": {"seed": 1e999}}',
            b'{"spec": {"seed": -Infinity}}',
            b'{"spec": {"seed": ' + b"9" * 4000 + b"}}",
            b'{"spec": {"seed": ' + b"9" * 5000 + b"}}",
            b'{"spec": ' + b"9" * 5000 + b"}",
            b'{"spec": {"name": ' + _nested(150) + b"}}",
            b'{"spec": {"name": ' + _nested(900) + b"}}",
            b'{"spec": {"name": ' + _nested(100_000) + b"}}",
            b'{"spec": {"name": "' + b"a" * 900_000 + b'"}}',
            b'{"spec": {"objectives": [' + b"{}," * 300_000 + b"{}]}}",
            b'{"spec": {}, "spec": {}}',
            b'{"spec": {}, "labels": {"a": "\\u0000"}}',
        ],
        ids=lambda body: repr(body[:30]),
    )
    def test_json_that_is_no_study_is_refused(self, body: bytes, recorded: Service) -> None:
        answer = recorded.client("launch").post("/studies", content=body, headers=JSON)
        problem_of(answer, 422, answer.json()["code"])

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b"{",
            b'{"name": "a", "changes": {"seed": NaN}}',
            b'{"name": "a", "changes": {"seed": ' + b"9" * 5000 + b"}}",
            b'{"name": "a", "changes": {"a": ' + _nested(300) + b"}}",
            b'{"name": "a", "changes": {"a": ' + _nested(900) + b"}}",
            b'{"name": "a", "changes": {"a": ' + _nested(100_000) + b"}}",
            b'{"name": "a", "changes": {"' + b"a." * 50 + b'": 1}}',
            b'{"name": "a", "changes": {"' + b"a." * 5000 + b'": 1}}',
            b'{"name": "a", "changes": {"": 1}}',
            b'{"name": "a", "changes": {".": 1}}',
            b'{"name": "a", "changes": {"seed.x": 1}}',
            b'{"name": "a", "changes": {"objectives.9.metric": 1}}',
            b'{"name": "a", "changes": {"data.path": "/etc/passwd"}}',
            b'{"name": "std_1"}',
            b'{"name": "../a"}',
            b'{"name": "\\ud800"}',
            b'{"name": true}',
        ],
        ids=lambda body: repr(body[:44]),
    )
    def test_changes_that_make_no_study_are_refused(self, body: bytes, recorded: Service) -> None:
        client = recorded.client("launch")
        answer = client.post("/studies/digits:clone", content=body, headers=JSON)
        assert answer.status_code in (400, 422)
        problem_of(answer, answer.status_code, answer.json()["code"])

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"just text",
            b"- a\n- b",
            b"\xff",
            b"a: b: c",
            b"a: *b",
            b"name: !!python/object/apply:os.system [id]",
            b"!!python/object/new:os.system [id]",
            b"name: !!timestamp 2026-01-31\ndata: !!set {a}\nteacher: !!binary aGk=",
            b"? [a, b]\n: c",
            b"1: 2\nnull: 3",
            b"name: a\nname: b",
            b"a: {<<: {<<: {b: 1}}}",
            b"seed: " + b"9" * 5000,
            b"seed: .inf",
            b"seed: 1e999",
            b"[" * 60_000,
            b"{" * 60_000,
            b"- " * 30_000,
            b"? " * 30_000,
            b'"' + b"a\n" * 30_000,
            b"%TAG !a! b\n" * 5000,
        ],
        ids=lambda text: repr(text[:24]),
    )
    def test_yaml_that_is_no_study_is_refused(self, text: bytes, recorded: Service) -> None:
        answer = recorded.client("launch").post("/studies", content=text, headers=YAML)
        problem_of(answer, 422, "invalid_spec")


class TestQueries:
    def test_of_a_parameter_that_comes_twice_the_last_counts(self, recorded: Service) -> None:
        answer = recorded.client("read").get("/studies/digits/trials?page_size=1&page_size=2")
        assert len(answer.json()["items"]) == 2

    @pytest.mark.parametrize(
        "query",
        [
            "page_size=0",
            "page_size=-1",
            "page_size=1.5",
            "page_size=",
            "page_size=" + "9" * 5000,
            "state=none",
            "state=complete&state=none",
            "newest_first=perhaps",
        ],
    )
    def test_what_is_no_value_is_refused(self, query: str, recorded: Service) -> None:
        answer = recorded.client("read").get(f"/studies/digits/trials?{query}")
        problem = problem_of(answer, 422, "invalid_request")
        assert problem["errors"][0]["pointer"].startswith(f"query:{query.partition('=')[0]}")

    @pytest.mark.parametrize("token", ["", "x", "é", "====", "OTk5", "%00", "MTowMDAw" * 20])
    def test_what_is_no_page_token_is_refused(self, token: str, recorded: Service) -> None:
        answer = recorded.client("read").get(f"/studies/digits/trials?page_token={token}")
        problem_of(answer, 400, "invalid_page_token")


class TestETags:
    @pytest.mark.parametrize(
        "header", ['"', '"x"', "0", '""', '"1-1', '"' + "9" * 5000 + '"', "W/"]
    )
    @pytest.mark.parametrize("method", ["PATCH", "DELETE"])
    def test_what_is_no_etag_fits_no_version(
        self, header: str, method: str, recorded: Service
    ) -> None:
        client = recorded.client("launch")
        body = {"json": {"labels": {}}} if method == "PATCH" else {}
        answer = client.request(method, "/studies/digits", headers={"If-Match": header}, **body)
        assert "anew" in problem_of(answer, 412, "stale_etag")["hint"]

    def test_of_several_etags_any_may_fit_and_a_weak_one_never(
        self, digits: StudyRecord, launcher: TestClient
    ) -> None:
        etag = launcher.get("/studies/digits").headers["etag"]
        for before, after in (('"x", ', ""), ("", ',"0-0"'), ('W/"x" , ', "")):
            listed = {"If-Match": before + etag + after}
            answer = launcher.patch("/studies/digits", json={}, headers=listed)
            assert (listed, answer.status_code) == (listed, 200)
            etag = answer.headers["etag"]
        for listed in (f"W/{etag}", f'"x", W/{etag}'):
            answer = launcher.patch("/studies/digits", json={}, headers={"If-Match": listed})
            problem_of(answer, 412, "stale_etag")

    def test_any_etag_is_known_of_a_study_that_is_there(
        self, digits: StudyRecord, launcher: TestClient
    ) -> None:
        anything = {"If-None-Match": "*"}
        assert launcher.get("/studies/digits", headers=anything).status_code == 304
        assert launcher.get("/studies/none", headers=anything).status_code == 404

    def test_a_stale_etag_changes_nothing(self, digits: StudyRecord, launcher: TestClient) -> None:
        stale = {"If-Match": launcher.get("/studies/digits").headers["etag"]}
        launcher.patch("/studies/digits", json={"labels": {"a": "b"}})
        for method, body in (("PATCH", {"json": {"name": "other"}}), ("DELETE", {})):
            answer = launcher.request(method, "/studies/digits", headers=stale, **body)
            problem_of(answer, 412, "stale_etag")
        assert launcher.get("/studies/digits").json()["labels"] == {"a": "b"}
        anything = {"If-Match": "*"}
        assert launcher.delete("/studies/digits", headers=anything).status_code == 200


class TestIdempotency:
    @pytest.mark.parametrize("key", ["", "a" * 256, "a\tb", "a\x7fb"])
    def test_what_is_no_key_is_refused(self, key: str, recorded: Service) -> None:
        client = recorded.client("launch")
        answer = client.post("/studies", json={"spec": {}}, headers={"Idempotency-Key": key})
        problem_of(answer, 400, "invalid_idempotency_key")

    def test_a_key_that_is_in_flight_is_a_conflict(
        self, service: Service, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()
        create = Store.create_study

        def slow(*arguments: Any, **options: Any) -> StudyRecord:
            begun.set()
            assert go_on.wait(30)
            return create(*arguments, **options)

        monkeypatch.setattr(Store, "create_study", slow)
        request = {"json": {"spec": spec}, "headers": {"Idempotency-Key": "one"}}
        answers = []
        first = threading.Thread(
            target=lambda: answers.append(service.client("launch").post("/studies", **request))
        )
        first.start()
        assert begun.wait(30)
        again = service.client("launch").post("/studies", **request)
        go_on.set()
        first.join()
        problem_of(again, 409, "conflict")
        assert answers[0].status_code == 201
        replayed = service.client("launch").post("/studies", **request)
        assert (replayed.status_code, replayed.json()) == (201, answers[0].json())

    def test_a_key_belongs_to_its_token(self, service: Service, spec: dict[str, Any]) -> None:
        headers = {"Idempotency-Key": "one"}
        service.client("launch").post("/studies", json={"spec": spec}, headers=headers)
        other = {**spec, "name": "other"}
        answer = service.client("admin").post("/studies", json={"spec": other}, headers=headers)
        assert answer.status_code == 201

    def test_a_key_opens_nothing_to_who_may_not(
        self, service: Service, spec: dict[str, Any]
    ) -> None:
        headers = {"Idempotency-Key": "one"}
        answer = service.client("read").post("/studies", json={"spec": spec}, headers=headers)
        problem_of(answer, 403, "forbidden")
        answer = service.client_with(None).post("/studies", json={"spec": spec}, headers=headers)
        problem_of(answer, 401, "unauthenticated")
        assert service.store.studies() == []

    def test_the_answer_that_is_kept_is_the_answer_that_was_given(
        self, digits: StudyRecord, launcher: TestClient
    ) -> None:
        headers = {"Idempotency-Key": "ä key!"}
        encoded = {name: value.encode() for name, value in headers.items()}
        body = json.dumps({"name": "more", "labels": {"a": '"quoted" token=x\\'}})
        first = launcher.post("/studies/digits:clone", content=body, headers={**JSON, **encoded})
        again = launcher.post("/studies/digits:clone", content=body, headers={**JSON, **encoded})
        assert first.status_code == again.status_code == 201
        assert again.content == first.content
        for name in ("location", "etag", "content-type"):
            assert again.headers[name] == first.headers[name]
