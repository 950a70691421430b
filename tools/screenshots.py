"""Makes the pictures of docs/dashboard.md from a running service and one of its studies.

Usage:
    autokd serve --no-authentication --port 8000
    python tools/screenshots.py http://127.0.0.1:8000 digits

The study should be a real one that has ended. Needs playwright and a Chromium on the PATH.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

DOCS = Path(__file__).resolve().parent.parent / "docs"
WIDTH = 1280
SETTLED = """() => document.querySelector('main h1')
    && !document.querySelector('.loading, [aria-busy=true]')
    && !document.querySelector('figure.chart:not([data-ready=true])')"""


def main() -> int:
    """Exit status 0, or 1 without a Chromium."""
    parser = argparse.ArgumentParser(description="Makes the pictures of docs/dashboard.md.")
    parser.add_argument("service", help="address of a service without authentication")
    parser.add_argument("study", help="name of a study that has ended")
    given = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("expected chromium on the PATH; install it: apt install chromium\n")
        return 1
    page = f"/studies/{given.study}"
    best = _best(given.service + "/api/v1" + page)
    pictures = [
        ("dashboard-study", page, 1180),
        ("dashboard-candidate", f"{page}/candidates/{best}", 910),
        ("dashboard-analyse", f"{page}/analyse?brush=accuracy:0.97..1", 900),
    ]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium)
        for scheme in ("light", "dark"):
            # Nothing fades in, so that a picture of the same study is the same picture.
            visit = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
            for name, path, height in pictures:
                _take(visit, given.service + path, height, DOCS / f"{name}-{scheme}.png")
            visit.close()
        browser.close()
    return 0


def _best(study: str) -> int:
    """Number of the study's best candidate."""
    with urllib.request.urlopen(f"{study}/best") as answer:
        candidate: int = json.load(answer)["candidate"]
    return candidate


def _take(visit: Any, address: str, height: int, picture: Path) -> None:
    page = visit.new_page()
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.goto(address)
    page.wait_for_function(SETTLED)
    page.locator(".live[data-state=live]").wait_for()
    page.screenshot(path=picture)
    page.close()
    sys.stderr.write(f"{picture.name}: {picture.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    raise SystemExit(main())
