"""Pydantic's findings in the project's words: what was expected, what was got, what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from autokd.errors import Mistake, did_you_mean
from autokd.spec.models import StudySpec
from autokd.spec.names import UnknownWordError

Path = tuple[str | int, ...]

_EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path, as text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of fields",
    "model_type": "a mapping of fields",
    "model_attributes_type": "a mapping of fields",
}
_BOUNDS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}
_MISSING = "expected a value; got nothing"
_LONGEST_ECHO = 60


def mistakes_in(data: Any, error: ValidationError) -> list[Mistake]:
    """Everything that pydantic found wrong in `data`, one mistake for one cause."""
    found = [(path_of(details, data), details) for details in error.errors()]
    paths = [path for path, _ in found]
    mistakes = {
        path: _mistake(path, details, data)
        for path, details in found
        # A list whose items are all wrong is to pydantic also one that is too short.
        if not (details["type"] == "too_short" and _has_longer(paths, path))
    }
    misspelt = {_sibling(path, mistakes[path].hint) for path in mistakes}
    return [
        mistake
        for path, mistake in mistakes.items()
        if not (path in misspelt and mistake.message == _MISSING)
    ]


def path_of(details: ErrorDetails, data: Any) -> Path:
    """Where a finding is, as keys and indices of `data`.

    Pydantic names the chosen member of a union in between; what is not in the data is that, or
    the last part of a field that is missing.
    """
    location = details["loc"]
    path: list[str | int] = []
    here = data
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(part, int) and isinstance(here, list) and part < len(here):
            here = here[part]
        elif isinstance(part, str) and isinstance(here, dict) and part in here:
            here = here[part]
        elif not (last and details["type"] == "missing"):
            continue
        path.append(part)
    if details["type"].startswith("union_tag") and isinstance(here, dict):
        path.append("name")
    return tuple(path)


def dotted(path: Iterable[str | int]) -> str:
    """A path as it is shown: `distillation.losses.0.temperature`."""
    return ".".join(map(str, path))


def got(value: Any) -> str:
    """A value as it is echoed in a message, short and on one line."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing (null)"
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=repr)
    return text if len(text) <= _LONGEST_ECHO else f"{text[: _LONGEST_ECHO - 1]}…"


def _mistake(path: Path, details: ErrorDetails, data: Any) -> Mistake:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    where = dotted(path)
    if kind == "value_error":
        cause = context["error"]
        return Mistake(where, str(cause), getattr(cause, "hint", None))
    if kind in ("missing", "union_tag_not_found"):
        return Mistake(where, _MISSING)
    if kind == "extra_forbidden":
        return _unknown_field(path, data)
    if kind in ("literal_error", "union_tag_invalid"):
        word = value if kind == "literal_error" else context["tag"]
        return _unknown_word(where, word, context.get("expected") or context["expected_tags"])
    if kind in _BOUNDS:
        return Mistake(where, f"expected {_bounded(kind, context)}; got {got(value)}")
    if kind == "too_short":
        return Mistake(where, f"expected at least {context['min_length']} in the list; got none")
    hint = "put it in quotes" if kind == "string_type" and isinstance(value, int | float) else None
    expected = _EXPECTED.get(kind) or f"a valid value ({details['msg']})"
    return Mistake(where, f"expected {expected}; got {got(value)}", hint)


def _bounded(kind: str, context: Mapping[str, Any]) -> str:
    """`a positive integer`, `a number < 1`; pydantic gives the bound in the field's own type."""
    key, sign = _BOUNDS[kind]
    bound = context[key]
    noun = "integer" if isinstance(bound, int) else "number"
    if kind == "greater_than" and bound == 0:
        return f"a positive {noun}"
    if noun == "integer":
        return f"an integer {sign} {bound}"
    return f"a number {sign} {bound:g}"


def _unknown_word(where: str, word: Any, listed: str) -> Mistake:
    known = re.findall(r"'([^']*)'", listed)
    if not isinstance(word, str):
        return Mistake(where, f"expected one of {', '.join(map(repr, known))}; got {got(word)}")
    error = UnknownWordError(word, known)
    return Mistake(where, str(error), error.hint)


def _unknown_field(path: Path, data: Any) -> Mistake:
    known = fields_at(path[:-1], data)
    near = did_you_mean(str(path[-1]), known)
    return Mistake(dotted(path), "unknown field", near or f"known here: {', '.join(known)}")


def fields_at(path: Path, data: Any) -> list[str]:
    """Names of the fields that the mapping at `path` of `data` may have, in their order."""
    models: list[type[BaseModel]] = [StudySpec]
    for part in path:
        data = data[part]
        if isinstance(part, str):
            fields = [model.model_fields[part] for model in models if part in model.model_fields]
            models = [model for field in fields for model in _models(field.annotation)]
    name = data.get("name") if isinstance(data, dict) else None
    named = [model for model in models if name in _words(model)]
    others = [model for model in models if not _words(model)]
    chosen = named or others or models
    return list(dict.fromkeys(field for model in chosen for field in model.model_fields))


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that occur in an annotation: itself, or members of its unions and tuples."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _words(model: type[BaseModel]) -> tuple[Any, ...]:
    """What the model's `name` may be, if it is one of a few words that tell it from others."""
    field = model.model_fields.get("name")
    annotation: Any = field.annotation if field else None
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _has_longer(paths: Iterable[Path], path: Path) -> bool:
    return any(len(other) > len(path) and other[: len(path)] == path for other in paths)


def _sibling(path: Path, hint: str | None) -> Path | None:
    """Path of the field that a hint proposes instead of the last part of `path`."""
    proposed = re.fullmatch(r"did you mean '(.*)'\?", hint or "")
    return (*path[:-1], proposed[1]) if proposed and path else None
