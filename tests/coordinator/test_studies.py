"""Studies in processes of their own, from a wish to what stands in the record."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from autokd.errors import ConflictError
from autokd.store import Store
from autokd.trial import (
    AttemptState,
    FailureClass,
    StopReason,
    StudyState,
    StudyWish,
    TrialKind,
    TrialState,
)
from tests.coordinator.conftest import Start, StartOver, World
from tests.scripted.processes import (
    descendants,
    has_ended,
    scripted_environment,
    study_processes,
    until,
)


def test_a_queued_study_is_run_to_its_end_and_goes_on_when_it_is_extended(
    world: World, start: Start
) -> None:
    study = world.add("first")
    assert world.study(study).status == "queued"
    start()
    ended = world.until(study, "completed")
    assert (ended.stop_reason, ended.wish) == (StopReason.TRIALS, None)
    assert len(world.store.trials(study)) == 4
    spec = {**world.study(study).spec, "limits": {"trials": 9}}
    world.store.change_study(study, spec=spec, wish=StudyWish.RUN)
    assert world.study(study).status == "queued"
    until(lambda: len(world.store.trials(study)) == 9, "nine trials")
    world.until(study, "completed")
    assert all(trial.state.is_finished() for trial in world.store.trials(study))


def test_studies_side_by_side_share_the_slots(world: World, start: Start) -> None:
    studies = [world.add_endless(name, workers=3) for name in ("a", "b")]
    start(slots=3)
    until(
        lambda: [len(world.store.running_attempts(study)) for study in studies] == [2, 1],
        "shares of 2 and 1",
    )
    world.wish(studies[0], StudyWish.CANCEL)
    world.until(studies[0], "cancelled")
    assert world.study(studies[0]).state is StudyState.STOPPED
    until(lambda: len(world.store.running_attempts(studies[1])) == 3, "a share of 3")


def test_a_paused_study_keeps_what_it_trained_and_goes_on_from_there(
    world: World, start: Start
) -> None:
    study = world.add_endless("endless")
    start()
    world.until_training(study)
    world.wish(study, StudyWish.PAUSE)
    world.until(study, "paused")
    (trial,) = (each for each in world.store.trials(study) if each.state is TrialState.QUEUED)
    assert trial.checkpoint is not None
    trained = len(world.store.learning_curve(study, trial.number)["accuracy"])
    world.wish(study, StudyWish.RUN)
    world.until_training(study)
    curve = world.store.learning_curve(study, trial.number)["accuracy"]
    assert [epoch for epoch, _ in curve] == list(range(1, len(curve) + 1))
    assert len(curve) > trained


def test_a_stopped_study_ends_with_its_final_stage(world: World, start: Start) -> None:
    study = world.add("study", limits={"trials": 1000}, final={"top": 1, "epochs": 3, "seeds": 1})
    start()
    until(
        lambda: any(trial.state is TrialState.COMPLETE for trial in world.store.trials(study)),
        "a trial",
    )
    world.wish(study, StudyWish.STOP)
    assert world.until(study, "completed").stop_reason is StopReason.ENOUGH
    kinds = {trial.kind for trial in world.store.trials(study)}
    assert kinds == {TrialKind.SEARCH, TrialKind.FINAL, TrialKind.BASELINE}


def test_a_failed_trial_is_retried_and_a_candidate_of_ones_own_is_evaluated(
    world: World, start: Start
) -> None:
    study = world.add("failing")
    start()
    world.until(study, "completed")
    assert world.store.trial(study, 1).state is TrialState.FAILED
    wrong, candidate, retry, refused = (
        world.store.add_operation(kind, study, request).id
        for kind, request in (
            ("enqueue", {"choices": {"depth": 3}}),
            ("enqueue", {"choices": {"width": 0.25}}),
            ("retry", {"trial": 1}),
            ("retry", {"trial": 0}),
        )
    )
    assert world.until_done(refused).state == "failed"
    assert world.until_done(wrong).state == "failed"
    assert world.until_done(retry).response == {"trial": 1}
    assert world.until_done(candidate).response == {"trial": 4}
    world.until(study, "completed")
    assert world.store.trial(study, 4).architecture.choices == {"width": 0.25}
    for number in (1, 4):
        assert world.store.trial(study, number).state in (TrialState.PAUSED, TrialState.COMPLETE)


def test_a_running_trial_is_cancelled_and_its_study_goes_on(world: World, start: Start) -> None:
    study = world.add_endless("endless")
    start()
    world.until_training(study)
    operation = world.store.add_operation("cancel_trial", study, {"trial": 0}).id
    assert world.until_done(operation).response == {"trial": 0}
    failure = world.store.trial(study, 0).failure
    assert failure is not None and failure.failure_class is FailureClass.CANCELLED
    world.until_training(study)
    assert [each.trial for each in world.store.running_attempts(study)] == [1]


def test_a_study_whose_process_dies_once_goes_on(world: World, start: Start) -> None:
    study = world.add("stumbling")
    start()
    world.until(study, "completed")
    assert (world.study(study).folder / "been_here").exists()


def test_a_deleted_study_is_purged_with_its_files(world: World, start: Start) -> None:
    study = world.add("study")
    start()
    folder = world.until(study, "completed").folder
    world.store.hide_study(study)
    purge = world.store.add_operation("purge", study, {}).id
    done = world.until_done(purge)
    assert done.response is not None and done.response["bytes"] > 0
    assert not folder.exists()
    again = world.store.add_operation("purge", study, {}).id
    assert world.until_done(again).response == {"bytes": 0}


def test_an_export_lies_in_a_folder_of_its_own_also_when_it_is_made_again(
    world: World, start: Start
) -> None:
    study = world.add("study", wish=None)
    export = world.store.add_operation("export", study, {"trial": 0, "formats": []}).id
    folder = world.study(study).folder / "exports" / str(export)
    folder.mkdir(parents=True)
    (folder / "of_one_that_was_killed").touch()
    cancelled = folder.with_name("7.partial")  # while no coordinator was there
    cancelled.mkdir()
    start()
    assert world.until_done(export).state == "succeeded"
    assert not cancelled.exists()
    assert [path.name for path in folder.iterdir()] == ["student.json"]


def test_a_study_goes_on_after_its_coordinator_was_killed_and_its_processes_end(
    world: World, tmp_path: Path
) -> None:
    study = world.add_endless("endless")
    command = [sys.executable, "-m", "autokd", "coordinator", "--storage", "autokd.db"]
    with subprocess.Popen(command, cwd=tmp_path, env=scripted_environment()) as killed:
        world.until_training(study)
        orphan = study_processes(killed.pid)[study]
        below = descendants(killed.pid)
        killed.kill()
    with subprocess.Popen(command, cwd=tmp_path, env=scripted_environment()) as next_one:
        try:
            until(lambda: study_processes(next_one.pid), "the study's next process")
            # It has let go of the study; Python itself may need a moment more to end.
            until(lambda: all(map(has_ended, [orphan, *below])), "the end of the first ones")
            world.until_training(study)
            states = [attempt.state for attempt in world.store.attempts(study)]
            assert states == [AttemptState.STOPPED, AttemptState.RUNNING]
        finally:
            next_one.send_signal(signal.SIGTERM)
    assert next_one.returncode == 0
    waiting = world.study(study)
    assert (waiting.status, waiting.stop_reason) == ("queued", StopReason.COORDINATOR_ENDED)
    assert not world.store.running_attempts(study)


def test_a_database_that_is_locked_for_long_fails_nothing(
    tmp_path: Path, start_over: StartOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autokd.coordinator.coordinator._PATIENCE_SECONDS", 0.5)
    world = start_over(f"sqlite:///{tmp_path / 'autokd.db'}?timeout=0.2")
    study = world.add_endless("endless")
    world.until_training(study)
    (process,) = study_processes(os.getpid()).values()
    other = sqlite3.connect(tmp_path / "autokd.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    until(lambda: has_ended(process), "the study's process to give up")
    other.close()
    world.until_training(study)
    assert world.study(study).status == "running"
    assert all(trial.failure is None for trial in world.store.trials(study))


def test_a_second_coordinator_is_refused(store: Store, start: Start, tmp_path: Path) -> None:
    start()
    until(store.coordinators, "the first")
    command = [sys.executable, "-m", "autokd", "coordinator", "--storage", "autokd.db"]
    refused = subprocess.run(
        command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=60
    )
    assert refused.returncode == ConflictError.exit_code
    assert "another coordinator" in refused.stderr
