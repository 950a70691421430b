"""The whole way on the real service: from the link that it prints to a student on one's disk."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from tests.dashboard.conftest import Visit

LONG = 120_000
"""Milliseconds that a search of seconds is given on a busy machine."""


@pytest.mark.slow
def test_from_the_link_that_is_printed_to_a_verified_student(
    browser: Any, up: str, tiny_spec: dict[str, Any]
) -> None:
    """Console errors, violations of the policy, foreign requests and reloads: none."""
    visit = Visit(browser, up.partition("/login")[0])
    page = visit.page
    page.set_default_timeout(LONG)
    _start_a_study(page, up, {**tiny_spec, "teacher": {**tiny_spec["teacher"], "epochs": 100}})
    page.evaluate("window.sameDocument = true")
    page.get_by_text(re.compile(r"Training the teacher: epoch \d+ of 100")).wait_for()
    page.get_by_test_id("chart-front").get_by_text("on the front").wait_for()
    page.locator("main .badge", has_text="completed").first.wait_for()
    page.get_by_test_id("final").get_by_role("link", name="Candidate").wait_for()
    page.get_by_role("link", name="Studies").first.click()
    page.get_by_role("row", name="by-hand").get_by_text("completed").wait_for()
    student, shown, clicks = _take_the_best(page)
    assert page.evaluate("window.sameDocument")
    assert hashlib.sha256(student).hexdigest().startswith(shown)
    assert clicks < 10
    visit.context.close()
    assert visit.wrong == []


def _start_a_study(page: Any, login: str, spec: dict[str, Any]) -> None:
    """Signs in, opens the form that a link fills in, names the study and starts it."""
    page.goto(login)
    page.get_by_role("link", name="Make the first one").wait_for()
    service = page.evaluate("location.origin")
    page.goto(f"{service}/studies/new?spec={quote(json.dumps(spec))}")
    page.get_by_label("Name", exact=True).fill("by-hand")
    page.get_by_text("of the space is in budget").wait_for()
    page.get_by_role("button", name="Start the search").click()
    page.get_by_role("heading", name="by-hand").wait_for()


def _take_the_best(page: Any) -> tuple[bytes, str, int]:
    """From the front page: the student's bytes, the hash shown beside it, and the clicks."""
    clicks = 0

    def click(target: Any) -> None:
        nonlocal clicks
        clicks += 1
        target.click()

    click(page.get_by_role("link", name="by-hand", exact=True))
    click(page.get_by_role("button", name="Export this student"))
    click(page.get_by_role("button", name="Write and verify"))
    row = page.get_by_test_id("exported").get_by_role("row", name="student.onnx")
    row.get_by_text("test accuracy").wait_for()
    shown = re.search(r"sha256 ([0-9a-f]{12})", row.inner_text())
    assert shown is not None
    with page.expect_download() as download:
        click(page.get_by_role("link", name="Download student.onnx"))
    return download.value.path().read_bytes(), shown[1], clicks
