"""What importing autokd loads, and that the names it promises are there."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import autokd
import search_spaces

_SEARCH_CORE = (
    "autokd",
    "autokd.analysis",
    "autokd.budget",
    "autokd.card",
    "autokd.cli",
    "autokd.describing",
    "autokd.drawing.svg",
    "autokd.errors",
    "autokd.executors",
    "autokd.inspector",
    "autokd.multiobjective",
    "autokd.plot",
    "autokd.readable",
    "autokd.report",
    "autokd.seeding",
    "autokd.space",
    "autokd.spec",
    "autokd.store",
    "autokd.strategies",
    "autokd.study",
    "autokd.task",
    "autokd.trial",
)

_PACKAGES = (
    "autokd",
    "search_spaces",
    *(
        module.name
        for package in (autokd, search_spaces)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if module.ispkg
    ),
)


def _loaded_by(code: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter has loaded after `code`."""
    report = "import sys; print('\\n' + ' '.join({name.split('.')[0] for name in sys.modules}))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(result.stdout.splitlines()[-1].split())


def test_importing_autokd_loads_nothing_heavy() -> None:
    heavy = {"alembic", "matplotlib", "numpy", "optuna", "pydantic", "sqlalchemy", "torch"}
    assert not heavy & _loaded_by("import autokd")


def test_importing_the_search_core_does_not_load_torch() -> None:
    loaded = _loaded_by("\n".join(f"import {name}" for name in _SEARCH_CORE))
    assert not {"botorch", "matplotlib", "onnx", "torch", "torchvision"} & loaded


def test_assembling_a_search_loads_no_library_of_a_single_strategy() -> None:
    heavy = {"ax", "botorch", "cmaes", "gpytorch", "optunahub", "smac"}
    assert not heavy & _loaded_by("import autokd.assemble")


def test_reading_a_study_does_not_load_torch() -> None:
    code = "import autokd\ntry: autokd.read_study({})\nexcept autokd.AutokdError: pass"
    assert not {"optuna", "search_spaces", "torch"} & _loaded_by(code)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["search", "--help"]])
def test_help_is_shown_without_loading_torch(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['autokd', *{arguments}]\n"
        "from autokd.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code"
    )
    assert not {"alembic", "optuna", "sqlalchemy", "torch"} & _loaded_by(code)


@pytest.mark.parametrize("name", _PACKAGES)
def test_what_a_package_promises_is_there(name: str) -> None:
    package = importlib.import_module(name)
    promised = getattr(package, "__all__", [])
    assert len(set(promised)) == len(promised)
    assert [each for each in promised if not hasattr(package, each)] == []
