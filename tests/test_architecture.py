"""Promises of ARCHITECTURE.md that are about who may call what."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]


def _contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return contracts


def _modules() -> set[str]:
    """The packages and modules directly below `autokd`, and `search_spaces`."""
    inside = {
        f"autokd.{path.stem}"
        for path in (_ROOT / "autokd").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    return {*inside, "search_spaces"} - {"autokd.__init__", "autokd.__main__"}


def _calls(folder: str) -> Iterator[tuple[Path, ast.Call]]:
    for path in (_ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path, node


def test_imports_point_down_only() -> None:
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    result = subprocess.run(
        [sys.executable, "-c", command], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_module_has_its_place_in_the_layers() -> None:
    placed = {
        module.strip()
        for contract in _contracts()
        if contract["type"] == "layers"
        for layer in contract["layers"]
        for module in layer.split("|")
    }
    assert placed == _modules() - {"search_spaces"}


def test_every_module_but_the_store_is_kept_from_the_database() -> None:
    (contract,) = (
        each for each in _contracts() if "sqlalchemy" in each.get("forbidden_modules", ())
    )
    assert set(contract["source_modules"]) == (_modules() | {"service"}) - {"autokd.store"}


def test_torch_loads_weights_only() -> None:
    loads = [
        (path, call)
        for folder in ("autokd", "search_spaces", "service")
        for path, call in _calls(folder)
        if ast.unparse(call.func) == "torch.load"
    ]
    assert loads
    for path, call in loads:
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("weights_only") == "True", f"{path}:{call.lineno}"
