"""A client of a server that a function plays, and of the service itself on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from autokd.client import Client, retrying

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither server nor token in the environment, and no settings of whoever runs the tests."""
    for name in ("AUTOKD_SERVER", "AUTOKD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the client made; none of them takes any time."""
    made: list[float] = []
    monkeypatch.setattr(retrying, "pause", made.append)
    return made


@pytest.fixture
def client_of() -> Iterator[Callable[[Answer], Client]]:
    """Makes a client of a server that a function plays."""
    made: list[Client] = []

    def client_of(answer: Answer, token: str | None = "akd_secret") -> Client:
        client = Client("http://autokd.test", token, transport=httpx.MockTransport(answer))
        made.append(client)
        return client

    yield client_of
    for client in made:
        client.close()


def problem(status: int, code: str, detail: str, **more: Any) -> httpx.Response:
    """A problem document as the service writes it."""
    document = {
        "type": "about:blank",
        "title": "…",
        "status": status,
        "detail": detail,
        "code": code,
        **more,
    }
    return httpx.Response(
        status, json=document, headers={"content-type": "application/problem+json"}
    )


def study(name: str = "digits", **fields: Any) -> dict[str, Any]:
    """A `Study` as the service tells it."""
    return {
        "id": "std_1",
        "name": name,
        "state": "queued",
        "stop_reason": None,
        "error": None,
        "labels": {},
        "created": "2026-01-02T03:04:05.678Z",
        "updated": "2026-01-02T03:04:05.678Z",
        "deleted": None,
        "seconds": 0.0,
        "objectives": [{"metric": "accuracy", "direction": "maximize"}],
        "budget": {},
        "limits": {"trials": 3, "epochs": None},
        "teacher": {},
        "trials": dict.fromkeys(
            ("total", "complete", "pruned", "infeasible", "failed", "unfinished"), 0
        ),
        "progress": 0.0,
        "seconds_left": None,
        "best": None,
        "front_size": 0,
        "hypervolume": [],
        **fields,
    }


def operation(state: str, **fields: Any) -> dict[str, Any]:
    """An `Operation` as the service tells it."""
    return {
        "id": "op_5",
        "kind": "export",
        "study": "std_1",
        "state": state,
        "done": state in ("succeeded", "failed", "cancelled"),
        "request": {},
        "response": None,
        "error": None,
        **fields,
    }


def body(request: httpx.Request) -> Any:
    """The JSON of a request."""
    return json.loads(request.content)
