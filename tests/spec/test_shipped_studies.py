from __future__ import annotations

import re
from pathlib import Path

import pytest

from autokd.spec import read_study
from autokd.spec.text import read_yaml

_ROOT = Path(__file__).parents[2]
_STUDIES = sorted((_ROOT / "studies").glob("*.yaml"))


@pytest.mark.parametrize("path", _STUDIES, ids=lambda path: path.stem)
def test_a_shipped_study_is_valid_and_named_after_its_file(path: Path) -> None:
    assert read_study(path).name == path.stem


@pytest.mark.parametrize("path", _STUDIES, ids=lambda path: path.stem)
def test_a_shipped_study_says_what_it_is_and_how_to_run_it(path: Path) -> None:
    header = path.read_text(encoding="utf-8").split("\nname:")[0]
    assert header.startswith("# What: ")
    assert f"# Run:  autokd search studies/{path.name}" in header
    assert "# Cost: " in header


def test_the_studies_in_the_readme_are_valid() -> None:
    readme = (_ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", readme, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        data, mistakes = read_yaml(block)
        assert mistakes == []
        read_study(data)
