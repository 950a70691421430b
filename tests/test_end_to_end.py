"""The study that `make search` runs, as it stands in the README: what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_study_of_the_readme_finds_a_small_student_as_good_as_its_teacher(
    tmp_path: Path,
) -> None:
    """A tenth of the parameters, a third of the memory, within half a point of the teacher."""
    study = _ROOT / "studies" / "digits.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "autokd", "search", str(study), "--json", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    teacher = summary["teacher"]
    assert summary["trials"]["failed"] == 0
    best = summary["final"][0]
    assert best["seeds"] >= 2
    assert best["parameters"] <= 0.1 * teacher["parameters"]
    assert best["peak_activation_bytes"] <= teacher["peak_activation_bytes"] / 3
    assert best["test_accuracy"] >= teacher["test_accuracy"] - 0.005
    assert "baseline_test_accuracy" in best

    export = [sys.executable, "-m", "autokd", "export", "digits", "--best", "-o", "out"]
    subprocess.run(export, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    written = json.loads((tmp_path / "out" / "student.json").read_text())
    assert written["scored_on"] == "test"
    onnx = next(file for file in written["files"] if file["name"] == "student.onnx")
    assert onnx["accuracy"] == pytest.approx(written["recorded_accuracy"], abs=0.003)
