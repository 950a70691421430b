"""From the record to a student's folder and back, from Python: which student, which weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import autokd
from autokd.errors import NotFoundError, NothingFeasibleError, UnknownNameError
from autokd.store import Store, StudyRecord
from autokd.trial import FIRST_FINAL_NUMBER, TrialState


@pytest.fixture
def store(searched: Any, tmp_path: Path):
    """The record of a searched study, to be changed."""
    searched.copy_to(tmp_path / "study")
    with Store.open(tmp_path / "study" / "autokd.db") as store:
        yield store


@pytest.fixture
def export(store: Store, tmp_path: Path):
    """Exports the plain weights into a folder."""

    def export(**options: Any) -> dict[str, Any]:
        return autokd.export_student(
            store, "tiny", tmp_path / "out", formats=["safetensors"], **options
        )

    return export


def record(store: Store) -> StudyRecord:
    return store.study("tiny")


def test_best_student_has_the_weights_of_its_retraining(export, store, searched, tmp_path):
    written = export()
    (row,) = searched.summary["final"]
    final = store.trial(record(store).id, FIRST_FINAL_NUMBER)
    assert written["trial"] == row["trial"]
    assert written["scored_on"] == "test"
    assert written["metrics"]["test_accuracy"] == row["test_accuracy"]
    assert written["metrics"]["mean_baseline_test_accuracy"] == row["baseline_test_accuracy"]
    student = autokd.load_student(tmp_path / "out")
    checkpoint = torch.load(record(store).folder / final.checkpoint, weights_only=True)
    trained = checkpoint["training"]["network"]
    for name, value in student.state_dict().items():
        assert torch.equal(value, trained[name])


def test_loaded_student_needs_the_folder_only(export, store, tmp_path):
    written = export()
    store.close()
    shutil.rmtree(tmp_path / "study")
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    student = autokd.load_student(str(tmp_path / "elsewhere"))
    assert not student.training
    assert sum(p.numel() for p in student.parameters()) == written["cost"]["parameters"]
    assert student(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_baseline_is_exported_with_its_own_weights(export, searched):
    written = export(trial=FIRST_FINAL_NUMBER + 1)
    (row,) = searched.summary["final"]
    assert written["metrics"]["test_accuracy"] == row["baseline_test_accuracy"]


def test_files_are_recorded_as_artefacts(export, store, tmp_path):
    written = export()
    artifact = store.artifacts(record(store).id)[-1]
    assert artifact.kind == "export"
    assert artifact.path == str(tmp_path / "out" / "student.safetensors")
    assert artifact.sha256 == written["files"][0]["sha256"]
    assert artifact.trial == written["trial"]


def test_without_final_stage_the_front_is_exported(export, store, searched):
    spec = {**record(store).spec, "final": None}
    store.update_study(record(store).id, spec=spec)
    written = export()
    assert written["trial"] == searched.summary["front"][0]["trial"]


def test_candidate_that_is_no_longer_among_the_best_can_be_exported(export, store):
    """A longer search found better ones; what was retrained before has no row in the report."""
    found = store.trials(record(store).id)
    number = next(trial.number for trial in found if trial.candidate == _retrained(found))
    spec = {**record(store).spec, "final": None}
    store.update_study(record(store).id, spec=spec)
    written = export(trial=number)
    assert written["scored_on"] == "test"
    assert "mean_test_accuracy" not in written["metrics"]


def _retrained(trials: Any) -> int:
    return next(trial.candidate for trial in trials if trial.number == FIRST_FINAL_NUMBER)


def test_nothing_within_the_limits_is_said_with_the_nearest(export, tmp_path):
    with pytest.raises(NothingFeasibleError, match="x the limit of macs"):
        export(limits={"macs": 1})
    assert not (tmp_path / "out").exists()


def test_trial_without_weights_is_said(export, store):
    study = record(store)
    first = store.trials(study.id)[0]
    store.add_trial(
        study.id,
        kind=first.kind,
        architecture=first.architecture,
        distillation={"kd.temperature": 2.0, "kd.weight": 0.5},
        cost=first.cost,
        repeat=0,
        state=TrialState.QUEUED,
        epochs=1,
    )
    newest = max(t.number for t in store.trials(study.id) if t.number < FIRST_FINAL_NUMBER)
    with pytest.raises(NotFoundError, match=f"trial {newest} is queued and has no trained weights"):
        export(trial=newest)


def test_folder_without_a_student_is_said(tmp_path):
    with pytest.raises(NotFoundError, match="expected a student in"):
        autokd.load_student(tmp_path)


def test_student_of_a_space_that_is_not_installed_is_said(export, tmp_path):
    export()
    path = tmp_path / "out" / "student.json"
    path.write_text(path.read_text().replace("hierarchical_graph", "my_space"))
    with pytest.raises(UnknownNameError, match="unknown search space 'my_space'"):
        autokd.load_student(tmp_path / "out")
