"""From a study file, or the same as data, to a `StudySpec`: all mistakes at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autokd.errors import Mistake, SpecError, did_you_mean
from autokd.spec import names
from autokd.spec.mistakes import got, mistakes_in
from autokd.spec.models import StudySpec
from autokd.spec.plain import plain
from autokd.spec.text import read_json, read_yaml

_LARGEST_FILE = 1_000_000  # bytes


def read_study(source: Path | str | Mapping[str, Any]) -> StudySpec:
    """The study that a file describes, or that data of the same shape describes.

    Paths inside the study are kept as written; a relative one is relative to the folder that the
    study runs in.

    Args:
        source: path of a YAML file (JSON, if it ends in `.json`) of at most 1 MB, or a mapping.

    Raises:
        SpecError: the file cannot be read, or the study is wrong; lists every mistake.
    """
    if isinstance(source, Mapping):
        return _parse(source, "the study")
    label = str(source)
    try:
        text = _read(Path(source))
    except _UnreadableError as error:
        raise SpecError(label, [error.mistake]) from None
    data, mistakes = read_json(text) if label.endswith(".json") else read_yaml(text)
    if data is None and not mistakes:
        mistakes = [Mistake("", "expected the fields of a study; got an empty file", _START)]
    if data is None:
        raise SpecError(label, mistakes)
    return _parse(data, label, mistakes)


def study_schema() -> dict[str, Any]:
    """The JSON Schema of a study file, for editors and for people."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **StudySpec.model_json_schema(),
    }


_START = "studies/digits.yaml is a file to start from; `autokd spec schema` describes every field"


class _UnreadableError(Exception):
    """There is no text to parse."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.mistake = Mistake("", message, hint)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        raise _UnreadableError("expected a study file; got no such file", _nearest(path)) from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise _UnreadableError(f"expected a readable file; got: {reason}") from None
    if len(content) > _LARGEST_FILE:
        raise _UnreadableError("expected a study file of at most 1 MB; got a larger file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"0x{content[error.start]:02x} at byte {error.start}"
        raise _UnreadableError(f"expected UTF-8 text; got {byte}") from None


def _nearest(path: Path) -> str | None:
    """Names the file in the same folder whose name is nearest."""
    try:
        siblings = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return None
    return did_you_mean(path.name, siblings)


def _parse(data: Any, label: str, earlier: list[Mistake] | None = None) -> StudySpec:
    content, unfit = plain(data)
    mistakes = [*(earlier or []), *unfit]
    if not isinstance(content, dict):
        wrong = unfit or [Mistake("", f"expected a mapping of fields; got {got(content)}", _START)]
        raise SpecError(label, [*(earlier or []), *wrong])
    spec = None
    try:
        # Strict JSON: a list is a tuple, but `true` is not 1 and "3" is not 3.
        spec = StudySpec.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        mistakes += [
            mistake
            for mistake in mistakes_in(content, error)
            if not any(f"{mistake.path}.".startswith(f"{other.path}.") for other in unfit)
        ]
    mistakes += _unknown_space(content)
    if spec is None or mistakes:
        raise SpecError(label, mistakes)
    return spec


def _unknown_space(content: Mapping[str, Any]) -> list[Mistake]:
    """What is wrong with the name of the search space, if it is given at all."""
    space = content.get("space")
    name = space.get("name") if isinstance(space, dict) else None
    known = names.search_space_names()
    if not isinstance(name, str) or name in known:
        return []
    error = names.UnknownWordError(name, known)
    is_bare = not set(known) - {names.CUSTOM}
    hint = "no search space is installed: `pip install .`" if is_bare else error.hint
    return [Mistake("space.name", str(error), hint)]
