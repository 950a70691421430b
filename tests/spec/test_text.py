from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autokd.spec.text import read_json, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),  # YAML 1.1 wants a dot
        ("5E4", 5e4),
        (".5", 0.5),
        ("-1.", -1.0),
        ("20_000", 20_000),
        ("010", 10),  # not octal
        ("1:30", "1:30"),  # not base 60
        ("true", True),
        ("no", "no"),  # not false
        ("2026-01-31", "2026-01-31"),  # not a date
        ("~", None),
        ("", None),
        ("'1'", "1"),
    ],
)
def test_unquoted_words_are_read_as_yaml_1_2_reads_them(text: str, value: Any) -> None:
    assert read_yaml(f"field: {text}") == ({"field": value}, [])


def test_anchors_and_merges_save_typing() -> None:
    text = "a: &recipe {epochs: 3, seed: 1}\nb: {<<: *recipe, seed: 2}"
    assert read_yaml(text)[0]["b"] == {"epochs": 3, "seed": 2}


def test_a_key_given_twice_is_a_mistake_with_its_path_and_lines() -> None:
    _, mistakes = read_yaml("a: 1\nb:\n  - c: 1\n    d: 2\n    c: 3\na: 4")
    assert [str(mistake) for mistake in mistakes] == [
        "a: expected each field once; got it in lines 1 and 6",
        "b.0.c: expected each field once; got it in lines 3 and 5",
    ]


def test_a_json_key_given_twice_is_a_mistake() -> None:
    data, mistakes = read_json('{"a": {"b": 1, "b": 2}}')
    assert data == {"a": {"b": 2}}
    assert [str(mistake) for mistake in mistakes] == ["b: expected each field once; got it twice"]


def test_a_syntax_error_says_where_it_is() -> None:
    assert "line 2, column 5" in str(read_yaml("a: 1\nb: c: d")[1][0])
    assert "line 2, column 1" in str(read_json('{"a": 1,\n}')[1][0])


@pytest.mark.parametrize(
    "text",
    [
        "!!int ''",
        "!!int x",
        "!!bool maybe",
        "!!timestamp x",
        "!!binary x",
        "!!python/object:os.system x",
        "a: " + "1" * 5_000,
        "[" * 2_000,
        "? [a]\n: b",
        "<<: 3",
        "--- a\n--- b",
        "a: 'x",
        "\x00",
    ],
)
def test_what_is_no_yaml_is_one_mistake(text: str) -> None:
    data, mistakes = read_yaml(text)
    assert data is None
    assert len(mistakes) == 1
    assert str(mistakes[0]).startswith("expected YAML; got")


@pytest.mark.parametrize("text", ["", "{", "[1,]", "[" * 100_000, "1" * 5_000, "{} {}"])
def test_what_is_no_json_is_one_mistake(text: str) -> None:
    data, mistakes = read_json(text)
    assert data is None
    assert len(mistakes) == 1
    assert str(mistakes[0]).startswith("expected JSON; got")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("ab:-# \n'\"{}[]~é"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
)


@given(_JSON)
def test_json_means_the_same_in_both_readers(data: Any) -> None:
    text = json.dumps(data)
    assert read_json(text) == (data, [])
    assert read_yaml(text) == (data, [])
