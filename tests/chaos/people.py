"""Who uses the service while its processes die: one reads the events, one asks for things."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from autokd.executors.testing import HANG_SECONDS

_RETRY_SECONDS = 0.1


class Service:
    """The API, asked again until it answers.

    Args:
        url: of the API.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.stopping = threading.Event()
        self.surprises: list[str] = []
        """Answers that no death of a process explains."""

    def get(self, path: str, **query: Any) -> Any:
        """A document."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Any = None, *, key: str) -> Any:
        """What a request gives that is to be done once, under its key."""
        return self._ask("POST", path, json=body, headers={"Idempotency-Key": key})

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        tries = 0
        while True:
            with suppress(httpx.TransportError):
                answer = httpx.request(method, f"{self.url}{path}", timeout=HANG_SECONDS, **more)
                if answer.is_success:
                    return answer.json()
                problem = answer.json()
                # Its first try was killed, or found no database.
                expected = answer.status_code == 503 or "under way" in problem["detail"]
                if not expected:
                    self.surprises.append(f"{method} {path}: {problem}")
                    raise AssertionError(self.surprises[-1])
            tries += 1
            assert tries * _RETRY_SECONDS < 5 * HANG_SECONDS, f"no answer to {method} {path}"
            self.stopping.wait(_RETRY_SECONDS)


class EventReader:
    """Reads all events from the first on, and goes on with the last it knows when it is cut off.

    Attributes:
        events: what it has read, in order.
        connections: how often it has connected.
    """

    def __init__(self, url: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.connections = 0
        self._url = f"{url}/events"
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, enough: Callable[[list[dict[str, Any]]], bool], seconds: float) -> bool:
        """Whether it has read enough within some seconds."""
        with self._news:
            return self._news.wait_for(lambda: enough(self.events), seconds)

    def epochs_of(self, study: int) -> int:
        """How many epochs of a study it has heard of."""
        with self._news:
            name = f"std_{study}"
            return sum(each["kind"] == "epoch" and each["study"] == name for each in self.events)

    def stop(self) -> None:
        """Ends it, at the latest when the service ends."""
        self._stopping.set()

    def _read(self) -> None:
        while not self._stopping.is_set():
            last = self.events[-1]["number"] if self.events else 0
            self.connections += 1
            with suppress(httpx.HTTPError, json.JSONDecodeError):
                headers = {"Last-Event-ID": str(last)}
                timeout = httpx.Timeout(HANG_SECONDS)
                with httpx.stream("GET", self._url, headers=headers, timeout=timeout) as stream:
                    for line in stream.iter_lines():
                        if line.startswith("data: "):
                            self._take(json.loads(line.removeprefix("data: ")))
            self._stopping.wait(_RETRY_SECONDS)

    def _take(self, event: dict[str, Any]) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()


@dataclass(frozen=True)
class Wanted:
    """A candidate that was asked for, and what became of it.

    Attributes:
        width: of the candidate; no other has it.
        operation: its id.
        state: how it ended.
    """

    width: float
    operation: str
    state: str


class Asker:
    """Asks for one candidate after the other, each once, and waits until it is there.

    Attributes:
        wanted: what came of it.
    """

    def __init__(self, service: Service, study: str) -> None:
        self.wanted: list[Wanted] = []
        self._service = service
        self._study = study
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it when the last one is there."""
        self._stopping.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._ask(len(self.wanted))
        except BaseException as error:  # for the thread that waits
            self._error = error

    def _ask(self, number: int) -> None:
        width = (number + 1) / 1000  # a random number has more digits
        path, body = f"/studies/{self._study}/candidates", {"choices": {"width": width}}
        asked = self._service.post(path, body, key=f"candidate-{number}")
        again = self._service.post(path, body, key=f"candidate-{number}")
        assert again["id"] == asked["id"]
        done = asked
        while not done["done"]:
            done = self._service.get(f"/operations/{asked['id']}", wait=5)
        self.wanted.append(Wanted(width, done["id"], done["state"]))
