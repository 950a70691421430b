from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autokd.errors import ConflictError, NotFoundError
from autokd.store import Store, StudyRecord
from autokd.trial import StopReason, StudyState

_COORDINATE = """
import sys
from autokd.store import Store

with Store.open(sys.argv[1], files=sys.argv[2]) as store, store.coordinate(1):
    print("coordinating", flush=True)
    sys.stdin.read()
"""


class TestStudies:
    def test_a_new_study_is_found_by_name_and_by_id(self, store: Store) -> None:
        spec = {"name": "a", "data": {"name": "digits"}, "losses": [{"weight": 0.9}]}
        made = store.create_study("a", spec)
        assert store.study("a") == store.study(made.id) == made
        assert (made.name, made.spec, made.state) == ("a", spec, StudyState.CREATED)
        assert (made.stop_reason, made.seconds, made.teacher) == (None, 0.0, None)
        assert made.folder == store.files / "studies" / str(made.id)

    def test_moments_are_in_utc_and_know_it(self, study: StudyRecord) -> None:
        assert study.created.tzinfo is UTC
        assert abs(datetime.now(UTC) - study.created) < timedelta(minutes=5)

    def test_a_name_is_given_once(self, store: Store, study: StudyRecord) -> None:
        with pytest.raises(ConflictError, match="already a study 'digits'"):
            store.create_study("digits", {})
        assert store.studies() == [study]

    def test_studies_are_listed_in_the_order_of_creation(self, store: Store) -> None:
        made = [store.create_study(name, {}) for name in ("c", "a", "b")]
        assert store.studies() == made

    def test_a_missing_study_is_an_error_that_names_the_nearest(
        self, store: Store, study: StudyRecord
    ) -> None:
        with pytest.raises(NotFoundError, match="did you mean 'digits'") as error:
            store.study("digit")
        assert "no study 'digit'" in error.value.message
        with pytest.raises(NotFoundError, match="no study 99"):
            store.study(99)

    @pytest.mark.parametrize(
        "method",
        ["trials", "events", "artifacts", "running_attempts", "epochs_trained", "delete_study"],
    )
    def test_asking_for_what_a_missing_study_has_is_an_error(
        self, store: Store, method: str
    ) -> None:
        with pytest.raises(NotFoundError, match="no study 7"):
            getattr(store, method)(7)

    def test_an_update_changes_what_is_given_and_nothing_else(
        self, store: Store, study: StudyRecord
    ) -> None:
        store.update_study(study.id, state=StudyState.RUNNING)
        changed = store.update_study(
            study.id,
            state=StudyState.STOPPED,
            stop_reason=StopReason.USER,
            seconds=1.5,
            teacher={"accuracy": 0.9},
        )
        assert changed == store.study(study.id)
        assert (changed.state, changed.stop_reason) == (StudyState.STOPPED, StopReason.USER)
        assert (changed.seconds, changed.teacher) == (1.5, {"accuracy": 0.9})
        assert (changed.spec, changed.created) == (study.spec, study.created)
        assert store.update_study(study.id) == changed

    def test_a_stop_reason_can_be_taken_back(self, store: Store, study: StudyRecord) -> None:
        store.update_study(study.id, stop_reason=StopReason.TRIALS, teacher={"accuracy": 0.9})
        again = store.update_study(study.id, stop_reason=None, spec={"seed": 1}, teacher=None)
        assert (again.stop_reason, again.spec, again.teacher) == (None, {"seed": 1}, None)

    def test_a_study_moves_as_drawn(self, store: Store, study: StudyRecord) -> None:
        for state in ("running", "completed", "running", "stopped", "running", "running"):
            assert store.update_study(study.id, state=StudyState(state)).state == state
        with pytest.raises(ConflictError, match="is running; it can not become created"):
            store.update_study(study.id, state=StudyState.CREATED, seconds=9.0)
        assert store.study(study.id).seconds == 0.0

    def test_a_deleted_study_leaves_nothing_and_its_id_is_not_given_again(
        self, store: Store, study: StudyRecord
    ) -> None:
        assert store.delete_study(study.id) == study.folder
        assert store.studies() == []
        again = store.create_study("digits", {})
        assert again.id > study.id
        assert [event.number for event in store.events(again.id)] == [1]

    def test_figures_that_are_no_numbers_survive_in_json(self, store: Store) -> None:
        made = store.create_study("a", {"violations": {"macs": float("inf")}, "low": [-1e999, 0.1]})
        assert store.study("a").spec == {"violations": {"macs": float("inf")}, "low": [-1e999, 0.1]}
        assert store.study("a") == made


class TestCoordinate:
    def test_a_second_coordinator_is_refused_until_the_first_is_done(
        self, store: Store, study: StudyRecord, url: str
    ) -> None:
        with Store.open(url, files=store.files) as other:
            with store.coordinate(study.id):
                for contender in (store, other):
                    with (
                        pytest.raises(ConflictError, match=rf"another process \(pid {os.getpid()}"),
                        contender.coordinate(study.id),
                    ):
                        pass
            with other.coordinate(study.id):
                pass

    def test_two_studies_have_two_coordinators(self, store: Store, study: StudyRecord) -> None:
        other = store.create_study("other", {})
        with store.coordinate(study.id), store.coordinate(other.id):
            pass

    def test_a_missing_study_has_no_coordinator_and_no_folder(self, store: Store) -> None:
        with pytest.raises(NotFoundError), store.coordinate(5):
            pass
        assert not (store.files / "studies" / "5").exists()

    def test_an_error_in_the_block_passes_through_and_ends_the_lock(
        self, store: Store, study: StudyRecord
    ) -> None:
        with pytest.raises(ZeroDivisionError), store.coordinate(study.id):
            raise ZeroDivisionError
        with store.coordinate(study.id):
            pass

    def test_a_study_that_is_run_is_not_deleted(self, store: Store, study: StudyRecord) -> None:
        with store.coordinate(study.id), pytest.raises(ConflictError, match="can not be deleted"):
            store.delete_study(study.id)
        assert store.delete_study(study.id) == study.folder

    def test_a_study_that_runs_and_has_no_process_is_interrupted(
        self, store: Store, study: StudyRecord
    ) -> None:
        assert store.state_now(study) == "created"
        with store.coordinate(study.id):
            running = store.update_study(study.id, state=StudyState.RUNNING)
            assert store.state_now(running) == "running"
        assert store.state_now(running) == "interrupted"
        assert store.study(study.id).state is StudyState.RUNNING
        with store.coordinate(study.id):  # to look takes nothing
            assert store.state_now(running) == "running"

    def test_the_lock_ends_with_its_process_however_that_dies(
        self, store: Store, study: StudyRecord, url: str
    ) -> None:
        child = subprocess.Popen(
            [sys.executable, "-c", _COORDINATE, url, str(store.files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"coordinating\n"
            with (
                pytest.raises(ConflictError, match=f"pid {child.pid}"),
                store.coordinate(study.id),
            ):
                pass
            child.send_signal(signal.SIGKILL)
            child.wait()
            with store.coordinate(study.id):
                pass
