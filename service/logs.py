r"""How the service logs: JSON lines for machines, readable lines on a terminal; never a secret.

    uvicorn.run(app, log_config=logs.configuration(), access_log=False)
    logging.config.dictConfig(logs.configuration())  # in a process that is not uvicorn's

Names, URLs and messages of others end up in logs. Control characters in them could move a
terminal's cursor, recolour it or forge lines, so they are written as escapes (`\x1b`).
"""

from __future__ import annotations

import json
import logging
import math
import re
import secrets
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from service.redaction import RedactingFilter, extra_fields

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered; set by the application, written on each of its lines."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# C0 but tab and newline, DEL, C1, separators of lines, marks that reorder text, surrogates.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def request_id_of(given: str | None) -> str:
    """The id of a request: what its sender gave in `X-Request-ID` if that is one, or a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def printable(text: str) -> str:
    """`text` with control characters, other than tab and newline, as visible escapes."""
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request_id, extra, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, in ASCII."""
        own = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            "exception": _trace(self, record),
        }
        line = own | extra_fields(record) | own  # no extra passes for one of our own
        return json.dumps({name: _plain(each) for name, each in line.items() if each is not None})


class HumanFormatter(logging.Formatter):
    """One line, and what belongs to it indented, so that no message can pass for another line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line and those that belong to it."""
        marks = {"request": request_id.get(), **extra_fields(record)}
        shown = " ".join(f"{name}={value}" for name, value in marks.items() if value is not None)
        text = f"{_time(record)} {record.levelname:<8} {record.name}: {record.getMessage()}"
        parts = (f"{text} [{shown}]" if shown else text, _trace(self, record))
        return printable("\n".join(filter(None, parts))).replace("\n", "\n    ")


def configuration(*, human: bool | None = None, level: str = "INFO") -> dict[str, Any]:
    """The set-up of all logging of a process, as `logging.config.dictConfig` takes it.

    Args:
        human: readable lines rather than JSON; None for those on a terminal only.
        level: of autokd, the service and uvicorn; others speak from WARNING on, because httpx
            and httpcore log the URLs they call.
    """
    if human is None:
        human = sys.stderr.isatty()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"redacting": {"()": RedactingFilter}},
        "formatters": {"line": {"()": HumanFormatter if human else JsonFormatter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "filters": ["redacting"],
                "formatter": "line",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            name: {"level": level, "propagate": True} for name in ("autokd", "service", "uvicorn")
        },
    }


def _plain(value: object) -> int | float | str:
    """A value that JSON has: NaN and infinity are none."""
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return printable(str(value))


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    trace = record.exc_text or (
        formatter.formatException(record.exc_info) if record.exc_info else ""
    )
    return "\n".join(filter(None, (trace, record.stack_info))) or None
