"""No secret reaches a log."""

from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.redaction import RedactingFilter, redact

# Fixed, since they are in the names of tests, which processes side by side must agree on.
_TOKEN = "akd_6Ckjy5pGDZH188xfvF0GLthtychvkuGTOh2Pz1lQElE0Ox5aQ"
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwYFq8sPZ1mUs="


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"token {_TOKEN}.", "token akd_***."),
        (f"GET /studies?token={_TOKEN}&x=1", "GET /studies?token=***&x=1"),
        (f"cut off: {_TOKEN[:20]}", "cut off: akd_***"),
        (f"secret={_SECRET}", "secret=***"),
        (f'{{"secret": "{_SECRET}"}}', '{"secret": "whsec_***"}'),
        ("Authorization: Bearer hf_abcdefghijkl", "Authorization: Bearer ***"),
        (f"Authorization: Bearer {_TOKEN}", "Authorization: Bearer akd_***"),
        ("postgresql://autokd:pass@host/db", "postgresql://autokd:***@host/db"),
        (
            "postgresql+psycopg://u:p@ss/w:rd@host:5432/db",
            "postgresql+psycopg://u:***@host:5432/db",
        ),
        ("redis://:pass@host", "redis://:***@host"),
        ("postgresql://host/db?user=u&password=pass", "postgresql://host/db?user=u&password=***"),
        ("two: a://u:p@h b://v:q@i", "two: a://u:***@h b://v:***@i"),
        ("AUTOKD_TOKEN=" + _TOKEN, "AUTOKD_TOKEN=akd_***"),
    ],
)
def test_secrets_are_taken_out(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "std_12 completed after 3 trials",
        "http://localhost:8080/api/v1/studies?page_token=abc",
        "https://hooks.example/path",
        "expected a token of akd_ and 49 characters",
        "a bearer of bad news",
        "mail me@example.com",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@given(st.text(), st.text(), st.sampled_from([_TOKEN, _SECRET]))
def test_a_secret_is_found_wherever_it_stands(before: str, after: str, secret: str) -> None:
    assert secret not in redact(before + secret + after)


def test_long_text_that_nearly_holds_secrets_takes_linear_time() -> None:
    text = "://a:" * 20_000 + "bearer " * 20_000
    assert redact(text) == text


def _logged(*arguments: object, **options: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    handler.setFormatter(logging.Formatter("%(message)s %(extra)s", defaults={"extra": ""}))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.error(*arguments, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def test_the_filter_takes_secrets_out_of_message_arguments_extra_and_trace() -> None:
    try:
        raise ValueError(f"no such token {_TOKEN}")
    except ValueError:
        text = _logged(
            "%s and %s",
            _TOKEN,
            {"secret": _SECRET},
            extra={"extra": [_TOKEN]},
            exc_info=True,
            stack_info=True,
        )
    assert "ValueError: no such token akd_***" in text
    assert _TOKEN not in text
    assert _SECRET not in text


def test_arguments_that_do_not_fit_do_not_fail_the_caller() -> None:
    assert _logged("%d trials of %s", _TOKEN) == "%d trials of %s ('akd_***',) \n"
