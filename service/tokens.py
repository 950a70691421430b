"""Access tokens: `akd_`, 256 random bits, and a check sum.

The prefix and the check sum let a secret scanner tell a leaked token from chance, offline. Tokens
are as random as a key, so one round of SHA-256 is all that a stored one needs: there is no
dictionary to try.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import zlib

from autokd.errors import AutokdError

PREFIX = "akd_"
PATTERN = r"akd_[A-Za-z0-9_-]{49}"
"""For secret scanners; `is_token` tells real ones from others."""

_RANDOM_BYTES = 32
_CHECKSUM_CHARACTERS = 6


class TokenError(AutokdError, ValueError):
    """A request carries no token, or what it carries is not one. Never quotes it."""


def new_token() -> str:
    """A token, to be shown once and stored as its `token_hash` only."""
    random = PREFIX + _base64(secrets.token_bytes(_RANDOM_BYTES))
    return random + _checksum(random)


def token_hash(token: str) -> str:
    """What is stored of a token: its SHA-256, in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_token(text: str) -> bool:
    """Whether this may be a token of ours: by form and check sum, without the record."""
    random, checksum = text[:-_CHECKSUM_CHARACTERS], text[-_CHECKSUM_CHARACTERS:]
    return bool(re.fullmatch(PATTERN, text)) and hmac.compare_digest(checksum, _checksum(random))


def bearer_token(authorization: str | None) -> str:
    """The token of an `Authorization` header.

    Raises:
        TokenError: there is no such header, it is of another scheme, or holds no token of ours.
    """
    scheme, _, token = (authorization or "").strip(" ").partition(" ")
    if not scheme:
        raise TokenError(
            "expected a token, got none", hint="send the header 'Authorization: Bearer akd_…'"
        )
    if scheme.lower() != "bearer":
        raise TokenError(
            "expected the header 'Authorization: Bearer akd_…', got another scheme than Bearer"
        )
    token = token.lstrip(" ")
    if not is_token(token):
        raise TokenError(
            f"expected a token of {PREFIX} and 49 characters, got something else",
            hint="it may have been cut off or mistyped; copy it again",
        )
    return token


def _checksum(text: str) -> str:
    return _base64(zlib.crc32(text.encode()).to_bytes(4))


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
