from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autokd.errors import ConflictError, NotFoundError, StaleVersionError
from autokd.store import Store, StudyRecord
from autokd.trial import StopReason, StudyState, StudyWish

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

    @pytest.mark.parametrize(
        ("wish", "reason"),
        [
            (StudyWish.RUN, StopReason.COORDINATOR_ENDED),
            (StudyWish.PAUSE, StopReason.USER),
            (StudyWish.CANCEL, StopReason.USER),
        ],
    )
    def test_a_study_that_waits_for_a_coordinator_until_it_is_not_wanted(
        self, store: Store, wish: StudyWish, reason: StopReason
    ) -> None:
        study = store.create_study("waits", {"seed": 0}, wish=StudyWish.RUN)
        store.update_study(study.id, stop_reason=StopReason.COORDINATOR_ENDED)
        assert store.change_study(study.id, wish=wish).stop_reason is reason

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
        assert store.all_events() == []
        again = store.create_study("digits", {})
        assert again.id > study.id
        assert [event.number for event in store.events(again.id)] == [1]

    def test_figures_that_are_no_numbers_survive_in_json(self, store: Store) -> None:
        made = store.create_study("a", {"violations": {"macs": float("inf")}, "low": [-1e999, 0.1]})
        assert store.study("a").spec == {"violations": {"macs": float("inf")}, "low": [-1e999, 0.1]}
        assert store.study("a") == made


class TestChanges:
    def test_a_study_is_made_with_what_its_owner_wants(self, store: Store) -> None:
        made = store.create_study("a", {}, wish=StudyWish.RUN, labels={"team": "vision"}, owner=3)
        assert store.study("a") == made
        assert (made.wish, made.labels, made.owner) == (StudyWish.RUN, {"team": "vision"}, 3)
        assert (made.version, made.events, made.deleted, made.error) == (1, 1, None, None)

    def test_a_change_is_counted_and_told(self, store: Store, study: StudyRecord) -> None:
        changed = store.change_study(
            study.id, name="numbers", spec={"seed": 1}, labels={"a": "b"}, wish=StudyWish.RUN
        )
        assert changed == store.study("numbers") == store.study(study.id)
        assert changed.spec == {"seed": 1, "name": "numbers"}
        assert (changed.labels, changed.wish) == ({"a": "b"}, StudyWish.RUN)
        assert (changed.version, changed.events) == (study.version + 1, study.events + 1)
        assert changed.updated >= study.updated
        assert store.events(study.id)[-1].data["status"] == "queued"

    def test_a_change_leaves_the_rest_as_it_is(self, store: Store, study: StudyRecord) -> None:
        store.change_study(study.id, labels={"a": "b"}, wish=StudyWish.PAUSE)
        changed = store.change_study(study.id, wish=None)
        assert (changed.labels, changed.wish) == ({"a": "b"}, None)
        assert (changed.name, changed.spec) == (study.name, study.spec)

    def test_what_happens_in_a_study_is_no_change_of_its_owner(
        self, store: Store, study: StudyRecord
    ) -> None:
        running = store.update_study(study.id, state=StudyState.RUNNING, error="no GPU")
        assert (running.version, running.error) == (study.version, "no GPU")
        assert running.events == study.events + 1

    def test_a_change_of_what_was_changed_since_is_refused(
        self, store: Store, study: StudyRecord
    ) -> None:
        changed = store.change_study(study.id, version=study.version, labels={"a": "b"})
        for change in (store.change_study, store.hide_study):
            with pytest.raises(StaleVersionError, match="expected version 1, it is 2"):
                change(study.id, version=study.version)
        assert store.study(study.id) == changed

    def test_a_name_that_is_taken_is_refused(self, store: Store, study: StudyRecord) -> None:
        other = store.create_study("other", {})
        with pytest.raises(ConflictError, match="already a study 'digits'"):
            store.change_study(other.id, name="digits", labels={"a": "b"})
        assert store.study(other.id) == other

    def test_those_that_are_wanted_are_listed_oldest_first(
        self, store: Store, study: StudyRecord
    ) -> None:
        wanted = [store.create_study(wish, {}, wish=wish) for wish in StudyWish]
        hidden = store.create_study("hidden", {}, wish=StudyWish.RUN)
        store.hide_study(hidden.id)
        assert store.wanted_studies() == wanted

    @pytest.mark.parametrize(
        ("wish", "waiting", "running"),
        [
            (None, "created", "running"),
            (StudyWish.RUN, "queued", "running"),
            (StudyWish.PAUSE, "paused", "pausing"),
            (StudyWish.STOP, "stopping", "stopping"),
            (StudyWish.CANCEL, "cancelled", "cancelling"),
        ],
    )
    def test_wish_and_state_together_are_the_status(
        self, store: Store, wish: StudyWish | None, waiting: str, running: str
    ) -> None:
        made = store.create_study("a", {}, wish=wish)
        assert store.state_now(made) == made.status == waiting
        with store.coordinate(made.id):
            begun = store.update_study(made.id, state=StudyState.RUNNING)
            assert store.state_now(begun) == begun.status == running

    def test_one_that_has_ended_since_it_was_read_is_not_interrupted(
        self, store: Store, study: StudyRecord
    ) -> None:
        with store.coordinate(study.id):
            read = store.update_study(study.id, state=StudyState.RUNNING)
            store.update_study(study.id, state=StudyState.COMPLETED)
        assert store.state_now(read) == "completed"


class TestHiding:
    def test_a_deleted_study_is_listed_with_the_deleted_and_keeps_what_it_has(
        self, store: Store, study: StudyRecord
    ) -> None:
        store.change_study(study.id, wish=StudyWish.PAUSE)
        hidden = store.hide_study(study.id, version=2)
        assert (hidden.name, hidden.version) == ("digits", 3)
        assert hidden.deleted is not None
        assert (store.studies(), store.studies(deleted=True)) == ([], [hidden])
        assert store.study(study.id) == hidden
        assert store.events(study.id)[-1].data["deleted"] is True

    def test_its_name_is_free_at_once(self, store: Store, study: StudyRecord) -> None:
        store.hide_study(study.id)
        again = store.create_study("digits", {})
        assert store.study("digits") == again
        store.hide_study(again.id)
        assert [each.name for each in store.studies(deleted=True)] == ["digits", "digits"]

    def test_whoever_asks_for_its_name_is_told_when_it_was_deleted(
        self, store: Store, study: StudyRecord
    ) -> None:
        store.hide_study(study.id)
        again = store.create_study("digits", {})
        assert store.study("digits") == again
        hidden = store.hide_study(again.id)
        store.hide_study(store.create_study("digits_2", {}).id)
        assert store.deleted_study("digits") == hidden
        assert store.deleted_study("digit") is None
        with pytest.raises(NotFoundError, match="study 'digits' was deleted on 2") as caught:
            store.study("digits")
        assert caught.value.hint == f"`autokd study undelete {again.id}` brings it back"

    @pytest.mark.parametrize("wish", [None, *StudyWish])
    def test_a_study_is_brought_back_as_it_was(
        self, store: Store, study: StudyRecord, wish: StudyWish | None
    ) -> None:
        before = store.change_study(study.id, wish=wish)
        store.hide_study(study.id)
        assert store.wanted_studies() == []
        back = store.unhide_study(study.id)
        assert back == store.study("digits")
        assert (back.deleted, back.name, back.status) == (None, "digits", before.status)
        assert store.events(study.id)[-1].data["deleted"] is False

    def test_a_study_whose_name_was_given_away_is_not_brought_back(
        self, store: Store, study: StudyRecord
    ) -> None:
        hidden = store.hide_study(study.id)
        store.create_study("digits", {})
        with pytest.raises(ConflictError, match="already a study 'digits'"):
            store.unhide_study(study.id)
        assert store.study(study.id) == hidden

    def test_what_is_deleted_is_not_changed_and_not_deleted_again(
        self, store: Store, study: StudyRecord
    ) -> None:
        with pytest.raises(ConflictError, match="is not deleted"):
            store.unhide_study(study.id)
        store.hide_study(study.id)
        with pytest.raises(ConflictError, match="was deleted"):
            store.change_study(study.id, labels={})
        with pytest.raises(ConflictError, match="deleted already"):
            store.hide_study(study.id)

    def test_a_study_that_runs_is_not_deleted_but_one_that_was_interrupted_is(
        self, store: Store, study: StudyRecord
    ) -> None:
        with store.coordinate(study.id):
            store.update_study(study.id, state=StudyState.RUNNING)
            with pytest.raises(ConflictError, match="is running"):
                store.hide_study(study.id)
        assert store.hide_study(study.id).deleted is not None


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
