"""Logs are one line of JSON each, or readable on a terminal, and nothing in them is acted upon."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import math
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from service.logs import configuration, request_id, request_id_of
from service.tokens import new_token

_TOKEN = new_token()
_REORDERING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.fixture
def _restored() -> Iterator[None]:
    names = ("", "autokd", "service", "uvicorn")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def _log(human: bool, *arguments: Any, name: str = "service.app", **options: Any) -> str:
    """What one call writes."""
    stream = io.StringIO()
    settings = configuration(human=human)
    settings["handlers"]["stderr"]["stream"] = stream
    logging.config.dictConfig(settings)
    logging.getLogger(name).warning(*arguments, **options)
    return stream.getvalue()


pytestmark = pytest.mark.usefixtures("_restored")


def test_a_line_of_json_says_when_who_what_and_for_which_request() -> None:
    token = request_id.set("req-1")
    line = _log(False, "study %s", "std_1", extra={"status": 201, "seconds": 0.25, "none": None})
    request_id.reset(token)
    assert line.count("\n") == 1
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "warning",
        "logger": "service.app",
        "message": "study std_1",
        "request_id": "req-1",
        "status": 201,
        "seconds": 0.25,
    }


def test_a_trace_is_part_of_its_line() -> None:
    try:
        raise ValueError(f"bad {_TOKEN}")
    except ValueError:
        line = _log(False, "failed", exc_info=True)
    found = json.loads(line)
    assert found["exception"].endswith("ValueError: bad akd_***")


def test_extra_fields_do_not_pass_for_the_lines_own() -> None:
    extra = {"level": "info", "request_id": "forged", "rate": math.nan, "what": [_TOKEN]}
    found = json.loads(_log(False, "x", extra=extra))
    assert found["level"] == "warning"
    assert "request_id" not in found or found["request_id"] != "forged"
    assert (found["rate"], found["what"]) == ("nan", "['akd_***']")


def test_a_readable_line_marks_its_request_and_extra() -> None:
    token = request_id.set("req-1")
    line = _log(True, "study %s", "std_1", extra={"status": 201})
    request_id.reset(token)
    assert line.endswith("Z WARNING  service.app: study std_1 [request=req-1 status=201]\n")


def test_no_message_passes_for_another_line_of_a_terminal() -> None:
    forged = "name\n2030-01-01T00:00:00.000Z INFO     service.app: forged \x1b[2J\r\x9b\u202e"
    first, second = _log(True, "%s", forged).splitlines()
    assert first.endswith("service.app: name")
    assert second.startswith("    2030")
    assert second.endswith(r"forged \x1b[2J\r\x9b\u202e")


@given(st.text())
def test_what_is_printed_holds_no_control_characters(text: str) -> None:
    for human in (True, False):
        shown = _log(human, "%s", text, extra={"extra": text}).replace("\n", "").replace("\t", "")
        assert not {"Cc", "Cs", "Zl", "Zp"} & set(map(unicodedata.category, shown))
        assert not _REORDERING & set(map(unicodedata.bidirectional, shown))


def test_libraries_that_log_the_urls_they_call_are_silent() -> None:
    stream = io.StringIO()
    settings = configuration(human=True)
    settings["handlers"]["stderr"]["stream"] = stream
    logging.config.dictConfig(settings)
    logging.getLogger("httpx").info("HTTP Request: POST https://hooks.example/secret-path")
    logging.getLogger("service.app").info("seen")
    assert stream.getvalue().count("\n") == 1


def test_uvicorn_takes_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    settings = configuration(human=False)
    uvicorn.Config("service:none", log_config=settings, access_log=False, log_level="info")
    logging.getLogger("uvicorn.error").info("started %s", "\x1b[1m", extra={"color_message": "x"})
    found = json.loads(capsys.readouterr().err)
    assert (found["message"], found["level"]) == (r"started \x1b[1m", "info")
    assert "color_message" not in found


def test_json_is_for_what_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(configuration())
    logging.getLogger("service").warning("x")
    assert json.loads(capsys.readouterr().err)["message"] == "x"


@pytest.mark.parametrize("given", ["abc", "0f-1_2.3", "a" * 64])
def test_a_request_keeps_the_id_that_it_came_with(given: str) -> None:
    assert request_id_of(given) == given


@pytest.mark.parametrize("given", [None, "", "a b", "a\n", "-a", "a" * 65, "\u0661", "<x>"])
def test_a_request_without_an_id_gets_a_new_one(given: str | None) -> None:
    assert request_id_of(given) != request_id_of(given)
