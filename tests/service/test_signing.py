"""A receiver can tell our deliveries from others, and new ones from old."""

from __future__ import annotations

import base64
import textwrap
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import signing
from service.signing import SignatureError, new_secret, sign, verify

_SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
_OTHER = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
_NOW = 1_700_000_000.0


def test_the_scheme_signs_its_own_example_as_it_says() -> None:
    # From the documentation of Standard Webhooks' libraries.
    headers = sign(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        now=1614265330,
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_example_for_receivers_verifies_what_we_sign() -> None:
    code = "\n\n".join(signing.__doc__.split("\n\n")[2:-1])
    example: dict[str, Any] = {}
    exec(textwrap.dedent(code), example)
    is_genuine = example["is_genuine"]
    headers = sign([_OTHER, _SECRET], "msg_1", b"body")
    assert is_genuine(_SECRET, headers, b"body")
    assert not is_genuine(_SECRET, headers, b"another body")
    assert not is_genuine(new_secret(), headers, b"body")
    assert not is_genuine(_SECRET, sign([_SECRET], "msg_1", b"body", now=0), b"body")


@given(st.binary(), st.lists(st.sampled_from([_SECRET, _OTHER]), min_size=1, max_size=3))
def test_what_is_signed_with_one_of_several_secrets_verifies(body: bytes, keys: list[str]) -> None:
    headers = sign(keys, "msg_1", body, now=_NOW)
    verify([new_secret(), keys[-1]], headers, body, now=_NOW)


def test_header_names_may_be_in_any_case() -> None:
    headers = {name.title(): value for name, value in sign([_SECRET], "m", b"", now=_NOW).items()}
    verify([_SECRET], headers, b"", now=_NOW)


def test_secrets_are_random_and_of_the_scheme() -> None:
    one, other = new_secret(), new_secret()
    assert one != other
    assert one.startswith("whsec_")
    assert len(base64.b64decode(one.removeprefix("whsec_"))) == 32


@pytest.mark.parametrize(
    ("changed", "body"),
    [
        ({}, b"another body"),
        ({"webhook-id": "msg_2"}, b"body"),
        ({"webhook-timestamp": str(int(_NOW) + 1)}, b"body"),
        ({"webhook-signature": "v1,"}, b"body"),
        ({"webhook-signature": "v1a,bm90aGluZw=="}, b"body"),
    ],
)
def test_whatever_is_changed_no_longer_fits_the_signature(
    changed: dict[str, str], body: bytes
) -> None:
    headers = sign([_SECRET], "msg_1", b"body", now=_NOW) | changed
    with pytest.raises(SignatureError, match="signature made with the webhook's secret"):
        verify([_SECRET], headers, body, now=_NOW)


def test_another_secret_does_not_verify() -> None:
    headers = sign([_SECRET], "msg_1", b"body", now=_NOW)
    for keys in ([_OTHER], []):
        with pytest.raises(SignatureError):
            verify(keys, headers, b"body", now=_NOW)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_delivery_more_than_5_minutes_away_is_refused(seconds: int) -> None:
    headers = sign([_SECRET], "msg_1", b"body", now=_NOW)
    verify([_SECRET], headers, b"body", now=_NOW + seconds * 300 / 301)
    with pytest.raises(SignatureError, match="301 seconds (before|after)"):
        verify([_SECRET], headers, b"body", now=_NOW + seconds)


@given(st.dictionaries(st.sampled_from(list(sign([_SECRET], "m", b""))), st.text(), max_size=3))
def test_no_headers_make_verifying_fail_otherwise(changed: dict[str, str]) -> None:
    headers = sign([_SECRET], "msg_1", b"body", now=time.time()) | changed
    try:
        verify([_SECRET], headers, b"body")
    except SignatureError:
        return
    assert headers == headers | sign([_SECRET], "msg_1", b"body")


def test_a_missing_header_is_named() -> None:
    with pytest.raises(SignatureError, match="missing.*webhook-signature"):
        verify([_SECRET], {"webhook-id": "1", "webhook-timestamp": "1"}, b"")


@pytest.mark.parametrize("message_id", ["", "msg.1", "msg_\u00e9"])
def test_an_id_that_could_be_read_in_two_ways_is_not_signed(message_id: str) -> None:
    with pytest.raises(SignatureError, match="id without full stop"):
        sign([_SECRET], message_id, b"")


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_short", "whsec_!!!", _SECRET[6:]])
def test_a_secret_that_is_none_is_refused_and_not_quoted(secret: str) -> None:
    with pytest.raises(SignatureError, match="expected a secret of whsec_") as caught:
        sign([secret], "msg_1", b"")
    assert secret in ("", "whsec_") or secret not in str(caught.value)
