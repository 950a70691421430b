from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from autokd.analysis.charts import Axis, Chart, Point


def axis(low, high, log=False):
    return Axis("label", low, high, lambda value: f"{value:g}", log)


@pytest.mark.parametrize(
    ("shown", "ticks"),
    [
        (axis(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (axis(0.93, 0.97), [0.93, 0.94, 0.95, 0.96, 0.97]),
        (axis(-3, 12), [0, 5, 10]),
        (axis(900, 60_000, log=True), [1000, 2000, 5000, 10_000, 20_000, 50_000]),
        (axis(1, 1e6, log=True), [1, 10, 100, 1000, 1e4, 1e5, 1e6]),
        (axis(310, 390, log=True), [320, 340, 360, 380]),
    ],
)
def test_ticks_are_round_and_on_the_axis(shown, ticks):
    assert shown.ticks() == pytest.approx(ticks)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [1.0, 1000.0], [0.0], [-2.0, 3.0]])
def test_axis_around_values_holds_them_all_with_room(log, values):
    around = Axis.around("label", values, str, log)
    assert around.low < min(values) and around.high > max(values)
    assert all(0 < around.place(value) < 1 for value in values)
    assert 1 <= len(around.ticks()) <= 8


def test_equal_ratios_are_equally_far_on_a_logarithmic_axis():
    assert axis(1, 100, log=True).place(10) == pytest.approx(0.5)
    assert axis(0, 100).place(10) == pytest.approx(0.1)


CHART = Chart("a & b", axis(0, 10), axis(0, 10))


def test_chart_is_xml_with_a_name_for_those_who_cannot_see_it():
    marks = [
        CHART.specks([Point(1, 1)], "speck"),
        CHART.dots([Point(2, 2, '"<i>"')], "front", 5),
        CHART.stairs([Point(1, 1), Point(3, 2)], "front"),
        CHART.upright(4, "budget"),
        CHART.level(5, "teacher"),
    ]
    root = ElementTree.fromstring(CHART.svg(*marks))
    assert (root.get("role"), root.get("aria-label")) == ("img", "a & b")
    assert root.find("circle/title").text == '"<i>"'
    assert len(root.findall("path[@class='front']")) == 1
    assert not re.search("style=|<script", CHART.svg(*marks))


def test_what_lies_beyond_the_axes_is_not_drawn():
    beyond = Point(5, 11)
    assert not CHART.shows(beyond)
    assert CHART.specks([beyond], "speck") == CHART.dots([beyond], "front", 5) == ""
    assert CHART.upright(11, "budget") == CHART.level(-1, "teacher") == ""


def test_larger_is_further_right_and_further_up():
    low, high = (re.findall(r"[\d.]+", CHART.dots([Point(v, v)], "", 5)) for v in (2, 8))
    assert float(low[0]) < float(high[0]) and float(low[1]) > float(high[1])


def test_stairs_keep_their_height_until_the_next_point():
    path = CHART.stairs([Point(0, 0), Point(10, 10)], "front")
    assert re.search(r"M78.0 354.0H704.0V12.0", path)
    assert CHART.stairs([], "front") == ""
