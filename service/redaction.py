"""Takes secrets out of text that will be logged."""

from __future__ import annotations

import logging
import re
from typing import Any

_OWN_SECRET = re.compile(r"(akd_|whsec_)[A-Za-z0-9+/=%_-]{8,}")
"""Tokens and webhooks' secrets; cut-off ones too, and with what follows without a space."""

_SECRETS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (_OWN_SECRET.pattern, r"\1***"),
        (r"(?i)(bearer +)[^\s\"'<>]{8,}", r"\1***"),
        (r"(?i)((?:password|passwd|secret|(?<!_)token)=)[^\s\"'<>&;]+", r"\1***"),
        # Up to the last @ of the word, because passwords with @ and / in them are accepted by some
        # readers of URLs. Bounded, so that no text takes more than linear time.
        (r"(://[^\s:/?#@\"'<>]{0,256}:)[^\s\"'<>]{1,1024}@", r"\1***@"),
    )
)
_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "color_message", "message"}
"""What records have of formatters, uvicorn and themselves; anything else was given as `extra`."""


def without_own_secrets(text: str) -> str:
    """`text` without what this service calls secret; JSON stays JSON."""
    return _OWN_SECRET.sub(r"\1***", text)


def redact(text: str) -> str:
    """`text` without tokens, webhook secrets, bearer tokens and passwords of URLs."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def extra_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as `extra` when this was logged."""
    return {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}


class RedactingFilter(logging.Filter):
    """Lets every record through, without the secrets in its message, trace and extra text.

    Belongs on handlers: a filter of a logger does not see what its children log. Extra values that
    are neither numbers nor truths become text.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record in place, so that no later handler sees more."""
        record.msg, record.args = redact(_message(record)), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        for name, value in extra_fields(record).items():
            if value is not None and not isinstance(value, int | float):
                setattr(record, name, redact(str(value)))
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (KeyError, TypeError, ValueError):
        # Arguments that do not fit. Handlers forgive that while they write, but not in a filter.
        return f"{record.msg} {record.args!r}"
