from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert

from autokd.budget import Cost
from autokd.errors import ConflictError, NotFoundError
from autokd.space import Architecture
from autokd.store import Store, StudyRecord
from autokd.store.rows import CandidateRow, TrialRow
from autokd.trial import (
    FIRST_FINAL_NUMBER,
    Evaluation,
    Failure,
    FailureClass,
    Trial,
    TrialKind,
    TrialState,
)

NewTrial = Callable[..., Trial]


def _finish(
    store: Store, study: StudyRecord, number: int, state: TrialState, **metrics: float
) -> Trial:
    trial = store.trial(study.id, number)
    lease = store.start_attempt(study.id, number, lease_seconds=60)
    evaluation = Evaluation(trial.epochs, metrics)
    return store.finish_attempt(
        lease.id, lease.token, evaluation, f"{lease.folder}/checkpoint.pt", state
    )


class TestTrials:
    def test_a_trial_comes_back_as_it_was_given(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        architecture = Architecture("chain", {"p": 0.1 + 0.2, "k": 4, "on": True, "top": "ws"}, 7)
        made = new_trial(
            architecture=architecture,
            distillation={"kd.weight": 1e-05},
            cost=Cost(1, 2, 3, 2**40, 0.25),
            repeat=1,
            epochs=3,
            kind=TrialKind.FINAL,
            notes={"bracket": 2, "regret": math.inf},
        )
        assert store.trial(study.id, FIRST_FINAL_NUMBER) == store.trials(study.id)[0] == made
        assert made == Trial(
            number=FIRST_FINAL_NUMBER,
            kind=TrialKind.FINAL,
            candidate=0,
            architecture=architecture,
            distillation={"kd.weight": 1e-05},
            cost=Cost(1, 2, 3, 2**40, 0.25),
            repeat=1,
            state=TrialState.QUEUED,
            epochs=3,
            notes={"bracket": 2, "regret": math.inf},
        )
        assert made.architecture.key == architecture.key

    def test_search_and_final_stage_are_numbered_without_gaps_each_for_itself(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        kinds = [TrialKind.SEARCH, TrialKind.FINAL, TrialKind.BASELINE, TrialKind.SEARCH]
        for kind in kinds:
            new_trial(kind=kind)
        assert [(trial.number, trial.kind) for trial in store.trials(study.id)] == [
            (0, TrialKind.SEARCH),
            (1, TrialKind.SEARCH),
            (FIRST_FINAL_NUMBER, TrialKind.FINAL),
            (FIRST_FINAL_NUMBER + 1, TrialKind.BASELINE),
        ]
        assert [trial.number for trial in store.trials(study.id, TrialKind.SEARCH)] == [0, 1]
        other = store.create_study("other", {})
        assert store.trials(other.id) == []

    def test_one_architecture_and_distillation_is_one_candidate(self, new_trial: NewTrial) -> None:
        trials = [
            new_trial(16),
            new_trial(32),
            new_trial(16, repeat=1),
            new_trial(16, distillation={"kd.temperature": 2.0}),
            new_trial(16, architecture=Architecture("chain", {"top": "ring", "width": 16}, 3)),
            new_trial(16, architecture=Architecture("chain", {"top": "ring", "width": 16}, 4)),
        ]
        assert [trial.candidate for trial in trials] == [0, 1, 0, 2, 0, 3]

    def test_candidates_are_numbered_in_each_study(self, store: Store, new_trial: NewTrial) -> None:
        first = new_trial()
        other = store.create_study("other", {})
        again = store.add_trial(
            other.id,
            kind=first.kind,
            architecture=first.architecture,
            distillation=first.distillation,
            cost=first.cost,
            repeat=0,
            state=TrialState.INFEASIBLE,
            epochs=1,
        )
        assert (again.number, again.candidate, again.state) == (0, 0, TrialState.INFEASIBLE)

    @pytest.mark.parametrize("state", ["running", "paused", "complete", "failed"])
    def test_a_trial_begins_queued_or_infeasible(
        self, store: Store, study: StudyRecord, new_trial: NewTrial, state: str
    ) -> None:
        with pytest.raises(ConflictError, match="begins queued or infeasible"):
            new_trial(state=TrialState(state))
        assert store.trials(study.id) == []

    def test_a_missing_trial_is_an_error_that_says_where_to_look(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        new_trial(), new_trial()
        with pytest.raises(NotFoundError, match=r"has no trial 2\nhint: `autokd study show"):
            store.learning_curve(study.id, 2)
        with pytest.raises(NotFoundError, match="no study 9"):
            store.promote(9, 0, 3)

    def test_a_listing_shows_what_another_process_has_changed_since(
        self, store: Store, study: StudyRecord, new_trial: NewTrial, url: str
    ) -> None:
        new_trial(), new_trial(kind=TrialKind.FINAL)
        with Store.open(url, files=store.files) as other:
            for _ in range(2):
                assert other.trials(study.id) == store.trials(study.id)
                store.add_event(study.id, "note", {})
            _finish(store, study, FIRST_FINAL_NUMBER, TrialState.COMPLETE, accuracy=0.5)
            new_trial()
            numbers = (0, 1, FIRST_FINAL_NUMBER)
            assert other.trials(study.id) == store.trials(study.id)
            assert other.trials(study.id) == [store.trial(study.id, n) for n in numbers]
            final = [store.trial(study.id, FIRST_FINAL_NUMBER)]
            assert other.trials(study.id, TrialKind.FINAL) == final

    def test_a_listing_belongs_to_its_caller(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        made = new_trial()
        store.trials(study.id).clear()
        assert store.trials(study.id) == [made]

    def test_many_studies_are_listed_each_with_its_own_trials(self, store: Store) -> None:
        ids = [store.create_study(f"s{index}", {}).id for index in range(12)]
        for width, study_id in enumerate(ids):
            store.add_trial(
                study_id,
                kind=TrialKind.SEARCH,
                architecture=Architecture("chain", {"width": width}),
                distillation={},
                cost=Cost(1, 4, 4, 1),
                repeat=0,
                state=TrialState.QUEUED,
                epochs=1,
            )
        for _ in range(2):
            widths = [store.trials(study_id)[0].architecture.choices["width"] for study_id in ids]
            assert widths == list(range(12))


class TestPromote:
    def test_a_paused_trial_is_queued_for_the_next_rung_and_keeps_its_results(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        new_trial(epochs=2)
        paused = _finish(store, study, 0, TrialState.PAUSED, accuracy=0.5)
        promoted = store.promote(study.id, 0, 6)
        assert (promoted.state, promoted.epochs) == (TrialState.QUEUED, 6)
        assert promoted.evaluations == paused.evaluations == (Evaluation(2, {"accuracy": 0.5}),)
        assert promoted.checkpoint == paused.checkpoint == "trials/0/attempt-1/checkpoint.pt"
        done = _finish(store, study, 0, TrialState.COMPLETE, accuracy=0.75, loss=1.0)
        assert [evaluation.epochs for evaluation in done.evaluations] == [2, 6]
        assert done.figures_at(2) == {**done.cost.figures(), "accuracy": 0.5}
        assert done.checkpoint == "trials/0/attempt-2/checkpoint.pt"
        assert store.trials(study.id) == [done]

    @pytest.mark.parametrize("state", [TrialState.QUEUED, TrialState.INFEASIBLE])
    def test_only_a_paused_trial_is_promoted(
        self, store: Store, study: StudyRecord, new_trial: NewTrial, state: TrialState
    ) -> None:
        made = new_trial(state=state)
        with pytest.raises(ConflictError, match=f"trial 0 is {state}; only a paused one"):
            store.promote(study.id, 0, 6)
        assert store.trial(study.id, 0) == made

    def test_a_promotion_goes_up(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        new_trial(epochs=2)
        _finish(store, study, 0, TrialState.PAUSED, accuracy=0.5)
        with pytest.raises(ConflictError, match="has finished 2 epochs; expected more, got 2"):
            store.promote(study.id, 0, 2)


class TestCancelAndRetry:
    def test_a_queued_trial_is_cancelled(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        new_trial()
        cancelled = store.cancel_trial(study.id, 0)
        assert cancelled == store.trial(study.id, 0)
        assert cancelled.state is TrialState.FAILED
        assert cancelled.failure == Failure(FailureClass.CANCELLED, "cancelled")
        told = store.events(study.id)[-1].data
        assert (told["state"], told["failure_class"]) == ("failed", "cancelled")

    def test_a_paused_trial_is_cancelled_and_keeps_its_results(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        new_trial()
        paused = _finish(store, study, 0, TrialState.PAUSED, accuracy=0.5)
        cancelled = store.cancel_trial(study.id, 0)
        assert cancelled.evaluations == paused.evaluations
        assert cancelled.checkpoint == paused.checkpoint

    def test_a_trial_that_runs_or_has_ended_is_not_cancelled(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        new_trial(state=TrialState.INFEASIBLE)
        new_trial()
        store.start_attempt(study.id, 1, lease_seconds=60)
        for number, state in ((0, "infeasible"), (1, "running")):
            with pytest.raises(ConflictError, match=f"trial {number} is {state}; only one that w"):
                store.cancel_trial(study.id, number)

    def test_a_failed_trial_is_queued_again_and_goes_on_from_its_checkpoint(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        new_trial()
        paused = _finish(store, study, 0, TrialState.PAUSED, accuracy=0.5)
        store.promote(study.id, 0, 6)
        lease = store.start_attempt(study.id, 0, lease_seconds=60)
        store.fail_attempt(lease.id, lease.token, Failure(FailureClass.NAN, "loss is nan"))
        again = store.retry_trial(study.id, 0)
        assert again == store.trial(study.id, 0)
        assert (again.state, again.failure, again.epochs) == (TrialState.QUEUED, None, 6)
        assert (again.checkpoint, again.evaluations) == (paused.checkpoint, paused.evaluations)
        assert store.start_attempt(study.id, 0, lease_seconds=60).n == 3

    def test_only_a_failed_trial_is_retried(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        made = new_trial()
        with pytest.raises(ConflictError, match="trial 0 is queued; only a failed one"):
            store.retry_trial(study.id, 0)
        assert store.trial(study.id, 0) == made

    @pytest.mark.parametrize("method", ["cancel_trial", "retry_trial"])
    def test_a_missing_trial_is_an_error(
        self, store: Store, study: StudyRecord, method: str
    ) -> None:
        with pytest.raises(NotFoundError, match="has no trial 3"):
            getattr(store, method)(study.id, 3)


class TestChanged:
    def test_a_reader_reads_what_has_changed_since_and_nothing_else(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        for _ in range(3):
            new_trial()
        seen = store.study(study.id).events
        assert store.trials(study.id, changed_after=seen) == []
        store.cancel_trial(study.id, 1)
        new_trial(kind=TrialKind.FINAL)
        changed = store.trials(study.id, changed_after=seen)
        assert [trial.number for trial in changed] == [1, FIRST_FINAL_NUMBER]
        assert changed == [store.trial(study.id, trial.number) for trial in changed]
        assert store.trials(study.id, TrialKind.FINAL, changed_after=seen) == changed[1:]

    def test_every_change_of_a_trial_counts(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        def changes(act: Callable[[], object]) -> bool:
            seen = store.study(study.id).events
            act()
            return bool(store.trials(study.id, changed_after=seen))

        assert changes(new_trial)
        assert changes(lambda: _finish(store, study, 0, TrialState.PAUSED, accuracy=0.5))
        assert changes(lambda: store.promote(study.id, 0, 6))
        assert changes(lambda: store.cancel_trial(study.id, 0))
        assert changes(lambda: store.retry_trial(study.id, 0))
        assert not changes(lambda: store.change_study(study.id, labels={"a": "b"}))

    def test_readers_that_follow_the_events_know_all_trials(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        known: dict[int, Trial] = {}
        seen = 0
        for _ in range(4):
            new_trial()
            _finish(store, study, len(known), TrialState.COMPLETE, accuracy=0.5)
            events = store.study(study.id).events
            known |= {t.number: t for t in store.trials(study.id, changed_after=seen)}
            seen = events
        assert list(known.values()) == store.trials(study.id)


class TestFigures:
    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(value=st.floats(allow_nan=True, allow_infinity=True))
    def test_every_float_survives_as_metric_and_as_evaluation(
        self, store: Store, study: StudyRecord, new_trial: NewTrial, value: float
    ) -> None:
        number = new_trial(epochs=1).number
        lease = store.start_attempt(study.id, number, lease_seconds=60)
        store.record_epoch(lease.id, lease.token, 1, {"loss": value})
        store.finish_attempt(
            lease.id, lease.token, Evaluation(1, {"loss": value}), None, TrialState.COMPLETE
        )
        read = store.trial(study.id, number).evaluations[0].metrics["loss"]
        ((epoch, curve),) = store.learning_curve(study.id, number)["loss"]
        assert epoch == 1
        for found in (read, curve):
            assert found == value or (math.isnan(found) and math.isnan(value))

    def test_epochs_count_as_far_as_search_trials_got(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        assert store.epochs_trained(study.id) == 0
        for kind in (TrialKind.SEARCH, TrialKind.FINAL, TrialKind.SEARCH):
            new_trial(kind=kind, epochs=3)
        for number in (0, FIRST_FINAL_NUMBER):
            _finish(store, study, number, TrialState.PAUSED, accuracy=0.5)
        lease = store.start_attempt(study.id, 1, lease_seconds=60)
        for epoch in (1, 2, 2):
            store.record_epoch(lease.id, lease.token, epoch, {})
        store.fail_attempt(lease.id, lease.token, Failure(FailureClass.NAN, "loss is nan"))
        assert store.epochs_trained(study.id) == 3 + 2

    def test_ten_thousand_trials_are_listed_with_a_handful_of_queries(
        self, store: Store, study: StudyRecord
    ) -> None:
        count = 10_000
        _insert_trials(store, study, count)
        statements: list[str] = []
        event.listen(
            store._engine,
            "before_cursor_execute",
            lambda _connection, _cursor, statement, *_: statements.append(statement),
        )
        trials = store.trials(study.id)
        assert store.trials(study.id) == trials
        assert len([text for text in statements if text.startswith("SELECT")]) <= 4
        assert [trial.number for trial in trials] == list(range(count))
        assert trials[-1].evaluations[1].metrics == {"accuracy": 0.5, "loss": 1.25}


def _insert_trials(store: Store, study: StudyRecord, count: int) -> None:
    """Many complete trials at once; one by one would take a minute."""
    candidates: list[dict[str, Any]] = [
        {
            "id": number + 1,
            "study_id": study.id,
            "number": number,
            "hash": str(number),
            "architecture": {
                "space": "random_graph",
                "choices": {f"parameter_{index}": index / 7 for index in range(20)},
                "seed": number,
            },
            "distillation": {"kd.temperature": 4.0, "kd.weight": 0.9},
        }
        for number in range(count)
    ]
    metrics = {"accuracy": 0.5, "loss": 1.25}
    trials: list[dict[str, Any]] = [
        {
            "study_id": study.id,
            "candidate_id": number + 1,
            "number": number,
            "kind": TrialKind.SEARCH,
            "cost": {"parameters": 1, "weight_bytes": 4, "peak_activation_bytes": 4, "macs": 9},
            "repeat": 0,
            "state": TrialState.COMPLETE,
            "changed": number + 2,
            "epochs": 9,
            "trained": 9,
            "evaluations": [{"epochs": epochs, "metrics": metrics} for epochs in (3, 9)],
            "notes": {},
        }
        for number in range(count)
    ]
    with store._write() as session:
        session.execute(insert(CandidateRow), candidates)
        session.execute(insert(TrialRow), trials)
