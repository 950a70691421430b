"""Writes `service/dashboard/core/contract.d.ts`: what the API answers, as types for the dashboard.

Usage:
    python tools/dashboard_types.py

Each schema of `service/openapi.json` becomes an exported type of the same name.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

SERVICE = Path(__file__).resolve().parent.parent / "service"
DOCUMENT = SERVICE / "openapi.json"
TYPES = SERVICE / "dashboard" / "core" / "contract.d.ts"
HEAD = "/** What the API answers. Made from service/openapi.json by tools/dashboard_types.py. */\n"
PLAIN = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def main() -> None:
    """Writes the file."""
    TYPES.write_text(types(json.loads(DOCUMENT.read_text(encoding="utf-8"))), encoding="utf-8")


def types(document: dict[str, Any]) -> str:
    """The TypeScript that says the same as a document's schemas."""
    schemas = document["components"]["schemas"]
    return HEAD + "".join(
        f"\n{_comment(schema, '')}export type {name} = {_type(schema, '')};\n"
        for name, schema in schemas.items()
    )


def _type(schema: dict[str, Any], indent: str) -> str:
    """The type of a schema, on as many lines as it has properties."""
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    if "const" in schema or "enum" in schema:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        return " | ".join(json.dumps(value) for value in values)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(one, indent) for one in schema["anyOf"]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": one}, indent) for one in kind)
    if kind == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(_type(one, indent) for one in schema['prefixItems'])}]"
        item = _type(schema.get("items", {}), indent)
        return f"({item})[]" if " | " in item else f"{item}[]"
    return _object(schema, indent) if kind == "object" else PLAIN.get(kind or "", "any")


def _object(schema: dict[str, Any], indent: str) -> str:
    """Named properties, or a record; both where a schema allows more than it names."""
    inner = indent + "  "
    required = schema.get("required", [])
    lines = [
        f"{_comment(one, inner)}{inner}{_name(name)}{'' if name in required else '?'}: "
        f"{_type(one, inner)};\n"
        for name, one in schema.get("properties", {}).items()
    ]
    more = schema.get("additionalProperties")
    # Beside named properties an index would have to hold their types too.
    if more and (lines or more is True):
        lines.append(f"{inner}[more: string]: any;\n")
    elif more:
        return f"Record<string, {_type(more, indent)}>"
    return f"{{\n{''.join(lines)}{indent}}}" if lines else "Record<string, any>"


def _name(name: str) -> str:
    return name if re.fullmatch(r"\w+", name) else json.dumps(name)


def _comment(schema: dict[str, Any], indent: str) -> str:
    text = " ".join(schema.get("description", "").split())
    return f"{indent}/** {text.replace('*/', '*')} */\n" if text else ""


if __name__ == "__main__":
    main()
