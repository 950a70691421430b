"""Every page renders, without errors, policy violations or foreign requests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.pages import PAGES, STATES

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.mark.parametrize(
    "path",
    [
        *(pytest.param(path, id=name) for name, path in PAGES.items()),
        *(pytest.param(path, id=name, marks=pytest.mark.slow) for name, path in STATES.items()),
    ],
)
def test_a_page_is_there_for_everyone(path: str, look: Callable[[str], Any]) -> None:
    """Without errors; axe finds nothing, in light and dark; it fits a phone."""
    suits_everyone(look(path))


def test_an_unknown_address_says_so(visit: Callable[..., Any]) -> None:
    one = visit(reduced_motion="reduce")
    page = one.open("/studies/digits/nowhere")
    assert [line for line in one.wrong if "404" not in line] == []  # the browser reports that
    one.wrong.clear()
    page.get_by_text("No page has this address").wait_for()
    suits_everyone(page)
    page.get_by_role("link", name="All studies").click()
    page.get_by_role("heading", name="Studies").wait_for()


def suits_everyone(page: Any) -> None:
    """Fails where axe finds something, in light or dark, and where a phone is too narrow."""
    assert page.title().endswith("autokd")
    assert page.locator("main h1").count() == 1
    assert page.locator(".failure").count() == 0
    page.evaluate(AXE)
    found = axe(page, RULES)
    page.emulate_media(color_scheme="dark")
    assert found + axe(page, ["color-contrast"]) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def axe(page: Any, rules: list[str]) -> list[str]:
    """What axe finds, a line for each element."""
    found = page.evaluate("(rules) => axe.run(document, { runOnly: rules })", rules)
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def test_how_a_student_learned_is_said_in_words(look: Callable[[str], Any]) -> None:
    page = look("/studies/digits/candidates/1?trial=1000010")
    losses = page.get_by_test_id("chart-curves-loss").locator("figcaption p").inner_text()
    for name in ("Training loss", "Training KD", "Training cross entropy", "Validation loss"):
        assert re.search(rf"{name} 0\.\d+", losses)


def test_a_curve_of_one_point_is_a_mark_in_the_middle(look: Callable[[str], Any]) -> None:
    shown = look("/studies").evaluate(
        """async () => {
            const { linesOption } = await import('/static/charts/lines.js');
            const curve = [{ name: 'loss', values: [[1, 0.5]] }];
            const { xAxis, series } = linesOption(curve, { x: '', y: '' })({ series: ['red'] });
            return [series[0].showSymbol, xAxis.min, xAxis.max];
        }"""
    )
    assert shown == [True, 0, 2]


def test_too_few_trials_are_not_said_to_be_alike(visit: Callable[..., Any]) -> None:
    one = visit()
    few = {"metric": "accuracy", "method": "ped_anova", "trials": 4, "importances": {}}
    one.context.route("**/importances*", lambda route: route.fulfill(json=few))
    page = one.open("/studies/kmnist/analyse")
    page.get_by_text("Too few trials to tell: 4 of the 10 that it takes.").wait_for()


def test_how_well_calibrated_a_student_is_is_a_chart(look: Callable[[str], Any]) -> None:
    page = look("/studies/digits/candidates/1?trial=1000010")
    chart = page.get_by_test_id("chart-calibration")
    summary = chart.locator("figcaption p").inner_text()
    said = r"[\d.]+ % sure and [\d.]+ % right on average, calibration error 0\.\d+\."
    assert re.match(rf"Validation: {said} Test: {said} ", summary)
    chart.get_by_title("Data as a table").click()
    assert chart.locator("tbody tr").count() == 2 * 11
    chart.locator(".canvas").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("status").filter(has_text="1 of 22: Validation, 30.7 % sure").wait_for(
        state="attached"
    )


def test_a_study_that_is_not_there_is_a_designed_error(visit: Callable[..., Any]) -> None:
    one = visit()
    one.page.goto(f"{one.service}/studies/gone")
    one.page.get_by_text("There is no such thing here").wait_for()
    one.page.get_by_text("look at the list of studies").wait_for()
    one.wrong.clear()  # the browser reports the 404


def test_every_chart_has_a_summary_a_table_and_files(visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/digits")
    for chart in page.locator("figure.chart").all():
        assert chart.locator("figcaption p").inner_text().endswith(".")
        chart.get_by_title("Data as a table").click()
        assert chart.locator("tbody tr").count() > 0
        chart.get_by_title("Save").click()
        for kind in ("SVG", "PNG", "CSV"):
            with page.expect_download() as download:
                chart.get_by_role("button", name=f"Save as {kind}").click()
            content = download.value.path().read_bytes()
            assert content.startswith({"SVG": b"<svg", "PNG": b"\x89PNG"}.get(kind, content[:1]))


def test_the_sliders_answer_without_asking(visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/cifar10-sweep")
    asked = "performance.getEntriesByType('resource').length"
    before, answer = page.evaluate(asked), page.get_by_test_id("answer").inner_text()
    slider = page.get_by_role("slider", name="Parameters")
    for value in (150, 100, 50):
        slider.fill(str(value))
    assert page.get_by_test_id("answer").inner_text() != answer
    assert page.evaluate(asked) == before


def test_the_table_of_candidates_fetches_what_comes_into_view(visit: Callable[..., Any]) -> None:
    page = visit().open("/studies/cifar10-sweep/candidates?order=number")
    table = page.get_by_test_id("virtual")
    assert page.locator("tbody tr").count() < 80
    assert table.locator("table").get_attribute("aria-rowcount") == "10001"
    table.evaluate("(box) => { box.scrollTop = 34 * 900; }")
    page.get_by_role("link", name="900", exact=True).wait_for()
    assert page.locator("tbody tr").count() < 80


def test_pages_without_charts_load_no_chart_library(visit: Callable[..., Any]) -> None:
    one = visit()
    loaded: list[str] = []
    one.page.on("request", lambda request: loaded.append(request.url))
    one.open("/studies")
    assert not [url for url in loaded if "echarts" in url or "dagre" in url]


def test_all_that_the_browser_runs_is_plain_modules(service: str) -> None:
    from tests.dashboard.fixture_app import DASHBOARD

    page = (DASHBOARD / "index.html").read_text()
    assert "<style" not in page and "style=" not in page and "onload=" not in page
    own = [path for path in DASHBOARD.glob("*/*.js") if path.parent.name != "vendor"]
    for path in own:
        text = path.read_text()
        assert "innerHTML" not in text and "dangerouslySetInnerHTML" not in text, path.name
        assert len(text.splitlines()) <= 400, path.name


def test_the_vendored_files_are_what_was_pinned() -> None:
    from tools import vendor_dashboard

    for name in vendor_dashboard.MANIFESTS:
        manifest = vendor_dashboard.ROOT / name
        assert vendor_dashboard.mismatches(manifest) == []
        for package in json.loads(manifest.read_text())["packages"]:
            assert any("LICENSE" in file["file"] for file in package["files"])
