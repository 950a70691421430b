"""The service does what its document says, whatever it is sent: checked with made-up requests."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from autokd.errors import ConflictError
from autokd.store import Store

from .conftest import HOST, Service, searched, serving
from .conftest import Settings as ServiceSettings
from .test_openapi import COMMITTED

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
]

THERE = {
    "study": "std_1",
    "number": 0,
    "operation": "op_1",
    "upload": "upl_1",
    "webhook": "whk_1",
    "delivery": 1,
    "export": "exp_1",
    "name": "student.json",
    "token": "tok_99",
}
"""What there is, by the name of its path parameter; but for the token that asks."""

ENDLESS = {"stream_events"}

DOCUMENT = json.loads(COMMITTED.read_text(encoding="utf-8"))
OPERATIONS = sorted(
    operation["operationId"]
    for entries in DOCUMENT["paths"].values()
    for operation in entries.values()
    if operation["operationId"] not in ENDLESS
)

few = pytest.param(2, id="few")
many = pytest.param(100, id="many", marks=pytest.mark.slow)


class QuickInspector:
    """Answers like the real one, without a process that loads torch."""

    def check(self, spec: Any, samples: int = 200) -> dict[str, Any]:
        figures = {"parameters": 1.0, "accuracy": None}
        costs = dict.fromkeys(("teacher", "smallest", "median", "largest", "budget"), figures)
        seconds = {"teacher_seconds": 1.0, "estimated_seconds": 2.0}
        return {
            "study": "a",
            **costs,
            "feasible_share": 0.5,
            "samples": samples,
            "nearest": None,
            "workers": 1,
            **seconds,
        }

    def graph(self, spec: Any, architecture: Any) -> dict[str, Any]:
        node = {"operation": "conv", "stage": 0, "channels": 3, "shape": [3, 8, 8]}
        costs = {"parameters": 1.0, "macs": 1.0, "bytes": 1.0}
        totals = dict.fromkeys(("parameters", "macs", "peak_activation_bytes", "weight_bytes"), 1.0)
        return {
            "nodes": [{"id": id, "label": id, **node, **costs} for id in "ab"],
            "edges": [{"source": "a", "target": "b"}],
            "totals": totals,
            "teacher": {},
        }

    def admit(self, spec: Any, candidate: Any) -> dict[str, Any]:
        return {}

    def space(self, name: str) -> dict[str, Any]:
        parameter = {"name": "nodes", "range": "3 to 10", "condition": ""}
        options = [{"name": "nodes", "default": [3, 10]}]
        return {"summary": "Graphs.", "options": options, "parameters": [parameter]}

    def close(self) -> None:
        pass


async def _no_host(name: str) -> list[str]:
    raise OSError(f"there is no {name}")


@pytest.fixture(scope="module")
def api(
    empty_database: Any, tiny_spec: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service where everything in THERE is to be found."""
    path = tmp_path_factory.mktemp("conformance") / "autokd.db"
    path.write_bytes(empty_database.read_bytes())
    with serving(ServiceSettings(storage=str(path))) as service:
        state = service.anonymous.app.state  # type: ignore[attr-defined]
        state.inspector.close()
        state.inspector = QuickInspector()
        state.deliveries.outbound = replace(state.deliveries.outbound, resolve=_no_host)
        _fill(service.store, tiny_spec)
        yield service


def _fill(store: Store, spec: dict[str, Any]) -> None:
    study = searched(store, {**spec, "name": "digits"})
    operation = store.add_operation("export", study.id, {"trial": 2})
    folder = study.folder / "exports" / str(operation.id)
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("# A student\n", encoding="utf-8")
    student = {"trial": 2, "spec": study.spec, "files": []}
    store.begin_operation(operation.id)
    store.end_operation(operation.id, response={"student": student})
    store.add_upload("teacher", "weights", 3)
    webhook = store.add_webhook("https://hooks.example.com", ["study"], "whsec_" + "A" * 32)
    store.add_delivery(webhook.id, None, {"type": "test"})


@pytest.fixture(scope="module")
def operations() -> dict[str, APIOperation]:
    """All of the document, without what it says of tokens: those have tests of their own."""
    document = copy.deepcopy(DOCUMENT)
    for entries in document["paths"].values():
        for operation in entries.values():
            operation.pop("security", None)
    schema = schemathesis.openapi.from_dict(document)
    found = (result.ok() for result in schema.get_all_operations())
    return {each.definition.raw["operationId"]: each for each in found}


@pytest.mark.parametrize("examples", [few, many])
@pytest.mark.parametrize("name", OPERATIONS)
def test_what_the_document_allows_is_answered_as_it_says(
    name: str, examples: int, operations: dict[str, APIOperation], api: Service
) -> None:
    operation = operations[name]
    _try(operation, GenerationMode.POSITIVE, api, examples, path_parameters=_there(operation))


@pytest.mark.parametrize("examples", [few, many])
@pytest.mark.parametrize("name", OPERATIONS)
def test_what_the_document_does_not_allow_is_refused(
    name: str, examples: int, operations: dict[str, APIOperation], api: Service
) -> None:
    operation = operations[name]
    mode = GenerationMode.NEGATIVE
    if operation.query or "application/json" in operation.get_request_payload_content_types():
        _try(operation, mode, api, examples, path_parameters=_there(operation))
    elif operation.path_parameters:
        _try(operation, mode, api, examples)


def _there(operation: APIOperation) -> dict[str, Any]:
    return {each.name: THERE[each.name] for each in operation.path_parameters}


def _try(
    operation: APIOperation, mode: GenerationMode, api: Service, examples: int, **options: Any
) -> None:
    client = api.client("admin")
    checks = list(CHECKS)
    if operation.definition.raw["operationId"] == "read_metrics":
        checks.remove(response_schema_conformance)  # which misreads tuples of draft 2020-12

    @given(operation.as_strategy(generation_mode=mode, **options))
    @settings(
        max_examples=examples,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    def run(case: Any) -> None:
        answer = _send(case, client)
        if case.method == "DELETE":
            with suppress(ConflictError):
                api.store.unhide_study(1)
        case.validate_response(answer, checks=checks)

    run()


def _send(case: Any, client: TestClient) -> Any:
    request = case.as_transport_kwargs(base_url=HOST)
    headers = {name: _header(value) for name, value in dict(request["headers"]).items()}
    return client.request(
        request["method"],
        request["url"],
        params=request.get("params"),
        json=request.get("json"),
        content=request.get("data"),
        headers={**headers, "Authorization": client.headers["Authorization"]},
    )


def _header(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("latin-1", "replace")
