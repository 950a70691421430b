"""The stream of events, read over a real connection to a real server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.testclient import TestClient

from autokd.errors import StoreVersionError
from autokd.store import Store, StudyRecord
from service.access import Scope, make_token
from service.app import create_app
from service.serving import _Server
from service.settings import Settings

from .conftest import searched

SECONDS = 20
"""After which a test that hears nothing fails."""


@dataclass
class Served:
    """A server that listens, its record, and the study of the conftest."""

    client: httpx.Client
    server: uvicorn.Server
    store: Store
    study: StudyRecord

    @contextmanager
    def reading(self, path: str = "/events", **headers: str) -> Iterator[Iterator[str]]:
        """The lines of a stream that has begun."""
        with self.client.stream("GET", path, headers=headers) as answer:
            assert answer.status_code == 200
            lines = answer.iter_lines()
            place, *rest = [next(lines) for _ in range(3)]
            assert place.startswith("id: ") and rest == ["retry: 2000", ""]
            yield lines


@pytest.fixture
def served(settings: Settings, spec: dict[str, Any]) -> Iterator[Served]:
    settings = settings.model_copy(update={"event_readers": 2})
    with Store.open(settings.storage) as store:
        study = searched(store, spec)
        app = create_app(settings)
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
        server = _Server(config, app.state.feed)
        listening = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        token = make_token(store, "reader", Scope.READ)[1]
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=address, headers=headers, timeout=SECONDS) as client:
            yield Served(client, server, store, study)
        server.should_exit = True
        thread.join()
        listening.close()


def _message(lines: Iterator[str]) -> dict[str, Any]:
    """The next message of a stream."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line and fields:
            break
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
    data = json.loads(fields["data"], parse_constant=pytest.fail)  # JSON has no NaN
    assert (fields["id"], fields["event"]) == (str(data["number"]), data["kind"])
    found: dict[str, Any] = data
    return found


def test_what_happens_is_heard(served: Served) -> None:
    with served.reading() as lines:
        served.store.add_event(served.study.id, "note", {"text": "a\nb", "loss": float("nan")})
        heard = _message(lines)
    assert heard["study"] == f"std_{served.study.id}"
    assert heard["time"].endswith("Z")
    assert heard["data"] == {"text": "a\nb", "loss": None}


def test_a_stream_is_not_kept_by_anybody_on_its_way(served: Served) -> None:
    with served.client.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize("how", ["header", "parameter", "both"])
def test_a_reader_that_was_cut_off_misses_nothing_and_hears_nothing_twice(
    how: str, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.events._BATCH", 3)
    happened = [event.id for event in served.store.all_events()]
    assert len(happened) > 12
    known = happened[2]
    headers = {} if how == "parameter" else {"Last-Event-ID": str(known)}
    path = {"header": "/events", "both": "/events?after=0"}.get(how, f"/events?after={known}")
    with served.reading(path, **headers) as lines:
        heard = [_message(lines)["number"] for _ in happened[3:]]
        new = served.store.add_event(served.study.id, "note", {})
        heard.append(_message(lines)["number"])
    assert heard == [*happened[3:], new.id]


@pytest.mark.parametrize("key", ["second", "std_2"])
def test_a_reader_of_one_study_hears_of_no_other(
    key: str, served: Served, spec: dict[str, Any]
) -> None:
    other = served.store.create_study("second", {**served.study.spec, "name": "second"})
    with served.reading(f"/events?study={key}&after={served.store.last_event()}") as lines:
        served.store.add_event(served.study.id, "note", {})
        served.store.add_event(other.id, "note", {"of": "the second"})
        assert _message(lines)["data"] == {"of": "the second"}


def test_a_number_that_is_yet_to_come_is_now(served: Served) -> None:
    with served.reading("/events?after=999999") as lines:
        new = served.store.add_event(served.study.id, "note", {})
        assert _message(lines)["number"] == new.id


def test_one_reader_too_many_is_told_to_come_later(served: Served) -> None:
    with served.reading(), served.reading():
        answer = served.client.get("/events")
        assert (answer.status_code, answer.json()["code"]) == (503, "too_many_readers")
        assert answer.headers["retry-after"] == "30"
    until_it_knows_that_they_left = iter(lambda: _status(served.client), 200)
    assert set(until_it_knows_that_they_left) <= {503}


def _status(client: httpx.Client) -> int:
    with client.stream("GET", "/events") as answer:
        return answer.status_code


def test_silence_is_broken_by_comments(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.routes.events._QUIET_SECONDS", 0.05)
    with served.reading() as lines:
        assert next(lines) == ": nothing new"


def test_a_stream_ends_with_the_token_that_opened_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.routes.events._QUIET_SECONDS", 0.05)
    with served.reading() as lines:
        (token,) = served.store.tokens()
        served.store.remove_token(token.id)
        assert set(lines) <= {": nothing new", ""}
    assert served.client.get("/events").status_code == 401


def test_a_token_is_looked_up_at_every_silence(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.routes.events._QUIET_SECONDS", 0.05)
    stopped = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr("service.routes.events.time", stopped)
    (token,) = served.store.tokens()
    with served.reading() as lines:
        served.store.remove_token(token.id)
        assert len([*islice(lines, 50)]) < 50


def test_a_stream_ends_when_the_server_is_stopped(served: Served) -> None:
    with served.reading() as lines:
        served.server.should_exit = True
        assert list(lines) == []


def test_streams_outlive_a_database_that_can_not_be_read(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, failed = Store.all_events, threading.Event()

    def fail_once(self: Store, *arguments: Any) -> Any:
        if not failed.is_set():
            failed.set()
            raise StoreVersionError("it is no database")
        return read(self, *arguments)

    monkeypatch.setattr("service.events._AGAIN_SECONDS", 0.01)
    with served.reading() as lines:
        monkeypatch.setattr(Store, "all_events", fail_once)
        assert failed.wait(SECONDS)
        new = served.store.add_event(served.study.id, "note", {})
        assert _message(lines)["number"] == new.id


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "٣", "", "9" * 41])
def test_what_is_no_number_is_refused(number: str, reader: TestClient) -> None:
    answer = reader.get("/events", headers={"Last-Event-ID": number.encode()})
    assert answer.status_code in (400, 422)
    assert reader.get("/events", params={"after": number}).status_code == 422
