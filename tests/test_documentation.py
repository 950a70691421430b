"""What the documents say is so: programs run, files parse, fields are described, links lead on."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import BaseModel

import autokd
from autokd.spec import models, read_study

_ROOT = Path(__file__).parents[1]
_DOCUMENTS = sorted([*_ROOT.glob("*.md"), *(_ROOT / "docs").glob("*.md")])


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of one language in a document."""
    text = document.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def described() -> Iterator[tuple[str, str, str]]:
    """Every field of every part of a study file: part, name, description."""
    for name in models.__all__:
        part = getattr(models, name)
        if isinstance(part, type) and issubclass(part, BaseModel) and part is not models.StudySpec:
            for field, info in part.model_fields.items():
                yield name, field, info.description or ""
    for field, info in models.StudySpec.model_fields.items():
        yield "StudySpec", field, info.description or ""


@pytest.mark.slow
def test_the_python_program_of_the_documentation_runs(tmp_path: Path) -> None:
    (program,) = (
        block for block in blocks(_ROOT / "docs" / "python.md", "python") if "def main" in block
    )
    (tmp_path / "bands.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "bands.py"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^trial \d+: [01]\.\d\d accuracy, \d+ parameters$", done.stdout, re.M)
    assert (tmp_path / "student" / "student.json").is_file()


@pytest.mark.slow
def test_a_table_and_a_strategy_of_ones_own_can_be_played(tmp_path: Path) -> None:
    (program,) = (
        block for block in blocks(_ROOT / "docs" / "search.md", "python") if "tabulated" in block
    )
    (tmp_path / "mine.py").write_text(program, encoding="utf-8")
    cells = np.array(list(itertools.product(["none", "skip", "conv"], repeat=6)))
    convolutions = (cells == "conv").sum(axis=1)
    accuracy = 90 + convolutions + np.random.default_rng(0).random((2, len(cells)))
    np.savez(
        tmp_path / "cells.npz",
        operations=cells,
        parameters=100_000 * (1 + convolutions),
        accuracy=accuracy.T,
    )
    done = subprocess.run(
        [
            *(sys.executable, _ROOT / "benchmarks" / "search.py", "--problems", "mine:cells"),
            *("--data", tmp_path, "--strategies", "mine:sooner", "--json", "figures.json"),
            *("--seeds", "1", "--evaluations", "12", "--processes", "1"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (played,) = json.loads((tmp_path / "figures.json").read_text())
    assert played["feasible"] == 1
    assert played["regret"][-1] < 1  # within the limit four are convolutions, which bring one each


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_python_in_documents_is_python(document: Path) -> None:
    for block in blocks(document, "python"):
        ast.parse(block)


def test_study_of_the_readme_is_the_one_that_make_search_runs() -> None:
    (text,) = blocks(_ROOT / "README.md", "yaml")
    shown = yaml.safe_load(text)
    read_study(shown)
    assert shown.keys() <= models.StudySpec.model_fields.keys()


@pytest.mark.parametrize("study", sorted((_ROOT / "studies").glob("*.yaml")), ids=lambda p: p.name)
def test_studies_can_be_read_and_bear_the_name_of_their_file(study: Path) -> None:
    assert read_study(study).name == study.stem


def test_every_field_of_the_study_file_is_described() -> None:
    text = (_ROOT / "docs" / "study-file.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    missing = [
        f"{part}.{field}: {description}"
        for part, field, description in described()
        if not any(row.startswith(f"| `{field}` |") and description in row for row in rows)
    ]
    assert missing == []


def test_mistakes_are_reported_as_the_documentation_shows(tmp_path: Path) -> None:
    document = _ROOT / "docs" / "study-file.md"
    (study,) = (block for block in blocks(document, "yaml") if "digitz" in block)
    (console,) = (block for block in blocks(document, "console") if "broken.yaml" in block)
    (tmp_path / "broken.yaml").write_text(study, encoding="utf-8")
    with pytest.raises(autokd.AutokdError) as refused:
        read_study(tmp_path / "broken.yaml")
    message = refused.value.message.replace(f"{tmp_path}{os.sep}", "")
    assert console == f"$ autokd check broken.yaml\nerror: {message}\n"


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)#\s]+)", text)
    broken = [
        link
        for link in links
        if not link.startswith(("http://", "https://", "mailto:"))
        and not (document.parent / link).exists()
    ]
    assert broken == []


def test_every_test_that_the_architecture_names_exists() -> None:
    text = (_ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for name in re.findall(r"`(tests/[\w/.]+|autokd/[\w/.]+)`", text):
        assert (_ROOT / name).exists(), name


def test_the_package_has_what_it_promises_and_no_more() -> None:
    assert sorted(autokd.__all__) == autokd.__all__ == dir(autokd)
    for name in autokd.__all__:
        assert getattr(autokd, name) is not None
    homes = autokd._HOMES
    assert {*homes, "__version__"} == set(autokd.__all__)
    assert all(getattr(importlib.import_module(home), name) for name, home in homes.items())
    with pytest.raises(AttributeError, match="no attribute 'assemble_studdy'"):
        _ = autokd.assemble_studdy
