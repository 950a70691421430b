"""What others wrote is text and nothing else; what is secret leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.dashboard import fixture_data

HOSTILE = fixture_data.HOSTILE


@pytest.mark.parametrize(
    "path",
    [
        "/studies",
        "/studies/std_4",
        "/studies/std_4/analyse",
        "/studies/std_4/candidates/1",
        "/compare?study=std_4&study=std_1",
        "/workers?study=std_4",
        "/settings?show=storage",
        "/studies/new?from=std_4",
    ],
)
def test_a_hostile_name_is_inert(path: str, look: Callable[[str], Any]) -> None:
    page = look(path)
    if "new?from" not in path:  # there the name is the value of a field
        page.locator("#app").get_by_text("onerror").first.wait_for(state="attached")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, script:not([src])").count() == 0


def test_a_hostile_log_line_is_inert(visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/digits/candidates/1")
    page.get_by_test_id("log").get_by_text(f"hostile line {HOSTILE}").wait_for()
    page.get_by_label("Search the log").fill("<img")
    page.get_by_test_id("log").locator("mark").first.wait_for()
    assert page.evaluate("window.hacked") is None


def test_a_hostile_name_is_inert_in_a_saved_chart(visit: Callable[..., Any]) -> None:
    page = visit().open("/compare?study=std_4&study=std_1")
    chart = page.get_by_test_id("chart-fronts")
    chart.get_by_title("Save").click()
    with page.expect_download() as download:
        chart.get_by_role("button", name="Save as SVG").click()
    assert "<img" not in download.value.path().read_text()


def test_the_token_of_a_link_leaves_the_address(fresh: None, visit: Callable[..., Any]) -> None:
    one = visit()
    one.page.goto(f"{one.service}/login?next=/workers#token=akd_fixture")
    one.page.wait_for_url("**/workers")
    one.page.go_back()
    assert "akd_" not in one.page.url


def test_a_wrong_token_is_said_and_not_kept(fresh: None, visit: Callable[..., Any]) -> None:
    one = visit()
    one.open("/login")
    one.page.get_by_label("Token").fill("akd_wrong")
    one.page.get_by_role("button", name="Sign in").click()
    one.page.get_by_text("this token is not known").wait_for()
    assert "akd_wrong" not in one.page.evaluate(
        "JSON.stringify({ ...localStorage, ...sessionStorage })"
    )
    one.wrong.clear()  # the browser reports the 401


def test_who_is_signed_out_is_asked_to_sign_in_and_comes_back(
    fresh: None, visit: Callable[..., Any]
) -> None:
    one = visit()
    page = one.open("/studies")
    page.get_by_label("Signed in as laptop").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.goto(f"{one.service}/workers")
    page.wait_for_url("**/login?next=%2Fworkers")
    page.get_by_label("Token").fill("akd_fixture")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/workers")
    one.wrong.clear()  # the browser reports the 401


def test_after_signing_in_nobody_is_sent_elsewhere(fresh: None, visit: Callable[..., Any]) -> None:
    one = visit()
    one.page.goto(f"{one.service}/login?next=//example.com/#token=akd_fixture")
    one.page.wait_for_url(f"{one.service}/studies")


def test_a_cell_that_a_spreadsheet_would_compute_is_text(visit: Callable[..., Any]) -> None:
    page = visit().open("/studies")
    text = page.evaluate(
        """async () => (await import('/static/components/save.js'))
            .csvOf(['a'], [['=1+1'], ['-2'], [-2], ['x,y']])"""
    )
    assert text.split("\r\n")[1:5] == ["'=1+1", "'-2", "-2", '"x,y"']
