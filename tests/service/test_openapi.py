"""The document of the API is valid, complete, and the one that is committed."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from fastapi.routing import APIRoute
from openapi_spec_validator import OpenAPIV31SpecValidator

import service as package
from autokd.spec import read_study
from service import routes
from service.schemas import EXAMPLE_SPEC

from .conftest import Service

COMMITTED = Path(package.__file__).parent / "openapi.json"


@pytest.fixture(scope="module")
def document(recorded: Service) -> dict[str, Any]:
    found: dict[str, Any] = recorded.anonymous.get("/openapi.json").json()
    return found


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for entries in document["paths"].values():
        yield from entries.values()


def test_it_is_the_one_that_is_committed(document: dict[str, Any]) -> None:
    """Otherwise run `make openapi`."""
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == document


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [*OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_operations_are_called_like_the_functions_that_do_them(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in _operations(document)]
    assert len(names) == len(set(names))
    functions = {
        route.endpoint.__name__
        for _, module in inspect.getmembers(routes, inspect.ismodule)
        for route in module.router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
    }
    assert set(names) == functions


def test_every_operation_says_what_it_does_and_how_it_fails(document: dict[str, Any]) -> None:
    for operation in _operations(document):
        name = operation["operationId"]
        assert operation["summary"] and operation["tags"], name
        assert operation["description"].partition("\n")[0].endswith((".", ":")), name
        content = operation["responses"]["default"]["content"]
        reference = content["application/problem+json"]["schema"]["$ref"]
        assert reference == "#/components/schemas/Problem"
        good = [status for status in operation["responses"] if status.startswith("2")]
        assert good, name


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for part in _parts(document):
        reference = part.get("$ref")
        if isinstance(reference, str):
            place: Any = document
            for step in reference.removeprefix("#/").split("/"):
                place = place[step]


def test_every_example_is_one(document: dict[str, Any]) -> None:
    components = {"components": document["components"]}
    tried = 0
    for part in _parts(document):
        schema = part.get("schema", part)
        examples = part.get("examples", [part["example"]] if "example" in part else [])
        if not isinstance(examples, list) or not isinstance(schema, dict):
            continue
        for example in examples:
            jsonschema.Draft202012Validator({**schema, **components}).validate(example)
            tried += 1
    assert tried > 40


def test_every_body_has_an_example(document: dict[str, Any]) -> None:
    for operation in _operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        for kind, body in content.items():
            schema = _resolved(body["schema"], document)
            fields = schema.get("properties", {}).values()
            shown = any("examples" in part for part in (schema, *fields)) or "example" in body
            assert shown or kind == "application/octet-stream", operation["operationId"]


def test_the_example_of_a_study_is_a_study(document: dict[str, Any]) -> None:
    read_study(EXAMPLE_SPEC)
    content = document["paths"]["/api/v1/studies"]["post"]["requestBody"]["content"]
    assert yaml.safe_load(content["application/yaml"]["example"]) == EXAMPLE_SPEC


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in the document."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from _parts(item)


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found
