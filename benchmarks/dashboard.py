"""How fast the dashboard is with 10,000 candidates, in real Chromium: four figures and budgets.

Run:  python -m benchmarks.dashboard

The service is the tests' fixture, so what is measured is the dashboard. On 2 CPU cores:
    first page        JavaScript, styles and page of the list of studies, gzipped; before any chart
    study page        from the address to all charts drawn, 10,000 candidates; the median of five
    slider            from a move to the answer on screen, the slowest of twenty
    longest task      of the page's main thread, while 20 events a second arrive for ten seconds
"""

from __future__ import annotations

import gzip
import shutil
import socket
import statistics
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import uvicorn
from playwright.sync_api import sync_playwright

from tests.dashboard.conftest import SETTLED
from tests.dashboard.fixture_app import DASHBOARD, create_app

STUDY = "/studies/cifar10-sweep"
EVENTS_PER_SECOND, SECONDS = 20, 10
MOVE = """(value) => new Promise((done) => {
    const slider = document.querySelector('input[type=range]');
    const limit = slider.parentElement.querySelector('output');
    const [before, start] = [limit.textContent, performance.now()];
    slider.value = value;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    const look = () => requestAnimationFrame(() =>
        limit.textContent === before ? look() : setTimeout(() => done(performance.now() - start)));
    look();
})"""
TASKS = """() => {
    window.tasks = [0];
    const see = (list) => list.getEntries().forEach((entry) => tasks.push(entry.duration));
    new PerformanceObserver(see).observe({ type: 'longtask' });
}"""


def main() -> None:
    """Prints the four figures beside their budgets."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(events_per_second=EVENTS_PER_SECOND)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    threading.Thread(target=server.run, args=([listener],), daemon=True).start()
    service = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        figures = [
            ("first page, kB gzipped", _first_page(browser, service), 120.0),
            ("study page, s", statistics.median(_opening(browser, service)), 2.0),
            ("slider, ms", max(_moves(browser, service)), 100.0),
            ("longest task, ms", _longest_task(browser, service), 200.0),
        ]
        browser.close()
    print(f"{'':24} {'measured':>9} {'budget':>9}")
    for name, value, budget in figures:
        print(f"{name:24} {value:9.2f} {budget:9.0f}{'' if value <= budget else '  over'}")


def _first_page(browser: Any, service: str) -> float:
    page = browser.new_page()
    fetched: set[str] = set()
    page.on("request", lambda request: fetched.add(urlparse(request.url).path))
    page.goto(f"{service}/studies")
    page.wait_for_function(SETTLED)
    page.close()
    files = [Path(path.removeprefix("/static/")) for path in fetched if path.startswith("/static/")]
    content = [(DASHBOARD / file).read_bytes() for file in [Path("index.html"), *files]]
    return sum(len(gzip.compress(one)) for one in content) / 1000


def _opening(browser: Any, service: str) -> list[float]:
    seconds = []
    for _ in range(5):
        page = browser.new_page()
        start = time.perf_counter()
        page.goto(service + STUDY, wait_until="commit")
        page.wait_for_function(SETTLED)
        seconds.append(time.perf_counter() - start)
        page.close()
    return seconds


def _moves(browser: Any, service: str) -> list[float]:
    page = browser.new_page()
    page.goto(service + STUDY)
    page.wait_for_function(SETTLED)
    moves = [float(page.evaluate(MOVE, value)) for value in range(190, 90, -5)]
    page.close()
    return moves


def _longest_task(browser: Any, service: str) -> float:
    page = browser.new_page()
    page.goto(service + STUDY)
    page.wait_for_function(SETTLED)
    page.evaluate(TASKS)
    page.wait_for_timeout(SECONDS * 1000)
    longest = float(page.evaluate("() => Math.max(...tasks)"))
    page.close()
    return longest


if __name__ == "__main__":
    main()
