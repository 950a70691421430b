"""`autokd export` on a study that has been searched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autokd


@pytest.fixture
def export(run, own_copy):
    """`autokd export tiny … -o out`."""

    def export(*flags: object) -> Any:
        return run("export", "tiny", *flags, "-o", "out")

    return export


def test_best_student_is_exported_in_all_formats_and_scores_what_the_report_says(
    export, searched, tmp_path
):
    import onnxruntime
    import torch

    formats = [flag for name in ("onnx", "safetensors", "pt2") for flag in ("--format", name)]
    ended = export("--best", *formats, "--json")
    assert ended.code == 0
    (row,) = searched.summary["final"]
    assert ended.json["trial"] == row["trial"]
    assert ended.json["recorded_accuracy"] == row["test_accuracy"]
    assert ended.json == json.loads((tmp_path / "out" / "student.json").read_text())

    images, labels = _test_split(searched.folder / "tiny.json")
    session = onnxruntime.InferenceSession(tmp_path / "out" / "student.onnx")
    (logits,) = session.run(["logits"], {"images": images})
    right = int((logits.argmax(1) == labels).sum())
    assert right == pytest.approx(row["test_accuracy"] * len(labels), abs=1)
    for batch in (1, 7):
        (some,) = session.run(["logits"], {"images": images[:batch]})
        assert np.allclose(some, logits[:batch], atol=1e-3)
    with torch.no_grad():
        loaded = autokd.load_student(tmp_path / "out")(torch.from_numpy(images))
    assert np.allclose(loaded, logits, atol=1e-3)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "student.json",
        "student.onnx",
        "student.pt2",
        "student.safetensors",
    }


def _test_split(study: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 1, 8, 8) in [0, 1] and labels (n,) of the study's test split."""
    import torch

    from autokd.assemble import load_data

    spec = autokd.read_study(study)
    split = load_data(spec.data, spec.seed, torch.device("cpu")).test()
    pixels = split.fetch(torch.arange(len(split))).float() / 255
    return pixels.numpy(), split.labels.numpy()


def test_export_tells_people_what_it_wrote(export):
    ended = export("--best", "--format", "safetensors")
    assert ended.code == 0
    header, row = ended.out.splitlines()
    assert header.split() == ["name", "bytes", "verified"]
    assert row.split()[0] == "student.safetensors"
    assert "autokd.load_student('out')" in ended.err


def test_a_trial_is_exported_by_its_number(export, searched):
    numbers = [trial["trial"] for trial in searched.summary["front"]]
    ended = export("--trial", numbers[0], "--format", "safetensors", "--json")
    assert (ended.code, ended.json["trial"]) == (0, numbers[0])


def test_a_trial_that_was_not_retrained_is_scored_on_the_validation_split(export, run, searched):
    retrained = {row["trial"] for row in searched.summary["final"]}
    shown = run("study", "show", "tiny", "--storage", searched.storage, "--json").json
    other = next(
        trial
        for trial in shown["all_trials"]
        if trial["kind"] == "search" and trial["trial"] not in retrained
    )
    ended = export("--trial", other["trial"], "--format", "safetensors", "--json")
    assert ended.json["scored_on"] == "validation"
    assert ended.json["recorded_accuracy"] == other["figures"]["accuracy"]


def test_best_within_limits_is_within_them(export, run, searched):
    shown = run("study", "show", "tiny", "--storage", searched.storage, "--json").json
    complete = [
        trial["figures"]
        for trial in shown["all_trials"]
        if trial["kind"] == "search" and trial["state"] == "complete"
    ]
    smallest = min(figures["parameters"] for figures in complete)
    flags = ("--max-parameters", smallest, "--max-memory", "64KiB", "--format", "safetensors")
    ended = export("--best", *flags, "--json")
    assert ended.code == 0
    assert ended.json["cost"]["parameters"] == smallest


def test_program_that_does_not_compute_the_student_is_exit_7_and_leaves_no_file(
    export, tmp_path, monkeypatch
):
    """As if an operation had been exported wrongly: the biases of the file are off."""
    import dataclasses

    import onnx

    from autokd.export.formats import FORMATS

    faithful = FORMATS["onnx"]

    def tampered(student: Any, example: Any) -> bytes:
        model = onnx.load_from_string(faithful.dump(student, example))
        bias = next(weights for weights in model.graph.initializer if list(weights.dims) == [10])
        values = onnx.numpy_helper.to_array(bias) + 1
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        content: bytes = model.SerializeToString()
        return content

    monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(faithful, dump=tampered))
    ended = export("--best")
    assert (ended.code, ended.out) == (7, "")
    assert "error: student.onnx: expected the student's logits" in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "out").exists()


def test_study_is_exported_from_where_it_was_moved_to(run, searched, tmp_path):
    searched.copy_to(tmp_path / "elsewhere")
    storage = tmp_path / "elsewhere" / "autokd.db"
    flags = ("--best", "--format", "safetensors", "--storage", storage)
    assert run("export", "tiny", *flags, "-o", "out").code == 0
    assert Path("out/student.json").is_file()
