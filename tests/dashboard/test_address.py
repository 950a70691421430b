"""The address is the view: a copied link shows the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_the_axes_of_the_front_are_in_the_address(visit: Callable[..., Any]) -> None:
    one = visit()
    page = one.open("/studies/digits")
    page.get_by_label("X", exact=True).select_option("macs")
    page.get_by_label("Colour", exact=True).select_option("loss")
    page.get_by_label("Over budget", exact=True).check()
    assert one.query() == "/studies/digits?x=macs&color=loss&infeasible=yes"
    other = visit().open(one.query())
    assert other.get_by_label("X", exact=True).input_value() == "macs"
    assert other.get_by_label("Over budget", exact=True).is_checked()
    assert (
        "macs from"
        in other.get_by_test_id("chart-front").locator("figcaption").inner_text().lower()
    )


def test_the_sliders_are_in_the_address(visit: Callable[..., Any]) -> None:
    one = visit()
    page = one.open("/studies/digits")
    page.get_by_role("slider", name="Parameters").fill("120")
    page.wait_for_url("**max_parameters=*")
    answer = page.get_by_test_id("answer").inner_text()
    assert visit().open(one.query()).get_by_test_id("answer").inner_text() == answer


def test_filter_order_and_columns_are_in_the_address(visit: Callable[..., Any]) -> None:
    one = visit()
    page = one.open("/studies/digits/candidates")
    page.get_by_label("Filter").fill("parameters<=10k")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="On the front").click()
    page.get_by_role("button", name="Parameters").click()
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Loss").check()
    page.get_by_role("columnheader", name="Loss").wait_for()
    rows = page.locator("tbody tr").all_inner_texts()
    other = visit().open(one.query())
    other.get_by_role("columnheader", name="Loss").wait_for()
    assert other.locator("tbody tr").all_inner_texts() == rows
    assert len(rows) > 2


def test_a_brush_links_all_views_and_is_in_the_address(visit: Callable[..., Any]) -> None:
    one = visit()
    page = one.open("/studies/digits/analyse")
    page.get_by_text("Select a range").click()
    page.get_by_label("Column").select_option("accuracy")
    page.get_by_label("Lowest").fill("0.9")
    page.get_by_role("button", name="Select", exact=True).click()
    page.get_by_role("button", name="Remove the selection of Accuracy").wait_for()
    selected = page.get_by_test_id("selected").locator("tbody tr").count()
    assert 0 < selected < 49
    other = visit().open(one.query())
    assert other.get_by_test_id("selected").locator("tbody tr").count() == selected


def test_dragging_along_an_axis_brushes(visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/digits/analyse")
    canvas = page.get_by_test_id("chart-parallel").locator(".canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x = box["x"] + box["width"] - 56  # the last axis stands where the grid ends
    page.mouse.move(x, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(x, box["y"] + 110, steps=5)
    page.mouse.up()
    page.wait_for_url("**brush=accuracy*")


def test_dragging_over_a_slice_brushes(visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/digits/analyse")
    canvas = page.get_by_test_id("chart-slices").locator(".canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 90, steps=5)
    page.mouse.up()
    page.wait_for_url("**brush=*")
    page.get_by_role("button", name="Remove the selection of Top nodes").wait_for()


def test_a_study_that_is_being_written_is_in_the_address(visit: Callable[..., Any]) -> None:
    one = visit()
    page = one.open("/studies/new")
    page.get_by_label("Name", exact=True).fill("copied-link")
    page.wait_for_url("**spec=*")
    assert visit().open(one.query()).get_by_label("Name", exact=True).input_value() == "copied-link"


def test_back_returns_to_the_page_before(visit: Callable[..., Any]) -> None:
    one = visit()
    page = one.open("/studies?state=completed")
    page.get_by_role("link", name="digits", exact=True).click()
    page.wait_for_url("**/studies/digits")
    page.go_back()
    page.get_by_role("heading", name="Studies").wait_for()
    assert one.query() == "/studies?state=completed"
    assert page.locator("tbody tr").count() == 3
