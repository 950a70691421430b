from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest

from autokd.errors import ConflictError, NotFoundError, StaleTokenError
from autokd.store import AttemptRecord, Store, StudyRecord
from autokd.trial import (
    AttemptState,
    CalibrationBin,
    Evaluation,
    Failure,
    FailureClass,
    Trial,
    TrialState,
)

NewTrial = Callable[..., Trial]
FAILURE = Failure(FailureClass.OUT_OF_MEMORY, "needs 3 GiB")

WRITES: dict[str, Callable[[Store, int, str], Any]] = {
    "renew": lambda store, *lease: store.renew(*lease, 60),
    "record_epoch": lambda store, *lease: store.record_epoch(*lease, 1, {"loss": 1.0}),
    "finish_attempt": lambda store, *lease: store.finish_attempt(
        *lease, Evaluation(2, {"accuracy": 0.5}), None, TrialState.PAUSED
    ),
    "fail_attempt": lambda store, *lease: store.fail_attempt(*lease, FAILURE),
    "release_attempt": lambda store, *lease: store.release_attempt(*lease, AttemptState.LOST, None),
}
"""Every write of a worker, by name."""

ENDS = ("finish_attempt", "fail_attempt", "release_attempt")


@pytest.fixture
def lease(store: Store, study: StudyRecord, new_trial: NewTrial) -> AttemptRecord:
    return store.start_attempt(study.id, new_trial().number, lease_seconds=60)


class TestStart:
    def test_a_queued_trial_runs_under_a_lease(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        assert store.trial(study.id, 0).state is TrialState.RUNNING
        assert store.running_attempts(study.id) == store.attempts(study.id, 0) == [lease]
        assert (lease.trial, lease.n, lease.folder) == (0, 1, "trials/0/attempt-1")
        assert (lease.state, lease.ended, lease.message) == (AttemptState.RUNNING, None, "")
        assert (lease.lease_until - lease.started).total_seconds() == 60
        assert lease.started.tzinfo is UTC

    def test_a_trial_has_one_lease_at_a_time(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        with pytest.raises(ConflictError, match="trial 0 is running; it can not become running"):
            store.start_attempt(study.id, 0, lease_seconds=60)
        assert store.attempts(study.id, 0) == [lease]

    def test_an_infeasible_trial_never_runs(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        new_trial(state=TrialState.INFEASIBLE)
        with pytest.raises(ConflictError, match="trial 0 is infeasible"):
            store.start_attempt(study.id, 0, lease_seconds=60)
        assert store.attempts(study.id, 0) == []

    def test_tokens_differ(self, store: Store, study: StudyRecord, new_trial: NewTrial) -> None:
        leases = [
            store.start_attempt(study.id, new_trial().number, lease_seconds=1) for _ in range(3)
        ]
        assert len({lease.token for lease in leases}) == 3
        assert store.running_attempts(study.id) == leases

    def test_a_renewed_lease_ends_later(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        renewed = store.renew(lease.id, lease.token, 120)
        assert renewed.lease_until > lease.lease_until
        assert replace(renewed, lease_until=lease.lease_until) == lease
        assert store.running_attempts(study.id) == [renewed]


class TestEpochs:
    def test_epochs_make_the_learning_curve(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        assert store.learning_curve(study.id, 0) == {}
        store.record_epoch(lease.id, lease.token, 1, {"loss": 2, "accuracy": 0.25})
        store.record_epoch(lease.id, lease.token, 2, {"loss": 1.5})
        assert store.learning_curve(study.id, 0) == {
            "accuracy": [(1, 0.25)],
            "loss": [(1, 2.0), (2, 1.5)],
        }

    def test_an_epoch_that_is_told_twice_counts_once(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        for loss in (2.0, 2.0, 1.0):
            store.record_epoch(lease.id, lease.token, 1, {"loss": loss})
        assert store.learning_curve(study.id, 0) == {"loss": [(1, 1.0)]}
        assert store.epochs_trained(study.id) == store.epochs_recorded(study.id, 0) == 1
        assert [event.kind for event in store.events(study.id)].count("epoch") == 1

    def test_a_continued_trial_replaces_the_epochs_it_repeats(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        for epoch in (1, 2):
            store.record_epoch(lease.id, lease.token, epoch, {"loss": 3.0 - epoch})
        store.release_attempt(lease.id, lease.token, AttemptState.LOST, None)
        again = store.start_attempt(study.id, 0, lease_seconds=60)
        store.record_epoch(again.id, again.token, 2, {"loss": 0.5})
        assert store.learning_curve(study.id, 0) == {"loss": [(1, 2.0), (2, 0.5)]}
        assert store.epochs_trained(study.id) == 2


class TestEnds:
    @pytest.mark.parametrize("state", [TrialState.PAUSED, TrialState.COMPLETE])
    def test_a_finished_attempt_leaves_its_evaluation_and_checkpoint(
        self, store: Store, study: StudyRecord, lease: AttemptRecord, state: TrialState
    ) -> None:
        evaluation = Evaluation(2, {"accuracy": 0.5, "loss": 1.0})
        done = store.finish_attempt(lease.id, lease.token, evaluation, "a/b.pt", state)
        assert done == store.trial(study.id, 0)
        assert (done.state, done.evaluations, done.checkpoint) == (state, (evaluation,), "a/b.pt")
        (attempt,) = store.attempts(study.id, 0)
        assert attempt.state is AttemptState.DONE
        assert attempt.ended is not None and attempt.ended >= attempt.started
        assert store.running_attempts(study.id) == []

    def test_how_well_calibrated_a_trial_is_is_read_apart_and_is_that_of_its_newest_rung(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        assert store.calibration(study.id, 0) == {}
        first = {"validation": (CalibrationBin(3, 0.1 + 0.2, 1 / 3), CalibrationBin(2, 0.9, 1.0))}
        evaluation = Evaluation(2, {"ece": 0.1}, first)
        paused = store.finish_attempt(lease.id, lease.token, evaluation, None, TrialState.PAUSED)
        assert paused.evaluations == (Evaluation(2, {"ece": 0.1}),)
        assert store.calibration(study.id, 0) == first
        store.promote(study.id, 0, 6)
        again = store.start_attempt(study.id, 0, lease_seconds=60)
        then = {split: (CalibrationBin(5, 0.5, 0.6),) for split in ("validation", "test")}
        store.finish_attempt(
            again.id, again.token, Evaluation(6, {}, then), None, TrialState.COMPLETE
        )
        assert store.calibration(study.id, 0) == then
        with pytest.raises(NotFoundError):
            store.calibration(study.id, 1)

    def test_an_attempt_ends_at_the_epochs_it_was_leased_for(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        with pytest.raises(ConflictError, match="expected an evaluation after 2 epochs, got one"):
            store.finish_attempt(
                lease.id, lease.token, Evaluation(1, {}), None, TrialState.COMPLETE
            )
        with pytest.raises(ConflictError, match="paused or complete, got queued"):
            store.finish_attempt(lease.id, lease.token, Evaluation(2, {}), None, TrialState.QUEUED)
        assert store.running_attempts(study.id) == [lease]

    def test_a_failed_attempt_fails_its_trial_for_good(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        failed = store.fail_attempt(lease.id, lease.token, FAILURE)
        assert (failed.state, failed.failure) == (TrialState.FAILED, FAILURE)
        assert store.trial(study.id, 0) == failed
        (attempt,) = store.attempts(study.id, 0)
        assert (attempt.state, attempt.message) == (AttemptState.FAILED, "needs 3 GiB")
        with pytest.raises(ConflictError, match="trial 0 is failed"):
            store.start_attempt(study.id, 0, lease_seconds=60)

    def test_a_message_may_hold_what_no_database_takes(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        failure = Failure(FailureClass.ERROR, "read \udcff\0 from ä")
        failed = store.fail_attempt(lease.id, lease.token, failure)
        assert failed.failure == Failure(FailureClass.ERROR, "read \\udcff\\x00 from ä")

    @pytest.mark.parametrize("state", [AttemptState.LOST, AttemptState.STOPPED])
    def test_a_released_trial_is_queued_and_continues_from_the_newest_checkpoint(
        self, store: Store, study: StudyRecord, lease: AttemptRecord, state: AttemptState
    ) -> None:
        released = store.release_attempt(lease.id, lease.token, state, "1.pt", "signal 9")
        assert (released.state, released.checkpoint) == (TrialState.QUEUED, "1.pt")
        again = store.start_attempt(study.id, 0, lease_seconds=60)
        assert (again.n, again.folder) == (2, "trials/0/attempt-2")
        kept = store.release_attempt(again.id, again.token, state, None)
        assert kept.checkpoint == "1.pt"
        first, second = store.attempts(study.id, 0)
        assert (first.state, first.message, second.message) == (state, "signal 9", "")

    def test_an_attempt_is_released_lost_or_stopped(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        with pytest.raises(ConflictError, match="lost or stopped, got done"):
            store.release_attempt(lease.id, lease.token, AttemptState.DONE, None)
        assert store.running_attempts(study.id) == [lease]


class TestFencing:
    @pytest.mark.parametrize("write", WRITES)
    def test_a_wrong_token_changes_nothing(
        self, store: Store, study: StudyRecord, lease: AttemptRecord, write: str
    ) -> None:
        before = _record(store, study)
        with pytest.raises(StaleTokenError, match="another token"):
            WRITES[write](store, lease.id, "0" * 32)
        with pytest.raises(StaleTokenError, match="not in the record"):
            WRITES[write](store, lease.id + 1, lease.token)
        assert _record(store, study) == before

    @pytest.mark.parametrize("write", WRITES)
    @pytest.mark.parametrize("end", ENDS)
    def test_an_attempt_that_has_ended_changes_nothing(
        self, store: Store, study: StudyRecord, lease: AttemptRecord, end: str, write: str
    ) -> None:
        WRITES[end](store, lease.id, lease.token)
        before = _record(store, study)
        with pytest.raises(StaleTokenError, match="an attempt that is (done|failed|lost)"):
            WRITES[write](store, lease.id, lease.token)
        assert _record(store, study) == before

    @pytest.mark.parametrize("write", WRITES)
    def test_a_lost_worker_can_not_write_to_its_successors_trial(
        self, store: Store, study: StudyRecord, lease: AttemptRecord, write: str
    ) -> None:
        store.release_attempt(lease.id, lease.token, AttemptState.LOST, None)
        store.start_attempt(study.id, 0, lease_seconds=60)
        before = _record(store, study)
        with pytest.raises(StaleTokenError):
            WRITES[write](store, lease.id, lease.token)
        assert _record(store, study) == before

    def test_attempts_of_a_deleted_study_are_stale(
        self, store: Store, study: StudyRecord, lease: AttemptRecord
    ) -> None:
        store.delete_study(study.id)
        with pytest.raises(StaleTokenError, match="not in the record"):
            store.renew(lease.id, lease.token, 60)


def _record(store: Store, study: StudyRecord) -> list[Any]:
    return [
        store.study(study.id),
        store.trials(study.id),
        store.attempts(study.id, 0),
        store.learning_curve(study.id, 0),
        store.events(study.id),
        store.epochs_trained(study.id),
    ]
