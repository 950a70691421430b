"""An id is spelled in one way, and is never a path."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autokd.errors import NotFoundError
from service.names import Kind, id_of, id_pattern, is_id, number_of

_NUMBERS = st.integers(1, 10**9 - 1)


@given(st.sampled_from(Kind), _NUMBERS)
def test_an_id_leads_back_to_its_number(kind: Kind, number: int) -> None:
    assert number_of(kind, id_of(kind, number)) == number
    assert is_id(id_of(kind, number))


def test_ids_are_as_the_api_writes_them() -> None:
    written = [id_of(kind, 12) for kind in Kind]
    assert written == ["std_12", "op_12", "exp_12", "upl_12", "tok_12", "whk_12"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "std",
        "std_",
        "std_0",
        "std_01",
        "std_-1",
        "std_+1",
        "std_1.0",
        "std_1e3",
        "std_1_000",
        "std_1 ",
        " std_1",
        "std_1\n",
        "std_1\x00",
        "STD_1",
        "std-1",
        "std_1/..",
        "../std_1",
        "std_1%2e",
        "%73td_1",
        "std_1%00",
        "std_\u0661",
        "std_\uff11",
        "std_\u00b2",
        "std\uff3f1",
        "std_1\u2024\u2024",
        "std_1:pause",
        "std_1000000000",
        "op_1",
    ],
)
def test_anything_else_is_not_found(text: str) -> None:
    with pytest.raises(NotFoundError, match=r"expected the id of a study, such as std_12, got '"):
        number_of(Kind.STUDY, text)


@given(st.text() | st.from_regex(r"(std|op|exp)_\d+"))
def test_what_is_taken_is_what_is_written(text: str) -> None:
    if is_id(text):
        kind = Kind(text.split("_")[0])
        assert id_of(kind, number_of(kind, text)) == text
        assert text.isascii()
    else:
        with pytest.raises(NotFoundError):
            number_of(Kind.STUDY, text)


def test_the_message_is_short_and_in_ascii() -> None:
    with pytest.raises(NotFoundError) as caught:
        number_of(Kind.OPERATION, "\x1b\u202e" * 10_000)
    assert len(caught.value.message) < 500
    assert caught.value.message.isprintable()


@given(st.sampled_from(Kind), _NUMBERS)
def test_schemas_know_ids_by_a_pattern(kind: Kind, number: int) -> None:
    assert re.search(id_pattern(*Kind), id_of(kind, number))
    assert bool(re.search(id_pattern(Kind.UPLOAD), id_of(kind, number))) is (kind is Kind.UPLOAD)
    assert not re.search(id_pattern(kind), f"x{id_of(kind, number)}")
