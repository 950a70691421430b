"""A student's folder: all of it, verified, or none of it; and back again."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
from pathlib import Path

import pytest
import torch

from autokd.errors import NotFoundError, UnknownNameError, VerificationError
from autokd.export import read_description, read_student, write_student
from autokd.export.formats import FORMATS


def write(example, folder, formats=("safetensors",), description=None):
    return write_student(
        example.student,
        description or example.description,
        folder,
        formats=formats,
        images=example.images,
    )


def test_all_formats_are_written_with_their_checksums_and_the_score(example, tmp_path):
    written = write(example, tmp_path / "out", formats=("onnx", "safetensors", "pt2"))
    files = {file["name"]: file for file in written["files"]}
    assert set(files) == {kind.file for kind in FORMATS.values()}
    for name, file in files.items():
        content = (tmp_path / "out" / name).read_bytes()
        assert file["bytes"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
    percent = f"{100 * example.description.recorded_accuracy:.2f} %"
    assert files["student.onnx"]["verified"] == f"test accuracy {percent}"
    assert files["student.safetensors"]["verified"] is None
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "onnxruntime.InferenceSession" in card
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "student.json",
        *files,
    }


def test_description_says_what_the_student_is_and_made_with_what(example, tmp_path):
    written = write(example, tmp_path)
    assert read_description(tmp_path) == written
    assert written["architecture"] == example.description.architecture.to_json()
    assert written["task"] == {"input_shape": [1, 6, 6], "classes": 3, "metric": "accuracy"}
    assert written["cost"]["parameters"] == 95
    assert written["spec"] == example.description.spec
    assert written["versions"].keys() >= {"python", "autokd", "torch", "onnx", "onnxruntime"}


def test_card_tells_people_how_good_and_how_to_use_it(example, tmp_path):
    write(example, tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# made-up: student of trial 7\n")
    assert "| parameters | 95 | 1,000 |" in card
    assert "| validation accuracy | 0.4000 | 0.9000 |" in card
    assert 'autokd.load_student(".")' in card
    assert "onnxruntime.InferenceSession" not in card
    assert "(batch, 1, 6, 6)" in card


def test_weights_are_written_even_if_only_a_program_is_asked_for(example, tmp_path):
    write(example, tmp_path, formats=("pt2",))
    assert (tmp_path / "student.safetensors").is_file()


def test_student_comes_back_and_computes_the_same(example, tmp_path):
    write(example, tmp_path)
    before = torch.random.get_rng_state()
    back = read_student(tmp_path, example.space)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not back.training
    pixels = torch.rand(5, 1, 6, 6)
    assert torch.equal(back(pixels), example.student(pixels))


def test_unknown_format_is_refused_before_anything_is_written(example, tmp_path):
    with pytest.raises(UnknownNameError, match="'onxx'"):
        write(example, tmp_path / "out", formats=("onxx",))
    assert not (tmp_path / "out").exists()


def test_program_that_computes_something_else_leaves_no_file(example, tmp_path, monkeypatch):
    """As if the exporter had got an operation wrong."""
    faithful = FORMATS["pt2"]

    def unfaithful(student, pixels):
        with torch.no_grad():
            student.network[-1].bias.add_(1)
            try:
                return faithful.dump(student, pixels)
            finally:
                student.network[-1].bias.sub_(1)

    monkeypatch.setitem(FORMATS, "pt2", dataclasses.replace(faithful, dump=unfaithful))
    with pytest.raises(VerificationError, match=r"student\.pt2: expected the student's logits"):
        write(example, tmp_path / "out", formats=("pt2",))
    assert list(tmp_path.iterdir()) == []


def test_score_that_is_not_the_recorded_one_is_refused(example, described, tmp_path):
    wrong = described(recorded_accuracy=example.description.recorded_accuracy + 0.1)
    with pytest.raises(VerificationError, match="expected the recorded test accuracy") as error:
        write(example, tmp_path / "out", formats=("pt2",), description=wrong)
    assert "data set changed" in (error.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_one_image_more_or_less_may_be_a_tie(example, described, tmp_path):
    off_by_one = example.description.recorded_accuracy + 1 / len(example.images)
    write(example, tmp_path, formats=("pt2",), description=described(recorded_accuracy=off_by_one))


def test_failed_export_leaves_an_older_one_untouched(example, described, tmp_path):
    before = write(example, tmp_path, formats=("pt2",))
    with pytest.raises(VerificationError):
        write(example, tmp_path, ("pt2",), described(recorded_accuracy=0.0))
    assert read_description(tmp_path) == before
    assert read_student(tmp_path, example.space)
    assert not list(tmp_path.glob(".writing-*"))


def test_newer_export_replaces_the_older_one_and_leaves_other_files(example, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    write(example, tmp_path, formats=("pt2",))
    write(example, tmp_path)
    assert not (tmp_path / "student.pt2").exists()
    assert (tmp_path / "student.safetensors").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_full_disk_leaves_nothing(example, tmp_path, monkeypatch):
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write(example, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# Reading what was damaged


def test_folder_without_a_student_is_said(tmp_path, example):
    with pytest.raises(NotFoundError, match=r"no student\.json there"):
        read_student(tmp_path, example.space)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "student.safetensors").unlink(),
        lambda folder: (folder / "student.safetensors").write_bytes(b""),
        lambda folder: _flip_last_byte(folder / "student.safetensors"),
        lambda folder: (folder / "student.json").write_text("{"),
        lambda folder: (folder / "student.json").write_text('{"format": 2}'),
        lambda folder: _change(
            folder, task={"input_shape": [1, 6, 6], "classes": 4, "metric": "x"}
        ),
    ],
    ids=["weights gone", "weights empty", "weights changed", "no JSON", "newer", "other task"],
)
def test_damaged_folder_is_refused(example, tmp_path, damage):
    write(example, tmp_path)
    damage(tmp_path)
    with pytest.raises(VerificationError) as error:
        read_student(tmp_path, example.space)
    assert "export it again" in (error.value.hint or "")


def _flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _change(folder: Path, **fields: object) -> None:
    path = folder / "student.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
