"""A token is unguessable, recognisable, and never stored or quoted."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tokens import PATTERN, TokenError, bearer_token, is_token, new_token, token_hash

_TOKEN = new_token()


def test_tokens_are_random_and_of_one_form() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(PATTERN, token) and is_token(token) for token in tokens)


def test_one_changed_character_is_noticed() -> None:
    for index in range(4, len(_TOKEN)):
        other = "A" if _TOKEN[index] != "A" else "B"
        assert not is_token(_TOKEN[:index] + other + _TOKEN[index + 1 :])


def test_a_token_cut_off_or_with_more_behind_it_is_none() -> None:
    for text in ("", "akd_", _TOKEN[:-1], _TOKEN + "A", _TOKEN + "\n", " " + _TOKEN):
        assert not is_token(text)


def test_only_the_hash_is_stored() -> None:
    assert token_hash(_TOKEN) == hashlib.sha256(_TOKEN.encode()).hexdigest()


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER  {}", " Bearer {} "])
def test_the_header_holds_the_token(header: str) -> None:
    assert bearer_token(header.format(_TOKEN)) == _TOKEN


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "expected a token, got none"),
        ("", "expected a token, got none"),
        ("Basic dXNlcjpwYXNz", "another scheme than Bearer"),
        (_TOKEN, "another scheme than Bearer"),
        ("Bearer", "got something else"),
        ("Bearer hf_something", "got something else"),
        (f"Bearer {_TOKEN[:-1]}", "got something else"),
        (f"Bearer {_TOKEN}, Bearer {_TOKEN}", "got something else"),
        (f"Bearer\t{_TOKEN}", "another scheme than Bearer"),
    ],
)
def test_a_header_without_a_token_says_what_is_expected(header: str | None, message: str) -> None:
    with pytest.raises(TokenError, match=message) as caught:
        bearer_token(header)
    assert _TOKEN[4:20] not in str(caught.value)


@given(st.text() | st.builds("Bearer {}".format, st.text()))
def test_no_header_makes_reading_it_fail_otherwise(header: str) -> None:
    with pytest.raises(TokenError):
        bearer_token(header)
