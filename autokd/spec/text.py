"""YAML and JSON text as plain data, with a mistake for every key that is given twice."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from autokd.errors import Mistake

_TAG = "tag:yaml.org,2002:"
_PLAIN_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+(_[0-9]+)*", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
)


def read_yaml(text: str) -> tuple[Any, list[Mistake]]:
    """The data of a YAML document, and what is wrong with it as far as it can be read.

    Unquoted words are read by the core schema of YAML 1.2: `1e-3` is a number, `no` and
    `2026-01-31` are text.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return (None, []) if node is None else (loader.construct_document(node), _repeats(node))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = " ".join(filter(None, (error.context, error.problem)))
        return None, [Mistake("", f"expected YAML; got, in {where}{problem}")]
    # PyYAML's own constructors let these out when a value does not fit its explicit tag
    # (`!!bool maybe`, `!!int ''`), and Python when a document is nested too deeply.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        return None, [Mistake("", f"expected YAML; got what cannot be read: {error}")]


def read_json(text: str) -> tuple[Any, list[Mistake]]:
    """The data of a JSON document, and what is wrong with it as far as it can be read."""
    mistakes = []

    def join(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        joined: dict[str, Any] = {}
        for key, value in pairs:
            if key in joined:
                mistakes.append(Mistake(key, "expected each field once; got it twice"))
            joined[key] = value
        return joined

    try:
        return json.loads(text, object_pairs_hook=join), mistakes
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        return None, [Mistake("", f"expected JSON; got, in {where}: {error.msg}")]
    except (ValueError, RecursionError) as error:
        return None, [Mistake("", f"expected JSON; got what cannot be read: {error}")]


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's idea of plain scalars."""

    yaml_implicit_resolvers: dict[str, Any] = {}


for _name, _pattern, _first in _PLAIN_SCALARS:
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"(?:{_pattern})$"), _first)
_Loader.add_constructor(f"{_TAG}int", lambda loader, node: int(node.value))
_Loader.add_constructor(f"{_TAG}float", lambda loader, node: float(node.value))


def _repeats(root: yaml.Node) -> list[Mistake]:
    """A mistake for each key that repeats an earlier one of its mapping."""
    mistakes = []
    waiting: list[tuple[tuple[str, ...], yaml.Node]] = [((), root)]
    seen = set()  # an alias leads to its anchor's node again
    while waiting:
        path, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [((*path, str(i)), item) for i, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if name in lines:
                    message = f"expected each field once; got it in lines {lines[name]} and {line}"
                    mistakes.append(Mistake(".".join((*path, name)), message))
                lines[name] = line
                waiting.append(((*path, name), value))
    return mistakes
