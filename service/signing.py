"""Signatures of webhooks, by which a receiver knows that a delivery is ours and new.

The scheme is that of Standard Webhooks (https://www.standardwebhooks.com), so its libraries verify
our deliveries. Where there is none, a receiver needs the standard library only:

    import base64, hashlib, hmac, time

    def is_genuine(secret: str, headers: dict[str, str], body: bytes) -> bool:
        '''`body` as it came, before any parsing; `headers` by lower-case names.'''
        sent = headers["webhook-timestamp"]
        if abs(time.time() - int(sent)) > 300:
            return False
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = f"{headers['webhook-id']}.{sent}.".encode() + body
        digest = hmac.new(key, content, hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(digest).decode()
        given = headers["webhook-signature"].split()  # several while a secret is being replaced
        return any(hmac.compare_digest(expected, each) for each in given)

A delivery that is tried again keeps its `webhook-id`: a receiver that has seen it leaves it be.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence

from autokd.errors import AutokdError

TOLERANCE_SECONDS = 300
"""How far a delivery's time may be from the receiver's clock, either way."""

_PREFIX = "whsec_"
_KEY_BYTES = 32
_MOST_SIGNATURES = 16


class SignatureError(AutokdError, ValueError):
    """A delivery is not signed as it should be, or too old, or a secret is not one."""


def new_secret() -> str:
    """A webhook's secret: `whsec_` and 256 random bits in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode("ascii")


def sign(
    keys: Sequence[str], message_id: str, body: bytes, *, now: float | None = None
) -> dict[str, str]:
    """The headers that sign a delivery.

    Args:
        keys: the webhook's secrets; more than one while an old one is being replaced.
        message_id: the same in every attempt to deliver this message; without a full stop, which
            is what separates it from the rest.
        body: as it will be sent.
        now: Unix time of this attempt; None for the present.

    Raises:
        SignatureError: a secret is missing or malformed, or the id holds what it must not.
    """
    if not keys:
        raise SignatureError("expected a secret to sign with, got none")
    if not message_id or not message_id.isascii() or "." in message_id:
        raise SignatureError(f"expected an ASCII id without full stop, got {message_id!a}")
    timestamp = str(int(time.time() if now is None else now))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(key, message_id, timestamp, body) for key in keys),
    }


def verify(
    keys: Sequence[str], headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> None:
    """Returns if a delivery was signed with one of the secrets `keys`, within the last 5 minutes.

    Args:
        keys: any of them will do.
        headers: of the request, in any case.
        body: as it came, before any parsing.
        now: Unix time; None for the present.

    Raises:
        SignatureError: a header is missing, the time is off, or no signature fits.
    """
    given = {name.lower(): value for name, value in headers.items()}
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    missing = [name for name in names if not given.get(name)]
    if missing:
        raise SignatureError(f"expected the headers {', '.join(names)}; missing {missing}")
    if not all(given[name].isascii() for name in names):
        raise SignatureError(f"expected the headers {', '.join(names)} to be ASCII")
    message_id, timestamp, signatures = (given[name] for name in names)
    if not timestamp.isdecimal() or len(timestamp) > 12:
        raise SignatureError("expected webhook-timestamp to be whole seconds since 1970")
    late = (time.time() if now is None else now) - int(timestamp)
    if abs(late) > TOLERANCE_SECONDS:
        raise SignatureError(
            f"expected webhook-timestamp within {TOLERANCE_SECONDS} seconds of this clock, got "
            f"{abs(late):.0f} seconds {'before' if late > 0 else 'after'} it",
            hint="check the clocks of both machines",
        )
    expected = [_signature(key, message_id, timestamp, body) for key in keys]
    candidates = signatures.split()[:_MOST_SIGNATURES]
    # All pairs are compared, so that the time taken tells nothing.
    if not sum(hmac.compare_digest(one, other) for one in expected for other in candidates):
        raise SignatureError(
            "expected a signature made with the webhook's secret, got another",
            hint="verify the body byte for byte as it came",
        )


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    content = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) < 24:  # the scheme's least length
        raise SignatureError(f"expected a secret of {_PREFIX} and base64 of at least 24 bytes")
    return key
