"""What people come for, from the first page to the last click."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

from service.routes.webhooks import EventKind
from tests.dashboard.conftest import ask


def test_from_the_front_page_to_a_downloaded_student_in_under_ten_clicks(
    fresh: None, visit: Callable[..., Any]
) -> None:
    page = visit().open("/")
    clicks = 0

    def click(target: Any) -> None:
        nonlocal clicks
        clicks += 1
        target.click()

    click(page.get_by_role("link", name="digits", exact=True))
    click(page.get_by_role("button", name="Export this student"))
    click(page.get_by_role("button", name="Write and verify"))
    page.get_by_text("test accuracy 96.94 %").first.wait_for()
    page.get_by_text("outputs within 0.00001 of the student's").wait_for()
    with page.expect_download() as download:
        click(page.get_by_role("link", name="Download student.onnx"))
    assert download.value.suggested_filename == "student.onnx"
    assert clicks < 10


def test_from_a_template_to_a_queued_study(fresh: None, visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/new")
    page.get_by_text("of the space is in budget").wait_for()
    page.get_by_label("Name", exact=True).fill("by-hand")
    page.get_by_text("name: by-hand").wait_for()
    page.get_by_role("button", name="Start the search").click()
    page.get_by_role("heading", name="by-hand").wait_for()
    page.get_by_text("Waiting for a worker").wait_for()


def test_a_mistake_is_said_at_its_field(fresh: None, visit: Callable[..., Any]) -> None:
    one = visit()
    page = one.open("/studies/new")
    page.get_by_label("Name", exact=True).fill("")
    page.locator(".field .wrong", has_text="expected a name").wait_for()
    assert page.get_by_label("Name", exact=True).get_attribute("aria-invalid") == "true"
    assert page.get_by_role("button", name="Start the search").is_disabled()
    one.wrong.clear()  # the browser reports the 422


def test_a_clone_says_what_its_original_said_and_no_more(
    fresh: None, visit: Callable[..., Any]
) -> None:
    page = visit().open("/studies/digits")
    page.get_by_role("link", name="Clone").click()
    page.get_by_text("name: digits-2").wait_for()
    text = page.locator("aside pre", has_text="name: digits-2").inner_text()
    assert "limits: {trials: 60, seconds: 14400}" in text
    assert "null" not in text


def test_a_searched_parameter_is_a_range(fresh: None, visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/new")
    page.locator("summary", has_text="Distillation").click()
    page.get_by_label("Search for Temperature").uncheck()
    page.get_by_label("Temperature", exact=True).fill("6")
    page.get_by_text("temperature: 6").wait_for()
    page.get_by_label("Search for Temperature").check()
    page.get_by_text("temperature: {low: 1.5, high: 24, log: true}").wait_for()


def test_a_study_is_paused_and_resumed(fresh: None, visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/fashion-mnist-edge")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    page.get_by_text("pausing", exact=True).wait_for()
    page.get_by_role("button", name="Resume", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    page.get_by_text("running", exact=True).wait_for()


def test_several_studies_are_stopped_at_once(fresh: None, visit: Callable[..., Any]) -> None:
    page = visit().open("/studies")
    page.get_by_label("Select fashion-mnist-edge").check()
    page.get_by_label("Select kmnist").check()
    bulk = page.get_by_role("region", name="Selected studies")
    bulk.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    page.get_by_text("2 studies: Stopping").wait_for()


def test_an_ended_study_is_extended(fresh: None, visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/digits")
    page.get_by_role("button", name="Extend", exact=True).click()
    page.get_by_label("Trials in all").fill("120")
    page.get_by_role("dialog").get_by_role("button", name="Extend").click()
    page.get_by_text("running", exact=True).wait_for()


def test_a_change_elsewhere_is_seen_without_a_reload(
    fresh: None, visit: Callable[..., Any], service: str
) -> None:
    page = visit().open("/studies/fashion-mnist-edge")
    page.locator(".live[data-state=live]").wait_for()
    ask(service, "/_emit", json.dumps({"study": "std_2", "state": "completed"}).encode())
    page.locator("main .badge", has_text="completed").first.wait_for()
    page.get_by_role("button", name="Extend", exact=True).wait_for()


def test_a_change_while_a_page_loads_is_seen(
    fresh: None, visit: Callable[..., Any], service: str
) -> None:
    page = visit().open("/studies")
    page.locator(".live[data-state=live]").wait_for()

    def late(route: Any) -> None:
        answer = route.fetch()
        ask(service, "/_emit", json.dumps({"study": "std_2", "state": "completed"}).encode())
        route.fulfill(response=answer)

    page.route("**/api/v1/studies/fashion-mnist-edge", late, times=1)
    page.get_by_role("link", name="fashion-mnist-edge", exact=True).click()
    page.get_by_role("button", name="Extend", exact=True).wait_for()


def test_the_epochs_of_the_teacher_are_told_as_they_end(
    fresh: None, visit: Callable[..., Any], service: str
) -> None:
    page = visit().open("/studies/svhn-night")
    page.locator(".live[data-state=live]").wait_for()
    ask(service, "/_emit", json.dumps({"study": "std_6", "state": "running"}).encode())
    epoch = {"study": "std_6", "kind": "teacher_epoch", "epoch": 12, "metrics": {"loss": 0.25}}
    ask(service, "/_emit", json.dumps(epoch).encode())
    page.get_by_text("Training the teacher: epoch 12 of 30").wait_for()
    page.get_by_text("Its training loss: 0.25.").wait_for()
    page.reload()
    page.get_by_text("Training the teacher: epoch 12 of 30").wait_for()


def test_a_lost_stream_is_shown_and_repaired(
    fresh: None, visit: Callable[..., Any], service: str
) -> None:
    one = visit()
    one.context.route("**/api/v1/events*", lambda route: route.abort())
    page = one.open("/studies")
    page.locator(".live[data-state=reconnecting]").wait_for()
    ask(service, "/_emit", json.dumps({"study": "std_7", "state": "cancelled"}).encode())
    one.context.unroute("**/api/v1/events*")
    page.locator(".live[data-state=live]").wait_for()
    page.get_by_role("row", name="kmnist").get_by_text("cancelled").wait_for()
    one.wrong.clear()  # the browser reports the stream that failed


def test_a_new_token_is_shown_once(fresh: None, visit: Callable[..., Any]) -> None:
    page = visit().open("/settings")
    page.get_by_label("Name").fill("robot")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("dialog").get_by_text("akd_0123456789abcdef").wait_for()
    page.get_by_role("button", name="I have it").click()
    page.get_by_role("row", name="robot").wait_for()
    assert page.get_by_text("akd_0123456789abcdef").count() == 0


def test_a_webhook_is_told_of_what_the_service_tells_of(
    fresh: None, visit: Callable[..., Any]
) -> None:
    page = visit().open("/settings?show=webhooks")
    kinds = page.get_by_role("checkbox").evaluate_all("(all) => all.map((one) => one.value)")
    assert kinds and set(kinds) <= set(get_args(EventKind))
    page.get_by_label("Address").fill("https://hooks.example.com/mine")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("dialog").get_by_text("whsec_0123456789abcdef").wait_for()
    page.get_by_role("button", name="I have it").click()
    page.get_by_role("heading", name="https://hooks.example.com/mine").wait_for()


def test_a_deleted_study_comes_back_or_is_purged(fresh: None, visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/kmnist")
    page.get_by_label("More actions").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("heading", name="Studies").wait_for()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Storage").click()
    page.get_by_role("row", name="kmnist").get_by_role("button", name="Purge").click()
    page.get_by_role("dialog").get_by_role("button", name="Purge").click()
    page.get_by_text("kmnist: 46.1 MiB freed").wait_for()
