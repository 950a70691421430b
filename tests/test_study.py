"""The loop, with workers and students that cost nothing: what it decides and what it records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from autokd.budget import Budget, Cost
from autokd.errors import (
    ConflictError,
    NothingFeasibleError,
    StorageFullError,
    StoreUnavailableError,
)
from autokd.executors import EpochDone, Event, Failed, Finished, Lost, Stopped
from autokd.multiobjective import Objective
from autokd.report import summarise
from autokd.space import Architecture, Domain
from autokd.spec import FinalSpec, LimitsSpec, read_study
from autokd.store import Store
from autokd.strategies import Problem, RandomSearch, SuccessiveHalving
from autokd.study import Happening, Study, recorded_study
from autokd.trial import (
    CHECKPOINT,
    GAIN,
    Attempt,
    AttemptState,
    Evaluation,
    Failure,
    FailureClass,
    StopReason,
    StudyState,
    StudyWish,
    Suggestion,
    Trial,
    TrialKind,
    TrialState,
)

RUNGS = (1, 3, 9)
OBJECTIVES = (Objective("accuracy", "maximize"), Objective("parameters", "minimize"))
DOMAIN = Domain({"width": FloatDistribution(0, 1)})


def parameters(architecture: Architecture) -> int:
    """The made-up size of a student."""
    return 1 + round(999 * float(architecture.choices["width"]))


def accuracy(attempt: Attempt) -> float:
    """Rises with size and epochs; a baseline is a little worse; a hash stands for noise."""
    digest = hashlib.sha256(f"{attempt.seed}".encode()).digest()[0] / 255
    size = parameters(attempt.architecture) / 1000
    taught = 0.02 if attempt.teach else 0.0
    return 0.5 + 0.3 * size + 0.1 * attempt.epochs / 100 + 0.05 * digest + taught


@dataclass
class ImmediateExecutor:
    """Runs an attempt while it is submitted; `fate` may make it end otherwise."""

    fate: Callable[[Attempt], Event | None] = lambda attempt: None
    slots: int = 1
    events: list[Event] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    closed: bool = False

    def submit(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        event = self.fate(attempt)
        if event is None:
            attempt.folder.mkdir(parents=True, exist_ok=True)
            (attempt.folder / CHECKPOINT).write_text(str(attempt.epochs))
            metrics = {"accuracy": accuracy(attempt)}
            if attempt.test:
                metrics["test_accuracy"] = accuracy(attempt) - 0.01
            done = EpochDone(attempt.id, attempt.token, attempt.epochs, metrics)
            self.events.append(done)
            event = Finished(attempt.id, attempt.token, Evaluation(attempt.epochs, metrics))
        self.events.append(event)

    def poll(self, timeout: float) -> list[Event]:
        events, self.events = self.events, []
        return events

    def stop(self, attempt_id: int) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Evaluator:
    """Sizes as `parameters` says; a teacher of 1,000 parameters."""

    def __init__(self) -> None:
        self.tested = 0
        self.data = "digits"

    def cost(self, architecture: Architecture) -> Cost:
        return Cost(parameters(architecture), 0, 0, 0)

    def prepare(self, report: Callable[[int, Mapping[str, float]], None]) -> dict[str, float]:
        report(1, {"loss": 1.0})
        return {"accuracy": 0.95, "parameters": 1000}

    def content(self) -> dict[str, str]:
        return {"data": self.data, "teacher": "resnet20"}

    def test_teacher(self) -> dict[str, float]:
        self.tested += 1
        return {"test_accuracy": 0.94}


@dataclass
class World:
    """A store in a folder, and studies on it."""

    folder: Path
    executor: ImmediateExecutor = field(default_factory=ImmediateExecutor)
    evaluator: Evaluator = field(default_factory=Evaluator)
    happenings: list[Happening] = field(default_factory=list)

    def study(
        self,
        *,
        limits: LimitsSpec | None = None,
        final: FinalSpec | None = None,
        most: float = 1000,
        database: str = "record.db",
    ) -> Study:
        spec = read_study(
            {
                "name": "made-up",
                "data": {"name": "digits"},
                "teacher": {"model": "resnet20"},
                "space": {"name": "hierarchical_graph"},
                "distillation": {"losses": [{"name": "kd"}]},
                "budget": {"parameters": most},
                "objectives": [
                    {"metric": "accuracy", "direction": "maximize"},
                    {"metric": "parameters", "direction": "minimize"},
                ],
                "fidelity": {"min_epochs": 1, "max_epochs": 9},
                "limits": (limits or LimitsSpec(trials=12)).model_dump(),
                "final": final.model_dump() if final else None,
            }
        )
        budget = Budget({"parameters": most})
        problem = Problem(
            space="made-up",
            draws=False,
            architecture=DOMAIN,
            distillation=Domain({}),
            objectives=OBJECTIVES,
            violations=lambda architecture: budget.violations(self.evaluator.cost(architecture)),
            rungs=RUNGS,
        )
        store = Store.open(str(self.folder / database))
        return Study(
            recorded_study(store, spec),
            store,
            strategy=RandomSearch(problem),
            fidelity=SuccessiveHalving(RUNGS, 3, OBJECTIVES),
            objectives=OBJECTIVES,
            budget=budget,
            teacher_cost=Cost(10_000, 40_000, 500, 6000),
            spec=spec,
            evaluator=self.evaluator,
            make_executor=lambda: self.executor,
            observe=lambda study, happening: self.happenings.append(happening),
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def search_trials(study: Study) -> list[Trial]:
    """Without the paths of checkpoints, which tell how often a worker was lost."""
    return [
        replace(trial, checkpoint=None) for trial in study.trials if trial.kind is TrialKind.SEARCH
    ]


def test_search_ends_at_the_limit_of_trials_with_some_at_the_last_rung(world: World) -> None:
    study = world.study()
    front = study.run()
    summary = summarise(study.record, study.trials)
    assert summary["state"] == "completed"
    assert summary["stop_reason"] == "trials"
    assert summary["trials"]["total"] == 12
    assert summary["trials"]["complete"] >= 1
    assert summary["trials"]["pruned"] >= 6
    assert all(trial.state is TrialState.COMPLETE for trial in front.trials)
    assert world.executor.closed


@pytest.mark.parametrize(("slots", "ahead"), [(1, 0), (3, 1)])
def test_while_several_slots_are_busy_the_next_proposal_is_ready(
    world: World, slots: int, ahead: int
) -> None:
    waiting: list[int] = []

    @dataclass
    class Watched(ImmediateExecutor):
        def poll(self, timeout: float) -> list[Event]:
            states = [trial.state for trial in study.store.trials(study.record.id)]
            if states.count(TrialState.RUNNING) == self.slots:
                waiting.append(states.count(TrialState.QUEUED))
            return super().poll(timeout)

    world.executor = Watched(slots=slots)
    study = world.study(limits=LimitsSpec(trials=12))
    study.run()
    assert len(search_trials(study)) == 12
    assert max(waiting) == ahead
    assert all(trial.state is not TrialState.QUEUED for trial in study.trials)


def test_search_ends_when_five_proposals_in_a_row_promise_too_little(world: World) -> None:
    study = world.study(limits=LimitsSpec(trials=30, converged=0.1))
    plain = study.strategy

    class Promising:
        def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
            gain = {3: 0.01, 4: 0.5}.get(len(trials), 0.01 if len(trials) > 6 else 2.0)
            return replace(plain.suggest(trials, rng), notes={GAIN: gain})

    study.strategy = Promising()
    study.run()
    assert study.record.stop_reason is StopReason.CONVERGED
    assert len(search_trials(study)) == 7 + 5
    again = world.study(limits=LimitsSpec(trials=30, converged=0.1))
    again.run()
    assert len(search_trials(again)) == 7 + 5
    further = world.study(limits=LimitsSpec(trials=15))
    further.run()
    assert len(search_trials(further)) == 15


def test_stopped_and_continued_study_equals_uninterrupted(world: World) -> None:
    final = FinalSpec(top=2, epochs=20, seeds=2)
    world.study(limits=LimitsSpec(trials=12), final=final).run()
    continued = world.study(limits=LimitsSpec(trials=30), final=final)
    continued.run()
    whole = world.study(limits=LimitsSpec(trials=30), final=final, database="whole.db")
    whole.run()
    assert search_trials(continued) == search_trials(whole)
    assert [trial.number for trial in continued.front.trials] == [
        trial.number for trial in whole.front.trials
    ]
    assert (
        summarise(continued.record, continued.trials)["final"]
        == (summarise(whole.record, whole.trials)["final"])
    )


def test_study_killed_between_any_two_events_equals_uninterrupted(world: World) -> None:
    whole = world.study(database="whole.db")
    whole.run()

    class Killed(Exception):
        pass

    def killed_at(n: int) -> Callable[[Attempt], Event | None]:
        def fate(attempt: Attempt) -> Event | None:
            if len(world.executor.attempts) == n:
                raise Killed
            return None

        return fate

    for n in (1, 2, 5, 9):
        world.executor = ImmediateExecutor(fate=killed_at(n))
        with pytest.raises(Killed):
            world.study().run()
    world.executor = ImmediateExecutor()
    resumed = world.study()
    resumed.run()
    assert search_trials(resumed) == search_trials(whole)


def test_promoted_trial_continues_from_its_checkpoint(world: World) -> None:
    study = world.study()
    study.run()
    by_trial: dict[int, list[Attempt]] = {}
    for attempt in world.executor.attempts:
        by_trial.setdefault(attempt.trial, []).append(attempt)
    climbed = [attempts for attempts in by_trial.values() if len(attempts) == 3]
    assert climbed
    for first, second, third in climbed:
        assert (first.checkpoint, first.epochs) == (None, 1)
        assert (second.checkpoint, second.epochs) == (first.folder / CHECKPOINT, 3)
        assert (third.checkpoint, third.epochs) == (second.folder / CHECKPOINT, 9)
        assert first.seed == second.seed == third.seed
        assert {first.horizon, second.horizon, third.horizon} == {9}


def test_over_budget_candidate_is_never_trained(world: World) -> None:
    study = world.study(most=100)
    study.run()
    assert len(search_trials(study)) == 12
    assert all(parameters(attempt.architecture) <= 100 for attempt in world.executor.attempts)


def test_strategy_that_ignores_the_budget_costs_no_training(world: World) -> None:
    study = world.study(most=100)

    class Careless:
        def suggest(self, trials: object, rng: object) -> object:
            from autokd.trial import Suggestion

            width = 0.5 + 0.01 * len(trials)  # type: ignore[arg-type]
            return Suggestion(Architecture("made-up", {"width": width}), {})

    study.strategy = Careless()  # type: ignore[assignment]
    study.run()
    assert world.executor.attempts == []
    assert summarise(study.record, study.trials)["trials"]["infeasible"] == 12


def test_nothing_feasible_is_said_and_recorded(world: World) -> None:
    study = world.study(most=0.5)
    with pytest.raises(NothingFeasibleError, match="parameters"):
        study.run()
    assert study.record.stop_reason is StopReason.NOTHING_FEASIBLE
    assert study.record.state is StudyState.STOPPED


def test_fresh_draws_tell_how_good_a_family_is(world: World) -> None:
    final = FinalSpec(top=1, epochs=20, seeds=1, draws=3)
    study = world.study(final=final)
    study.run()
    draws = [trial for trial in study.trials if trial.kind is TrialKind.FAMILY]
    (best,) = study.front.top(1)
    assert {trial.architecture.choices["width"] for trial in draws} == {
        best.architecture.choices["width"]
    }
    assert len({trial.architecture.seed for trial in draws} - {best.architecture.seed}) == 3
    (row,) = summarise(study.record, study.trials)["final"]
    accuracies = [trial.figures["test_accuracy"] for trial in draws]
    assert row["family"]["draws"] == 3
    assert row["family"]["test_accuracy"] == pytest.approx(np.mean(accuracies))
    assert row["family"]["test_accuracy_sd"] == pytest.approx(np.std(accuracies, ddof=1))
    assert row["family"]["best_trial"] in {trial.number for trial in draws}
    attempts = len(world.executor.attempts)
    world.study(final=final).run()
    assert len(world.executor.attempts) == attempts


def test_final_stage_trains_each_student_with_and_without_the_teacher(world: World) -> None:
    study = world.study(final=FinalSpec(top=1, epochs=20, seeds=2))
    study.run()
    final = [attempt for attempt in world.executor.attempts if attempt.test]
    assert [attempt.teach for attempt in final] == [True, False, True, False]
    assert {attempt.epochs for attempt in final} == {attempt.horizon for attempt in final} == {20}
    assert len({attempt.seed for attempt in final}) == 2  # a pair shares its seed
    assert not any(attempt.test for attempt in world.executor.attempts if attempt not in final)
    (row,) = summarise(study.record, study.trials)["final"]
    assert row["test_accuracy"] == pytest.approx(row["baseline_test_accuracy"] + 0.02)
    assert row["trial"] == study.front.trials[0].number
    assert study.record.teacher is not None
    assert study.record.teacher["test_accuracy"] == 0.94


def test_finished_study_does_nothing_when_it_is_run_again(world: World) -> None:
    final = FinalSpec(top=1, epochs=20, seeds=1)
    world.study(final=final).run()
    done = len(world.executor.attempts)
    again = world.study(final=final)
    again.run()
    assert len(world.executor.attempts) == done
    assert world.evaluator.tested == 1
    assert again.record.state is StudyState.COMPLETED


def test_failed_trial_is_data_and_the_search_goes_on(world: World) -> None:
    failure = Failure(FailureClass.NAN, "loss is nan in epoch 1")

    def second_fails(attempt: Attempt) -> Event | None:
        if attempt.trial == 1:
            return Failed(attempt.id, attempt.token, failure)
        return None

    world.executor.fate = second_fails
    study = world.study()
    study.run()
    assert study.trials[1].state is TrialState.FAILED
    assert study.trials[1].failure == failure
    assert study.record.state is StudyState.COMPLETED
    assert summarise(study.record, study.trials)["trials"]["failed"] == 1


def test_too_many_failures_end_the_search(world: World) -> None:
    world.executor.fate = lambda attempt: Failed(
        attempt.id, attempt.token, Failure(FailureClass.ERROR, "no")
    )
    study = world.study(limits=LimitsSpec(trials=50, failures=3), final=FinalSpec())
    study.run()
    assert study.record.stop_reason is StopReason.FAILURES
    assert study.record.state is StudyState.STOPPED
    assert len(study.trials) == 4


def test_lost_worker_costs_an_attempt_and_the_third_the_trial(world: World) -> None:
    def lost(attempt: Attempt) -> Event | None:
        return Lost(attempt.id, attempt.token, "killed by signal 9") if attempt.trial == 0 else None

    world.executor.fate = lost
    study = world.study()
    study.run()
    attempts = study.store.attempts(study.record.id, 0)
    assert [attempt.state for attempt in attempts] == [
        AttemptState.LOST,
        AttemptState.LOST,
        AttemptState.FAILED,
    ]
    assert study.trials[0].failure is not None
    assert study.trials[0].failure.failure_class is FailureClass.LOST_WORKER


def test_lost_workers_are_counted_and_not_attempts(world: World) -> None:
    lost: list[int] = []

    def last_rung_loses_one(attempt: Attempt) -> Event | None:
        if attempt.epochs == RUNGS[-1] and not lost:
            lost.append(attempt.trial)
            return Lost(attempt.id, attempt.token, "killed by signal 9")
        return None

    world.executor.fate = last_rung_loses_one
    study = world.study()
    study.run()
    assert study.trials[lost[0]].state is TrialState.COMPLETE


def test_full_disk_ends_the_run_and_costs_no_trial(world: World) -> None:
    failure = Failure(FailureClass.STORAGE_FULL, "no room for the checkpoint")
    world.executor.fate = lambda attempt: (
        Failed(attempt.id, attempt.token, failure) if len(world.executor.attempts) == 3 else None
    )
    study = world.study()
    with pytest.raises(StorageFullError, match="no room"):
        study.run()
    assert study.record.state is StudyState.FAILED
    study.run()
    assert study.record.state is StudyState.COMPLETED
    assert summarise(study.record, study.trials)["trials"]["failed"] == 0


def test_the_record_keeps_its_limits_until_the_study_runs_with_others(world: World) -> None:
    first = world.study(limits=LimitsSpec(trials=3))
    first.run()
    world.study(limits=LimitsSpec(trials=30))
    assert first.store.study("made-up").spec["limits"]["trials"] == 3


@pytest.mark.parametrize(
    ("asked_before", "reason"),
    [(False, StopReason.COORDINATOR_ENDED), (True, StopReason.USER)],
)
def test_a_study_whose_coordinator_ends_says_so_unless_the_user_stopped_it_first(
    world: World, asked_before: bool, reason: StopReason
) -> None:
    study = world.study()

    def leave_at_second(attempt: Attempt) -> Event | None:
        if len(world.executor.attempts) == 2:
            if asked_before:
                study.stop()
            study.cancel(StopReason.COORDINATOR_ENDED)
            return Stopped(attempt.id, attempt.token)
        return None

    world.executor.fate = leave_at_second
    study.run()
    assert (study.record.state, study.record.stop_reason) == (StudyState.STOPPED, reason)


def test_study_stopped_by_the_user_can_go_on(world: World) -> None:
    study = world.study(final=FinalSpec(top=1, epochs=20, seeds=1))

    def stop_at_third(attempt: Attempt) -> Event | None:
        if len(world.executor.attempts) == 3:
            study.stop()
            return Stopped(attempt.id, attempt.token)
        return None

    world.executor.fate = stop_at_third
    study.run()
    assert study.record.stop_reason is StopReason.USER
    assert study.trials[-1].state is TrialState.QUEUED
    assert not any(attempt.test for attempt in world.executor.attempts)
    again = world.study(final=FinalSpec(top=1, epochs=20, seeds=1))
    again.run()
    assert again.record.state is StudyState.COMPLETED
    assert len(search_trials(again)) == 12


def test_limit_of_epochs_ends_the_search(world: World) -> None:
    study = world.study(limits=LimitsSpec(trials=1000, epochs=20))
    study.run()
    assert study.record.stop_reason is StopReason.EPOCHS
    assert study.store.epochs_trained(study.record.id) < 20 + max(RUNGS)


def test_study_is_not_continued_with_other_data(world: World) -> None:
    world.study(limits=LimitsSpec(trials=3)).run()
    world.evaluator.data = "other digits"
    with pytest.raises(ConflictError, match="another data"):
        world.study(limits=LimitsSpec(trials=6)).run()


def test_two_coordinators_of_one_study_are_refused(world: World) -> None:
    study = world.study()
    with study.store.coordinate(study.record.id), pytest.raises(ConflictError, match="process"):
        world.study().run()


def test_limits_are_those_of_the_record_where_it_is_asked_to_follow_it(world: World) -> None:
    study = world.study(limits=LimitsSpec(trials=12))
    spec = {**study.record.spec, "limits": LimitsSpec(trials=3).model_dump()}
    study.store.change_study(study.record.id, spec=spec)
    study.run(recorded_limits=True)
    assert len(search_trials(study)) == 3
    assert study.store.study(study.record.id).spec["limits"]["trials"] == 3


def test_a_wish_to_go_on_that_comes_while_the_study_ends_is_kept(world: World) -> None:
    study = world.study(limits=LimitsSpec(trials=3))
    more = {**study.record.spec, "limits": LimitsSpec(trials=5).model_dump()}

    def extended_at_the_end(attempt: Attempt) -> None:
        if len(study.trials) == 3 and study.store.study(study.record.id).wish is None:
            study.store.change_study(study.record.id, spec=more, wish=StudyWish.RUN)

    world.executor.fate = extended_at_the_end
    study.run(recorded_limits=True)
    assert study.store.study(study.record.id).wish is StudyWish.RUN
    study.run(recorded_limits=True)
    assert len(search_trials(study)) == 5
    assert study.store.study(study.record.id).wish is None


def fails_at_first(attempt: Attempt) -> Event | None:
    if attempt.trial == 1 and attempt.folder.name == "attempt-1":
        return Failed(attempt.id, attempt.token, Failure(FailureClass.NAN, "loss is nan"))
    return None


def test_a_study_that_is_complete_does_what_is_asked_of_its_trials(world: World) -> None:
    world.executor.fate = fails_at_first
    study = world.study()
    study.run()
    asked = study.store.add_operation("retry", study.record.id, {"trial": 1})
    study.run()
    assert study.store.operation(asked.id).response == {"trial": 1}
    assert study.trials[1].failure is None
    assert len(search_trials(study)) == 12


def test_a_request_is_done_once_however_the_study_ends_while_it_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.executor.fate = fails_at_first
    study = world.study()
    study.run()
    asked = study.store.add_operation("retry", study.record.id, {"trial": 1})

    def unavailable(*arguments: object, **more: object) -> None:
        raise StoreUnavailableError("the database is gone")

    with monkeypatch.context() as patch, pytest.raises(StoreUnavailableError):
        patch.setattr(study.store, "end_operation", unavailable)
        study.run()
    assert study.store.trial(study.record.id, 1).state is TrialState.FAILED
    assert study.store.operation(asked.id).state == "queued"
    study.run()
    assert study.store.operation(asked.id).state == "succeeded"
    states = [attempt.state for attempt in study.store.attempts(study.record.id, 1)]
    assert states[:2] == [AttemptState.FAILED, AttemptState.DONE]


def test_a_trial_that_is_cancelled_is_no_failure_of_the_study(world: World) -> None:
    study = world.study(limits=LimitsSpec(trials=12, failures=0))
    study.run()
    paused = next(trial for trial in study.trials if trial.state is TrialState.PAUSED)
    asked = study.store.add_operation("cancel_trial", study.record.id, {"trial": paused.number})
    study.run()
    assert study.store.operation(asked.id).state == "succeeded"
    assert study.record.state is StudyState.COMPLETED
    failure = study.trials[paused.number].failure
    assert failure is not None and failure.failure_class is FailureClass.CANCELLED


def test_what_ran_when_the_process_died_is_not_held_against_its_trial(world: World) -> None:
    class Killed(BaseException):
        pass

    class Sudden(ImmediateExecutor):
        def submit(self, attempt: Attempt) -> None:
            raise Killed

        def close(self) -> None:
            raise Killed

    for _ in range(4):
        world.executor = Sudden()
        with pytest.raises(Killed):
            world.study().run()
    world.executor = ImmediateExecutor()
    study = world.study()
    assert len(study.store.running_attempts(study.record.id)) == 1
    study.run()
    states = [attempt.state for attempt in study.store.attempts(study.record.id, 0)]
    assert states[:5] == [AttemptState.STOPPED] * 4 + [AttemptState.DONE]
    assert study.trials[0].failure is None


def test_what_a_person_asks_for_is_trained_whatever_limit_was_reached(world: World) -> None:
    world.executor.fate = fails_at_first
    study = world.study(limits=LimitsSpec(trials=12, epochs=20))
    study.run()
    assert study.record.stop_reason is StopReason.EPOCHS
    before = len(study.trials)
    study.store.add_operation("retry", study.record.id, {"trial": 1})
    study.run()
    assert study.trials[1].state in (TrialState.PAUSED, TrialState.COMPLETE)
    assert len(study.trials) == before


def test_an_extension_that_comes_in_the_final_stage_is_kept(world: World) -> None:
    study = world.study(limits=LimitsSpec(trials=3), final=FinalSpec(top=1, epochs=20, seeds=1))
    more = {**study.record.spec, "limits": LimitsSpec(trials=5).model_dump()}

    def extended_in_the_final_stage(attempt: Attempt) -> None:
        if attempt.test and study.store.study(study.record.id).wish is None:
            study.store.change_study(study.record.id, spec=more, wish=StudyWish.RUN)
            study.follow_record()  # as the coordinator has it done

    world.executor.fate = extended_in_the_final_stage
    study.run(recorded_limits=True)
    assert study.store.study(study.record.id).wish is StudyWish.RUN
    study.run(recorded_limits=True)
    assert len(search_trials(study)) == 5
