"""What people get wrong and what machines do to them: one clear message, a code, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def with_field(spec: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of a spec in which the field at a dotted path has another value."""
    changed = json.loads(json.dumps(spec))
    here: Any = changed
    *way, last = path.split(".")
    for key in way:
        here = here[int(key)] if isinstance(here, list) else here.setdefault(key, {})
    here[last] = value
    return changed


@pytest.fixture
def write(tmp_path: Path, tiny_spec: dict[str, Any]):
    """Writes the tiny study with some fields changed, by dotted path."""

    def write(**fields: Any) -> str:
        spec = tiny_spec
        for path, value in fields.items():
            spec = with_field(spec, path.replace("__", "."), value)
        (tmp_path / "study.json").write_text(json.dumps(spec), encoding="utf-8")
        return "study.json"

    return write


def assert_refused(ended: Any, code: int, *words: str) -> None:
    """One message that holds the words and no traceback, nothing on stdout, and the code."""
    assert ended.out == ""
    assert all(word in ended.err for word in words), ended.err
    assert ended.err.startswith("error: "), ended.err
    assert ended.err.count("error: ") == 1
    assert "Traceback" not in ended.err
    assert ended.code == code


NPZ = {"name": "npz", "path": "images.npz"}
FOLDER = {"name": "image_folder", "root": "images", "image_size": 8}
FASHION = {"name": "fashion_mnist", "root": "images"}


# What is wrong, the field, its value, the exit code, and what the message says.
WRONG_STUDIES = {
    "unknown space": ("space.name", "hierarchical_grap", 2, "did you mean 'hierarchical_graph'"),
    "unknown option of the space": (
        "space.top_node",
        [3, 4],
        2,
        "space.top_node",
        "did you mean 'top_nodes'",
    ),
    "range of the space upside down": ("space.top_nodes", [5, 3], 2, "top_nodes", "[5, 3]"),
    "unknown loss": ("distillation.losses.0.name", "kdd", 2, "did you mean 'kd'"),
    "unknown strategy": ("strategy", {"name": "tpee"}, 2, "strategy", "did you mean 'tpe'"),
    "unknown sampler": (
        "strategy",
        {"name": "optuna", "sampler": "TPESample"},
        2,
        "did you mean 'TPESampler'",
    ),
    "unknown option of the sampler": (
        "strategy",
        {"name": "tpe", "options": {"n_startup": 3}},
        2,
        "n_startup",
    ),
    "unknown data set": ("data.name", "digit", 2, "did you mean 'digits'"),
    "unknown teacher": ("teacher.model", "resnet21", 2, "'resnet20'", "did you mean"),
    "unknown torchvision teacher": (
        "teacher.model",
        "torchvision/resnet19",
        2,
        "did you mean 'resnet18'?",
    ),
    "unknown field": ("limits.trails", 3, 2, "limits.trails", "did you mean 'trials'"),
    "unknown metric": ("objectives.0.metric", "acuracy", 2, "did you mean 'accuracy'"),
    "objects that only Python has": ("data", {"name": "custom"}, 2, "data=..."),
    "teacher that only Python has": ("teacher.model", "custom", 2, "teacher=..."),
    "space that only Python has": ("space.name", "custom", 2, "space=..."),
    "missing archive": ("data", NPZ, 2, "images.npz"),
    "missing torchvision set": ("data", FASHION, 2, "images", "download: true"),
    "missing image folder": ("data", FOLDER, 2, "images"),
    "missing weights": ("teacher.weights", "teacher.safetensors", 2, "teacher.safetensors"),
}


@pytest.mark.parametrize("case", WRONG_STUDIES)
@pytest.mark.parametrize("command", ["check", "search"])
def test_wrong_study_is_refused(run, write, tmp_path, command, case):
    field, value, code, *words = WRONG_STUDIES[case]
    ended = run(command, write(**{field: value}))
    assert_refused(ended, code, *words)
    assert not (tmp_path / "autokd.files" / "studies" / "1" / "trials").exists()


def test_all_mistakes_are_reported_at_once(run, write):
    ended = run(
        "search",
        write(
            **{
                "limits.trails": 3,
                "teacher.model": "resnet21",
                "budget.parameters": "20 potatoes",
                "fidelity.min_epochs": 0,
            }
        ),
    )
    assert_refused(ended, 2, "4 mistakes", "limits.trails", "teacher.model", "fidelity.min_epochs")
    assert "budget.parameters" in ended.err


# Data


def archive(**changes: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(256, size=(40, 8, 8), dtype=np.uint8),
        "y_train": np.arange(40) % 2,
        "x_test": rng.integers(256, size=(10, 8, 8), dtype=np.uint8),
        "y_test": np.arange(10) % 2,
    }
    return {name: value for name, value in {**arrays, **changes}.items() if value is not None}


WRONG_ARCHIVES = {
    "array missing": (archive(y_test=None), "y_test"),
    "labels of another length": (archive(y_train=np.arange(39) % 2), "y_train", "39"),
    "images not uint8": (archive(x_train=np.zeros((40, 8, 8))), "x_train", "uint8"),
    "images of another shape": (archive(x_test=np.zeros((10, 9, 8), np.uint8)), "(9, 8)"),
    "objects": (archive(x_train=np.array([{}] * 40, dtype=object)), "x_train"),
}


@pytest.mark.parametrize("case", WRONG_ARCHIVES)
def test_wrong_archive_is_refused(run, write, tmp_path, case):
    arrays, *words = WRONG_ARCHIVES[case]
    np.savez(tmp_path / "images.npz", **arrays)
    assert_refused(run("check", write(data=NPZ)), 2, "images.npz", *words)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_corrupt_archive_is_refused(run, write, tmp_path, content):
    (tmp_path / "images.npz").write_bytes(content)
    assert_refused(run("check", write(data=NPZ)), 2, "images.npz")


def test_archive_cut_off_in_the_middle_is_refused(run, write, tmp_path):
    np.savez(tmp_path / "images.npz", **archive())
    whole = (tmp_path / "images.npz").read_bytes()
    (tmp_path / "images.npz").write_bytes(whole[: len(whole) // 2])
    assert_refused(run("check", write(data=NPZ)), 2, "images.npz")


def test_corrupt_torchvision_set_is_refused(run, write, tmp_path):
    raw = tmp_path / "images" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0\0\0\x05")
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x05\0\0\0\0\0")
    assert_refused(run("check", write(data=FASHION)), 2, "images")


def test_corrupt_image_is_refused_by_name(run, write, tmp_path):
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            folder = tmp_path / "images" / split / label
            folder.mkdir(parents=True)
            for n in range(4):
                (folder / f"{n}.png").write_bytes(b"\x89PNG no picture")
    assert_refused(run("check", write(data=FOLDER)), 2, "png")


def test_image_folder_without_classes_is_refused(run, write, tmp_path):
    for split in ("train", "test"):
        (tmp_path / "images" / split).mkdir(parents=True)
    assert_refused(run("check", write(data=FOLDER)), 2, "images")


# Teacher


def test_weights_that_are_no_safetensors_are_refused(run, write, tmp_path):
    (tmp_path / "teacher.safetensors").write_bytes(b"no weights")
    ended = run("search", write(**{"teacher.weights": "teacher.safetensors"}))
    assert_refused(ended, 2, "teacher.safetensors", "safetensors")


def test_weights_of_another_network_are_refused(run, write, tmp_path):
    import torch
    from safetensors.torch import save_file

    save_file({"conv.weight": torch.zeros(3)}, tmp_path / "teacher.safetensors")
    ended = run("search", write(**{"teacher.weights": "teacher.safetensors"}))
    assert_refused(ended, 2, "teacher.safetensors", "do not fit", "conv1.weight")


def test_teacher_that_diverges_ends_the_search(run, write):
    ended = run("search", write(**{"teacher.training.learning_rate": 1e9}))
    assert ended.out == ""
    assert "error: the training of teacher resnet8 failed" in ended.err
    assert "hint: lower teacher.training.learning_rate" in ended.err
    assert ended.code == 2
    assert run("study", "list", "--json").json[0]["state"] == "failed"


def test_study_that_failed_before_its_first_trial_may_be_mended(run, write, monkeypatch):
    monkeypatch.setattr("autokd.strategies.feasible._ROUNDS", 1)
    assert run("search", write(**{"teacher.weights": "missing.safetensors"})).code == 2
    assert_refused(run("search", write(**{"budget.macs": 1})), 6, "macs")


# Budget


def test_impossible_budget_is_said_by_check_with_what_is_over_and_by_how_much(run, write):
    ended = run("check", write(**{"budget.macs": 100}), "--samples", 10)
    assert ended.code == 6
    assert "feasible: 0 %" in ended.out
    assert "nothing sampled fits the budget; the nearest has" in ended.out
    assert "x the limit of macs" in ended.out
    as_json = run("check", "study.json", "--samples", 10, "--json")
    assert as_json.code == 6
    assert as_json.json["feasible_share"] == 0
    assert "x the limit of macs" in as_json.json["nearest"]


def test_impossible_budget_ends_the_search_before_any_training(run, write, tmp_path, monkeypatch):
    monkeypatch.setattr("autokd.strategies.feasible._ROUNDS", 1)
    ended = run("search", write(budget={"parameters": 1}))
    assert_refused(ended, 6, "x the limit of parameters", "hint: raise the limit")
    (study,) = run("study", "list", "--json").json
    assert (study["state"], study["stop_reason"]) == ("stopped", "nothing_feasible")
    assert not (tmp_path / "autokd.files" / "teachers").exists()
    assert not (tmp_path / "autokd.files" / "studies" / "1" / "trials").exists()


# Training


def test_diverging_students_are_data_and_too_many_end_the_search(run, write):
    study = write(**{"training.learning_rate": 1e9, "limits": {"trials": 6, "failures": 1}})
    ended = run("search", study, "--json")
    assert ended.code == 8
    assert ended.json["stop_reason"] == "failures"
    assert ended.json["trials"]["failed"] == 2
    assert "2 trials failed, more than limits.failures bears" in ended.err
    assert "autokd trial logs" in ended.err
    shown = run("trial", "show", "tiny", 0, "--json").json
    assert shown["state"] == "failed"
    assert shown["failure"]["class"] == "nan"
    assert "failed (nan): " in run("trial", "show", "tiny", 0).out
    assert "nan" in run("trial", "logs", "tiny", 0).out


def test_search_in_which_every_trial_fails_has_failed(run, write):
    study = write(**{"training.learning_rate": 1e9, "limits": {"trials": 2}})
    for _ in range(2):  # the second finds nothing to do
        ended = run("search", study)
        assert ended.code == 8
        assert "2 trials failed, none finished" in ended.err
        assert "why: autokd study show tiny, then autokd trial logs" in ended.err


# The record


@pytest.mark.parametrize("command", [("study", "list"), ("front", "tiny"), ("db", "upgrade")])
def test_a_database_that_is_not_there_is_not_found(run, tmp_path, command):
    assert_refused(run(*command), 3, "there is no database", "autokd.db")
    assert list(tmp_path.iterdir()) == []


def test_database_of_a_newer_version_is_left_alone(run, own_copy):
    with sqlite3.connect(own_copy / "autokd.db") as connection:
        connection.execute("UPDATE autokd_version SET version_num = '9999'")
    connection.close()
    for command in (("search", "tiny.json"), ("front", "tiny"), ("db", "upgrade")):
        assert_refused(run(*command), 4, "version 9999", "newer autokd")


def test_file_that_is_no_database_is_left_alone(run, write, tmp_path):
    (tmp_path / "autokd.db").write_text("a letter to my aunt, longer than a header" * 10)
    before = (tmp_path / "autokd.db").read_bytes()
    assert_refused(run("study", "list"), 4, "is no autokd database")
    assert_refused(run("search", write()), 4, "is no autokd database")
    assert (tmp_path / "autokd.db").read_bytes() == before


def test_database_of_another_program_is_left_alone(run, write, tmp_path):
    with sqlite3.connect(tmp_path / "autokd.db") as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    assert_refused(run("search", write()), 4, "is no autokd database", "recipes")


def test_storage_in_a_place_that_cannot_be_a_folder_is_refused(run, write, tmp_path):
    (tmp_path / "file").write_text("")
    assert_refused(run("search", write(), "--storage", "file/autokd.db"), 4, "file/autokd.db")


def test_storage_of_an_unknown_kind_is_refused(run, write):
    ended = run("search", write(), "--storage", "oracl://me:secret@host/name")
    assert_refused(ended, 4, "oracl")
    assert "secret" not in ended.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_can_only_be_read_is_refused(run, write, tmp_path):
    study = write()
    tmp_path.chmod(0o500)
    try:
        assert_refused(run("search", study), 4, "autokd.db")
    finally:
        tmp_path.chmod(0o700)


def test_database_that_can_only_be_read_is_refused(run, own_copy):
    # Not by its mode, which root passes over.
    program = (
        "import sqlite3, sys; from autokd.cli import main; connect = sqlite3.dbapi2.connect\n"
        "def read_only(path, *rest, **given):\n"
        "    return connect(f'file:{path}?mode=ro&immutable=1', *rest, **{**given, 'uri': True})\n"
        "sqlite3.dbapi2.connect = sqlite3.connect = read_only\n"
        "sys.argv = ['autokd', 'study', 'delete', 'tiny', '--yes']\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "can only be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert (own_copy / "autokd.files" / "studies" / "1").is_dir()


def test_study_of_the_same_name_that_is_another_one_is_refused(run, own_copy, write):
    ended = run("search", write(**{"seed": 7, "budget.parameters": "0.1x"}))
    assert_refused(ended, 4, "another study 'tiny'", "budget", "seed")
    assert "autokd study delete tiny" in ended.err


def test_study_that_runs_elsewhere_is_neither_run_nor_deleted(run, own_copy):
    from autokd.store import Store
    from autokd.trial import StudyState

    with Store.open("autokd.db") as store, store.coordinate(store.study("tiny").id):
        store.update_study(store.study("tiny").id, state=StudyState.RUNNING)
        assert_refused(run("search", "tiny.json"), 4, "being run by another process")
        assert_refused(run("study", "delete", "tiny", "--yes"), 4, "'tiny' is running")
    assert run("study", "list").code == 0


def test_unknown_study_is_not_found(run, searched):
    ended = run("front", "tinny", "--storage", searched.storage)
    assert_refused(ended, 3, "there is no study 'tinny'", "did you mean 'tiny'?")


# The study file


def test_missing_study_file_is_said(run, write):
    write()
    assert_refused(run("check", "studdy.json"), 2, "no such file", "did you mean 'study.json'?")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "name: [", "\x00", "name: a\nname: b\n"], ids=repr
)
def test_file_that_is_no_study_is_refused(run, tmp_path, content):
    (tmp_path / "study.yaml").write_text(content)
    assert_refused(run("check", "study.yaml"), 2, "study.yaml")


# Export


def test_export_of_neither_or_both_is_refused(run, searched):
    for flags in ((), ("--best", "--trial", 0)):
        ended = run("export", "tiny", *flags, "--storage", searched.storage)
        assert (ended.code, ended.out) == (2, "")
        assert "expected either --best or --trial N" in ended.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--max-parameters", "20 potatoes"), "20 potatoes"),
        (("--max-parameters", "0.1x"), "expected an absolute size"),
    ],
)
def test_export_with_a_wrong_limit_is_refused(run, searched, flags, words):
    ended = run("export", "tiny", "--best", *flags, "--storage", searched.storage)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err


def test_limits_of_export_go_with_the_best_only(run, searched):
    ended = run(
        "export", "tiny", "--trial", 0, "--max-parameters", "1k", "--storage", searched.storage
    )
    assert (ended.code, ended.out) == (2, "")
    assert "go with --best only" in ended.err


def test_export_in_an_unknown_format_is_refused(run, searched, tmp_path):
    ended = run("export", "tiny", "--best", "--format", "onx", "--storage", searched.storage)
    assert_refused(ended, 2, "unknown format 'onx'", "did you mean 'onnx'?")
    assert list(tmp_path.iterdir()) == []


def test_export_of_nothing_within_the_limits_is_refused(run, searched, tmp_path):
    ended = run("export", "tiny", "--best", "--max-parameters", "10", "--storage", searched.storage)
    assert_refused(ended, 6, "x the limit of parameters")
    assert list(tmp_path.iterdir()) == []


def test_export_of_a_trial_whose_weights_are_gone_is_refused(run, own_copy):
    shutil.rmtree(own_copy / "autokd.files" / "studies" / "1" / "trials")
    ended = run("export", "tiny", "--best", "-o", "out")
    assert_refused(ended, 3, "checkpoint")
    assert not (own_copy / "out").exists()


def test_export_into_a_file_is_refused(run, searched, tmp_path):
    (tmp_path / "out").write_text("")
    ended = run("export", "tiny", "--best", "--storage", searched.storage, "-o", "out")
    assert_refused(ended, 8, "out")


# A full disk


def test_full_disk_ends_a_search_that_can_go_on_later(run, write, monkeypatch):
    import errno

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)  # where a disk that promised too much says so
    ended = run("search", write())
    assert ended.out == ""
    assert "error: no space left to write" in ended.err
    assert "hint: free some space" in ended.err
    assert ended.code == 8
    assert run("study", "list", "--json").json[0]["state"] == "failed"


def _fails_to_write(error: OSError, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing bytes into a file of that suffix fails."""
    write_bytes = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.suffix == suffix:
            raise error
        return write_bytes(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)


def test_full_disk_ends_an_export_and_leaves_nothing_half_written(
    run, searched, tmp_path, monkeypatch
):
    import errno

    _fails_to_write(OSError(errno.ENOSPC, "No space left on device"), ".safetensors", monkeypatch)
    flags = ("--best", "--format", "safetensors", "--storage", searched.storage)
    ended = run("export", "tiny", *flags, "-o", "out")
    assert_refused(ended, 8, "the disk is full", "free some space")
    assert list(tmp_path.iterdir()) == []
