from __future__ import annotations

import pytest

from autokd.analysis.filtering import filtered, kind_of, ordered, parse_filter, parse_order
from autokd.errors import FilterError, UnknownNameError

KINDS = {"parameters": "number", "state": "text", "feasible": "truth", "choices.lr": "number"}
ITEMS = [
    {"parameters": 100, "state": "complete", "feasible": True, "choices.lr": -0.5},
    {"parameters": 20_000, "state": "paused", "feasible": True, "choices.lr": 0.0},
    {"parameters": 70_000, "state": "failed", "feasible": False},
]


def field(name):
    return lambda item: item.get(name)


def kept(text):
    return [ITEMS.index(item) for item in filtered(ITEMS, parse_filter(text, KINDS), field)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0, 1, 2]),
        ("parameters<=20k", [0, 1]),
        ("parameters < 20k", [0]),
        ("parameters>64KiB", [2]),
        ("parameters >= 0.02M", [1, 2]),
        ("parameters=100|70000", [0, 2]),
        ("state=complete|paused", [0, 1]),
        ("state!=complete|paused", [2]),
        ("feasible=true,state!=paused", [0]),
        ("feasible=false", [2]),
        ("choices.lr<0", [0]),
        ("choices.lr>=-1", [0, 1]),
    ],
)
def test_filter_keeps_what_meets_all_its_conditions(text, expected):
    assert kept(text) == expected


@pytest.mark.parametrize("text", ["choices.lr=0", "choices.lr!=7"])
def test_what_an_item_lacks_meets_no_condition(text):
    assert 2 not in kept(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters", "expected a name, one of =, !=, <, <=, >, >= and a value"),
        ("parameters<=", "expected a name"),
        ("parameters==5", "expected a number, like 0.5, 20k, 1.5M or 64KiB; got '=5'"),
        ("parameters<=many", "got 'many'"),
        ("parameters<=nan", "got 'nan'"),
        ("parameters<=inf", "got 'inf'"),
        ("parameters<=0.1x", "got '0.1x'"),
        ("parameters<1|2", "expected one number after 'parameters'"),
        ("state<complete", "expected = or != after 'state', which is a text"),
        ("feasible=yes", "feasible: expected true or false; got 'yes'"),
    ],
)
def test_wrong_filters_say_what_was_expected(text, message):
    with pytest.raises(FilterError) as error:
        parse_filter(text, KINDS)
    assert message in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("parse", [parse_filter, parse_order])
@pytest.mark.parametrize("name", ["parametres", "__class__", "", "state; drop table trial"])
def test_only_known_fields_are_looked_at(parse, name):
    with pytest.raises(UnknownNameError):
        parse(f"{name}=1" if parse is parse_filter else f"-{name}", KINDS)


def test_misspelt_field_gets_a_hint():
    with pytest.raises(UnknownNameError, match="did you mean 'parameters'"):
        parse_filter("parametres<5", KINDS)


def order(text, items):
    return ordered(items, parse_order(text, KINDS), field)


def test_order_is_ascending_and_with_a_minus_descending():
    assert order("parameters", ITEMS[::-1]) == ITEMS
    assert order("-parameters", ITEMS) == ITEMS[::-1]


@pytest.mark.parametrize("sign", ["", "-"])
def test_what_an_item_lacks_comes_last_in_both_directions(sign):
    assert order(f"{sign}choices.lr", ITEMS[::-1])[-1] is ITEMS[2]


def test_equal_items_go_by_the_next_key_and_then_keep_their_order():
    items = [
        {"state": "b", "parameters": 1, "n": 0},
        {"state": "a", "parameters": 1, "n": 1},
        {"state": "a", "parameters": 2, "n": 2},
        {"state": "a", "parameters": 1, "n": 3},
    ]
    assert [item["n"] for item in order("state,-parameters", items)] == [2, 1, 3, 0]
    assert order("", items) == items


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5, None], "number"),
        ([True, False], "truth"),
        (["a", 1], "text"),
        ([True, 1], "text"),
        ([None], "number"),
    ],
)
def test_kind_is_that_of_all_values(values, kind):
    assert kind_of(values) == kind


def test_a_long_text_that_is_no_filter_is_refused_in_linear_time():
    with pytest.raises(FilterError):
        parse_filter(" " * 100_000 + "x", KINDS)  # days, if blanks were tried in all ways
