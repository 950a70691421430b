"""The keyboard reaches everything; focus, theme and motion behave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.dashboard.pages import PAGES

CONTROLS = "a[href], button:enabled, input:enabled, select, textarea, summary, [tabindex='0']"
REACHABLE = """(controls) => {
    window.wanted = new Set([...document.querySelectorAll(controls)]
        .filter((one) => one.tabIndex >= 0 && one.checkVisibility({ visibilityProperty: true })));
    return wanted.size;
}"""


@pytest.mark.parametrize(
    "name",
    [
        "study",
        "candidates",
        "tokens",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("studies", "analyse", "candidate")
        ),
    ],
)
def test_the_keyboard_reaches_everything(name: str, look: Callable[[str], Any]) -> None:
    page = look(PAGES[name])
    wanted = page.evaluate(REACHABLE, CONTROLS)
    page.evaluate("document.body.focus()")
    for _ in range(2 * wanted):
        page.keyboard.press("Tab")
        if page.evaluate("wanted.delete(document.activeElement) && wanted.size === 0"):
            break
    assert page.evaluate("[...wanted].map((one) => one.outerHTML.slice(0, 120))") == []


def test_arrow_keys_walk_along_the_front(visit: Callable[..., Any]) -> None:
    one = visit()
    page = one.open("/studies/digits")
    chart = page.get_by_test_id("chart-front").locator(".canvas")
    chart.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("status").filter(has_text="1 of 7: candidate").wait_for(state="attached")
    page.keyboard.press("Enter")
    page.wait_for_url("**/candidates/*")


def test_the_arrow_keys_walk_through_the_network(visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/digits/candidates/1")
    network = page.get_by_role("listbox")
    network.get_by_role("option").first.focus()
    page.keyboard.press("ArrowDown")
    assert network.get_by_role("option", selected=True).get_attribute("data-node") == "n1"


def test_the_arrow_keys_go_through_a_table_of_any_length(visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/cifar10-sweep/candidates?order=number")
    page.get_by_role("link", name="0", exact=True).focus()
    for _ in range(40):
        page.keyboard.press("ArrowDown")
    page.wait_for_function("() => document.activeElement.textContent === '40'")
    page.keyboard.press("End")
    page.wait_for_function("() => document.activeElement.textContent === '9999'")


def test_a_dialog_gives_the_focus_back(visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/fashion-mnist-edge")
    pause = page.get_by_role("button", name="Pause", exact=True)
    pause.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert pause.evaluate("(one) => one === document.activeElement")


def test_a_new_page_takes_the_focus_and_the_title(visit: Callable[..., Any]) -> None:
    page = visit().open("/studies")
    page.get_by_role("link", name="digits", exact=True).click()
    page.wait_for_function("() => document.title === 'digits · autokd'")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_theme_that_was_chosen_stays(visit: Callable[..., Any]) -> None:
    one = visit(color_scheme="light")
    page = one.open("/studies")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Use dark colours").click()
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_less_motion_is_no_motion(visit: Callable[..., Any]) -> None:
    page = visit(reduced_motion="reduce").open("/studies")
    durations = """[...document.querySelectorAll('*')]
        .map((one) => getComputedStyle(one).transitionDuration)"""
    assert set(page.evaluate(durations)) == {"0s"}
