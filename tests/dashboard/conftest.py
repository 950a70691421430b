"""The fixture service on a free port, one Chromium for all tests, a page that notices mistakes."""

from __future__ import annotations

import shutil
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NOW = "2026-11-20T12:00:00Z"
WIDE = {"width": 1280, "height": 900}
SETTLED = """() => document.querySelector('main h1')
    && !document.querySelector('.loading, [aria-busy=true]')
    && !document.querySelector('figure.chart:not([data-ready=true])')"""
VIOLATIONS = """addEventListener('securitypolicyviolation', (event) =>
    console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`))"""


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """Address of the fixture service."""
    uvicorn = pytest.importorskip("uvicorn")
    from tests.dashboard.fixture_app import create_app

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(), log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = server.force_exit = True
    thread.join(10)
    listener.close()


# Not for longer: while it lives its event loop is in the way of all other tests that need one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for a file's tests, which finds no host but this one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH: `apt install chromium` to test the dashboard")
    with playwright.sync_playwright() as driver:
        nobody = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=[nobody])
        yield chromium
        chromium.close()


class Visit:
    """A page and what went wrong on it: console errors, policy violations, foreign requests."""

    def __init__(self, browser: Any, service: str, **options: Any) -> None:
        self.service = service
        self.context = browser.new_context(**{"viewport": WIDE, **options})
        self.context.add_init_script(VIOLATIONS)
        self.context.on("request", self._notice)
        self.wrong: list[str] = []
        self.page = self.context.new_page()
        self.page.clock.set_fixed_time(NOW)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))

    def _notice(self, request: Any) -> None:
        if not request.url.startswith((self.service, "data:", "blob:")):
            self.wrong.append(f"foreign request: {request.url}")

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.type}: {message.text}")

    def open(self, path: str) -> Any:
        """Goes to a path and waits until all is there that will be."""
        self.page.goto(self.service + path)
        self.page.wait_for_function(SETTLED)
        return self.page

    def query(self) -> str:
        """Path and query that the address bar shows."""
        return str(self.page.evaluate("location.pathname + location.search"))


@pytest.fixture
def visit(browser: Any, service: str) -> Iterator[Callable[..., Visit]]:
    """Opens visits, and fails the test if anything went wrong on one."""
    visits: list[Visit] = []

    def start(**options: Any) -> Visit:
        visits.append(Visit(browser, service, **options))
        return visits[-1]

    yield start
    for one in visits:
        one.context.close()
    assert [line for one in visits for line in one.wrong] == []


@pytest.fixture(scope="module")
def walk(browser: Any, service: str) -> Iterator[Visit]:
    """A visit that goes on from page to page, which is faster than one visit for each."""
    visit = Visit(browser, service, reduced_motion="reduce")
    yield visit
    visit.context.close()


@pytest.fixture
def look(walk: Visit) -> Iterator[Callable[[str], Any]]:
    """Opens a page for a test that only looks, and fails it if anything went wrong there."""
    walk.page.emulate_media(color_scheme="light")
    walk.page.set_viewport_size(WIDE)
    yield walk.open
    wrong, walk.wrong = walk.wrong, []
    assert wrong == []


@pytest.fixture
def fresh(service: str) -> None:
    """The fixture service as it was at first, for tests that change it."""
    ask(service, "/_reset")


def ask(service: str, path: str, body: bytes = b"") -> None:
    """Sends a request to the fixture service past the browser."""
    urllib.request.urlopen(
        urllib.request.Request(f"{service}/api/v1{path}", data=body, method="POST")
    ).close()
