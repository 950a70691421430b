"""The fixture service answers as the real one: every JSON answer is what openapi.json says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jsonschema", reason="jsonschema comes with schemathesis")

from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from tests.dashboard.fixture_app import CATALOGUE, DASHBOARD, create_app
from tools import dashboard_types

API = json.loads((Path(__file__).parents[2] / "service" / "openapi.json").read_text("utf-8"))
PATHS = {re.sub(r"\\{\w+\\}", "[^/:]+", re.escape(path)): path for path in API["paths"]}
STUDIES = [f"/studies/std_{n}" for n in (1, 2, 4, 5, 6, 7)]  # the third is only large
OF_A_STUDY = (
    "",
    "/trials",
    "/candidates",
    "/columns",
    "/hypervolume",
    "/rank_correlation?metric=accuracy",
    "/survival",
    "/timeline",
    "/exports",
)
OF_DIGITS = (
    "/trials/1",
    "/trials/1000010",
    "/trials/1/metrics",
    "/trials/1/logs",
    "/candidates/1",
    "/candidates/1/graph",
    "/best",
    "/importances?metric=accuracy",
)
LISTS = ("studies", "operations", "workers", "audit_events", "uploads", "tokens", "webhooks")
REST = ("/whoami", "/meta", "/storage", "/webhooks/whk_1/deliveries", "/spec_schema")
SPEC: dict[str, Any] = {"name": "made", "data": {"name": "digits"}}
POSTS: dict[str, Any] = {
    "/studies?validate_only=true": {"spec": SPEC},
    "/studies": {"spec": SPEC},
    "/studies/std_2:pause": None,
    "/studies/std_2:resume": None,
    "/studies/std_2:stop": None,
    "/studies/std_1:extend": {"limits": {"trials": 99}},
    "/studies/std_1:purge": None,
    "/studies/std_1/trials/1:retry": None,
    "/studies/std_1/exports": {"trial": 1, "formats": ["onnx", "safetensors"]},
    "/tokens": {"name": "robot", "scope": "read"},
    "/webhooks": {"url": "https://hooks.example.com/x", "kinds": ["study"]},
    "/webhooks/whk_1:test": None,
}


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(create_app())


@pytest.mark.parametrize(
    "path",
    [
        *(study + rest for study in STUDIES for rest in OF_A_STUDY),
        *(f"/studies/digits{rest}" for rest in OF_DIGITS),
        *(f"/{name}" for name in (*LISTS, *CATALOGUE)),
        *REST,
    ],
)
def test_what_is_read_is_what_the_document_says(path: str, client: TestClient) -> None:
    answer = client.get(f"/api/v1{path}")
    assert mistakes("get", path, answer) == []


@pytest.mark.parametrize("path", POSTS)
def test_what_a_change_answers_is_what_the_document_says(path: str) -> None:
    answer = TestClient(create_app()).post(f"/api/v1{path}", json=POSTS[path])
    assert mistakes("post", path, answer) == []


def test_an_export_is_what_the_document_says() -> None:
    client = TestClient(create_app())
    started = client.post("/api/v1/studies/std_1/exports", json={"trial": 1, "formats": ["onnx"]})
    made = f"/exports/{started.json()['response']['export']}"
    assert mistakes("get", made, client.get(f"/api/v1{made}")) == []
    assert (
        mistakes("get", "/studies/std_1/exports", client.get("/api/v1/studies/std_1/exports")) == []
    )


def test_a_problem_is_what_the_document_says(client: TestClient) -> None:
    assert mistakes("get", "/studies/std_99", client.get("/api/v1/studies/std_99")) == []


def test_the_dashboard_s_types_are_those_of_the_document() -> None:
    """Otherwise run `make openapi`."""
    assert (DASHBOARD / "core" / "contract.d.ts").read_text("utf-8") == dashboard_types.types(API)


def mistakes(method: str, path: str, answer: Any) -> list[str]:
    """What of an answer the document does not say; of known fields none may be missing or more."""
    bare = "/api/v1" + path.split("?")[0]
    operation = next(
        API["paths"][named][method]
        for pattern, named in PATHS.items()
        if re.fullmatch(pattern, bare)
    )
    responses = operation["responses"]
    said = responses.get(str(answer.status_code)) or responses["default"]
    kind = answer.headers["content-type"]
    schema = {**said["content"][kind]["schema"], "components": CLOSED}
    found = Draft202012Validator(schema).iter_errors(answer.json())
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def closed(schema: Any) -> Any:
    """A schema that knows no other properties than those it names."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(one) for name, one in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        inner.setdefault("additionalProperties", False)
    return inner


CLOSED = closed(API["components"])
