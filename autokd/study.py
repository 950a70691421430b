"""The search: one loop from suggestion to Pareto front, whoever called it.

    suggest or promote ─► cost, budget ─► attempt on a worker ─► record ─┐
        ▲                                                               │
        └───────────────────── the record is the only state ◄───────────┘

The loop decides from the record alone, so a study that was killed, stopped or extended goes on as
if nothing had happened. It runs in the coordinator, the only process that writes the record.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from autokd.budget import Budget, Cost
from autokd.errors import (
    AutokdError,
    ConflictError,
    NotFoundError,
    NothingFeasibleError,
    StorageFullError,
    StoreUnavailableError,
)
from autokd.executors import (
    Alive,
    EpochDone,
    Event,
    Executor,
    Failed,
    Finished,
    Lost,
    Stopped,
)
from autokd.final_stage import Retraining, retrainings
from autokd.multiobjective import Objective, ParetoFront
from autokd.seeding import rng_for, seed_for
from autokd.space import Architecture
from autokd.spec import FinalSpec, StudySpec
from autokd.store import TRIAL_REQUESTS, OperationRecord, Store, StudyRecord
from autokd.strategies import Fidelity, SpaceExhausted, Strategy
from autokd.trial import (
    ASKED,
    CHECKPOINT,
    GAIN,
    Attempt,
    AttemptState,
    Failure,
    FailureClass,
    StopReason,
    StudyState,
    Suggestion,
    Trial,
    TrialKind,
    TrialState,
)

_LOG = logging.getLogger(__name__)

_MOST_LOST_WORKERS = 3
"""A trial that loses so many in a row, without a checkpoint in between, is taken to kill them."""

_PROPOSALS_WITHOUT_GAIN = 5
"""In a row; one alone may be a model that was misled."""

_POLL_SECONDS = 0.5
"""How long the loop waits for an event before it looks at the clock and at `stop`."""


class Evaluator(Protocol):
    """What the loop needs to know of the learning side; it runs in the coordinator."""

    def cost(self, architecture: Architecture) -> Cost:
        """The student's cost, without training; remembered per architecture."""
        ...

    def prepare(self, report: Callable[[int, Mapping[str, float]], None]) -> dict[str, float]:
        """Makes the teacher ready (trains it if it must) and gives its figures.

        Called once per run, before any trial. `report` is called after each epoch of training.
        """
        ...

    def content(self) -> dict[str, str]:
        """Fingerprints of the data and the teacher, by `data` and `teacher`. After `prepare`."""
        ...

    def test_teacher(self) -> dict[str, float]:
        """The teacher's figures on the test split. Called once, in the final stage."""
        ...


@dataclass(frozen=True)
class Happening:
    """Something that an observer may want to show.

    Attributes:
        kind: `teacher_epoch`, `started`, `epoch`, `finished`, `failed`, `final` or `ended`.
        trial: the trial it happened to, if any.
        epoch: finished epochs, for `teacher_epoch` and `epoch`.
        metrics: of that epoch.
    """

    kind: str
    trial: Trial | None = None
    epoch: int = 0
    metrics: Mapping[str, float] | None = None


Observer = Callable[["Study", Happening], None]


def recorded_study(store: Store, spec: StudySpec) -> StudyRecord:
    """The record of the spec's study, new or to be continued.

    A study without trials may still become another one: it failed before it began.

    Raises:
        ConflictError: the store has another study of this name.
    """
    try:
        record = store.study(spec.name)
    except NotFoundError:
        return store.create_study(spec.name, spec.model_dump(mode="json"))
    known = StudySpec.model_validate(record.spec).identity
    changed = [name for name, value in spec.identity.items() if known.get(name) != value]
    if changed and store.trials(record.id):
        raise ConflictError(
            f"the record has another study {spec.name!r}: it differs in {', '.join(changed)}",
            hint="give the new study another name, or delete the old one with "
            f"`autokd study delete {spec.name}`",
        )
    return record


class Study:
    """A spec, its trials and the loop that adds to them; made by `autokd.assemble_study`.

    Args:
        record: the study as the store has it.
        store: where everything is written.
        strategy: proposes candidates.
        fidelity: decides which trial may train on.
        objectives: axes of the front; the first ranks candidates for the final stage.
        budget: limits of the student.
        teacher_cost: of the teacher, recorded before it is trained or loaded.
        spec: limits, final stage, seed and the like; it replaces the recorded one when the study
            runs.
        evaluator: the learning side.
        make_executor: starts the workers; called when the teacher is ready.
        admit: the suggestion that somebody's own candidate is, from the request that names it;
            raises AutokdError if the space has no such candidate.
        observe: called after each thing that happens.
    """

    def __init__(
        self,
        record: StudyRecord,
        store: Store,
        *,
        strategy: Strategy,
        fidelity: Fidelity,
        objectives: tuple[Objective, ...],
        budget: Budget,
        teacher_cost: Cost,
        spec: StudySpec,
        evaluator: Evaluator,
        make_executor: Callable[[], Executor],
        admit: Callable[[Mapping[str, Any]], Suggestion] | None = None,
        observe: Observer | None = None,
    ) -> None:
        self.record = record
        self.store = store
        self.strategy = strategy
        self.fidelity = fidelity
        self.objectives = objectives
        self.budget = budget
        self.teacher_cost = teacher_cost
        self.spec = spec
        self.evaluator = evaluator
        self.share: int | None = None
        """Slots of the executor that it may use, at least 1; None: all. Any thread may set it."""
        self._make_executor = make_executor
        self._admit = admit
        self._observe = observe or (lambda study, happening: None)
        # The record, kept to save reading it again at every step: by number.
        self._trials = {trial.number: trial for trial in store.trials(record.id)}
        self._running: dict[int, _Running] = {}
        self._stop_asked = False
        self._asked_by = StopReason.USER
        self._at_once = False
        self._enough = False
        self._exhausted = False
        self._version = record.version
        # Running trials that are to be cancelled, with the operation that asks for it.
        self._decided = record.version
        self._cancelled: dict[int, int] = {}
        self._searching_since: float | None = None

    @property
    def trials(self) -> list[Trial]:
        """All trials of all kinds, in the order of their creation."""
        return list(self._trials.values())

    @property
    def front(self) -> ParetoFront:
        """The Pareto front of the trials finished so far."""
        return ParetoFront.from_trials(self.trials, self.objectives)

    @property
    def seconds(self) -> float:
        """Wall time spent searching, over all runs of the study."""
        since = self._searching_since
        return self.record.seconds + (time.monotonic() - since if since is not None else 0)

    def stop(self) -> None:
        """Asks the loop to end soon: running trials save a checkpoint and can go on later."""
        self._stop_asked = True

    def cancel(self, why: StopReason = StopReason.USER) -> None:
        """Asks the loop to end now: running trials lose the epoch that they are in."""
        if not self._stop_asked:
            self._asked_by = why
        self._at_once = True
        self._stop_asked = True

    def finish(self) -> None:
        """Asks the search to end and the final stage to begin; what runs ends its rung first."""
        self._enough = True

    def follow_record(self) -> None:
        """Goes on within the limits that the record has by now, from its next step on."""
        record = self.store.study(self.record.id)
        recorded = StudySpec.model_validate(record.spec)
        limits = {"limits": recorded.limits, "final": recorded.final}
        self.spec = self.spec.model_copy(update=limits)
        self._version = record.version

    def run(self, *, recorded_limits: bool = False) -> ParetoFront:
        """Searches until a limit is reached, then runs the final stage.

        A study that ended can be run again: with larger limits it goes on, otherwise it has
        nothing left to do.

        Args:
            recorded_limits: whether the limits are those that the record has when it begins, and
                not those of the spec that it was made with.

        Returns:
            The Pareto front.

        Raises:
            ConflictError: another process runs this study.
            NothingFeasibleError: no architecture within the budget was found.
        """
        with self.store.coordinate(self.record.id):
            self._adopt_record()
            if recorded_limits:
                self.follow_record()
            elif (spec := self.spec.model_dump(mode="json")) != self.record.spec:
                self._update(spec=spec)
            self._exhausted = False
            if self._is_done() and not self._requests():
                self._update(wish=None, version=self._version)
                return self.front
            self._update(state=StudyState.RUNNING, stop_reason=None, error=None)
            self._decided = self._version
            try:
                reason = self._run_stages()
            except KeyboardInterrupt:
                # What still ran is taken up from its checkpoints by the next run.
                self._end(StopReason.USER)
                raise
            except NothingFeasibleError:
                self._end(StopReason.NOTHING_FEASIBLE)
                raise
            except StoreUnavailableError:
                raise  # where the record stands is where it goes on
            except AutokdError as error:
                self._update(state=StudyState.FAILED, error=str(error), wish=None)
                raise
            else:
                self._end(reason)
            finally:
                self._stop_asked = self._at_once = False
                self._asked_by = StopReason.USER
        return self.front

    def _run_stages(self) -> StopReason:
        """Teacher, search, final stage; says why the search ended."""
        if not self._trials:
            self._update(teacher=self.teacher_cost.figures())
            # Whether anything fits the budget is known before the teacher has been trained.
            with suppress(SpaceExhausted):
                self.strategy.suggest([], rng_for(self.spec.seed, 0, "suggest"))
        try:
            teacher = self.evaluator.prepare(self._teacher_epoch)
        except _StopAskedError:
            return StopReason.USER
        self._check_content()
        self._update(teacher={**(self.record.teacher or {}), **teacher})
        executor = self._make_executor()
        try:
            reason = self._search(executor)
            if reason in _WITH_FINAL_STAGE and self.spec.final is not None:
                self._run_final_stage(executor, self.spec.final)
        finally:
            executor.close()
            # What still ran, if the end was sudden, waits for the next run.
            for attempt_id, running in self._running.items():
                token = running.token
                self._remember(self._release(attempt_id, token, running, AttemptState.STOPPED))
            self._running.clear()
        return reason

    def _check_content(self) -> None:
        """Refuses to mix trials of two experiments that a study file cannot tell apart."""
        content = self.evaluator.content()
        events = self.store.events(self.record.id)
        known = next((event.data for event in events if event.kind == "content"), None)
        if known is None:
            self.store.add_event(self.record.id, "content", content)
            return
        changed = [name for name, value in content.items() if known.get(name) != value]
        if changed:
            raise ConflictError(
                f"study {self.record.name!r} was searched with other content: another "
                + " and another ".join(changed),
                hint="bring back what it was searched with, or give the new study another name",
            )

    def _teacher_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        data = {"epoch": epoch, "metrics": dict(metrics)}
        self.store.add_event(self.record.id, "teacher_epoch", data)
        self._tell("teacher_epoch", epoch=epoch, metrics=metrics)
        if self._stop_asked:
            raise _StopAskedError

    # The search

    def _search(self, executor: Executor) -> StopReason:
        """Fills the slots until a limit is reached; says which."""
        self._searching_since = time.monotonic()
        try:
            self._drive(executor, self._next_search_trial, self._propose_ahead)
        finally:
            self._update(seconds=self.seconds)
            self._searching_since = None
        if self._stop_asked:
            return StopReason.USER
        if self._exhausted:
            return self._limit_reached() or StopReason.SPACE_EXHAUSTED
        ended = StopReason.CONVERGED if self._has_converged() else StopReason.TRIALS
        return self._limit_reached() or ended

    def _limit_reached(self) -> StopReason | None:
        """The limit that forbids to start anything more, if there is one."""
        if self._enough:
            return StopReason.ENOUGH
        search = self._of_kind(TrialKind.SEARCH)
        failures = [trial.failure.failure_class for trial in search if trial.failure is not None]
        if len(failures) - failures.count(FailureClass.CANCELLED) > self.spec.limits.failures:
            return StopReason.FAILURES
        if self.spec.limits.seconds is not None and self.seconds >= self.spec.limits.seconds:
            return StopReason.SECONDS
        if self.spec.limits.epochs is not None:
            if self.store.epochs_trained(self.record.id) >= self.spec.limits.epochs:
                return StopReason.EPOCHS
        return None

    def _has_converged(self) -> bool:
        """Whether the last proposals all promised less than `limits.converged`."""
        least = self.spec.limits.converged
        newest = self._of_kind(TrialKind.SEARCH)[-_PROPOSALS_WITHOUT_GAIN:]
        gains = [trial.notes.get(GAIN) for trial in newest]
        return (
            least is not None
            and len(gains) == _PROPOSALS_WITHOUT_GAIN
            and all(gain is not None and gain < least for gain in gains)
        )

    def _next_search_trial(self) -> Trial | None:
        """What to train next: interrupted work, then a promotion, then something new."""
        # Taken before the limits are looked at: what is wished later is not decided yet.
        self._decided = self._version
        for trial in self._trials.values():
            if trial.state is TrialState.QUEUED and trial.notes.get(ASKED):
                return trial
        if self._limit_reached() is not None:
            return None
        search = self._of_kind(TrialKind.SEARCH)
        queued = [trial for trial in search if trial.state is TrialState.QUEUED]
        for trial in queued:
            if trial.checkpoint is not None:
                return trial
        promoted = self.fidelity.promotion(search, self._may_start(search) or bool(queued))
        if promoted is not None:
            epochs = self.fidelity.next_epochs(promoted)
            return self._remember(self.store.promote(self.record.id, promoted.number, epochs))
        return queued[0] if queued else self._propose(search)

    def _propose_ahead(self) -> None:
        """Records one proposal more than can run, so that no slot that gets free waits for it."""
        search = self._of_kind(TrialKind.SEARCH)
        if self._limit_reached() is None and not self._exhausted:
            if not any(trial.state is TrialState.QUEUED for trial in search):
                self._propose(search)

    def _may_start(self, search: Sequence[Trial]) -> bool:
        return len(search) < self.spec.limits.trials and not self._has_converged()

    def _propose(self, search: list[Trial]) -> Trial | None:
        """A new trial that is queued, or None; what is over budget is recorded on the way."""
        while self._may_start(search):
            rng = rng_for(self.spec.seed, len(search), "suggest")
            try:
                suggestion = self.strategy.suggest(search, rng)
            except SpaceExhausted:
                self._exhausted = True
                return None
            trial = self._add(suggestion)
            if trial.state is TrialState.QUEUED:
                return trial
            search.append(trial)
        return None

    def _add(self, suggestion: Suggestion) -> Trial:
        """Records a suggestion; one over budget is recorded as infeasible and never trained."""
        cost = self.evaluator.cost(suggestion.architecture)
        feasible = not self.budget.violations(cost)
        return self._remember(
            self.store.add_trial(
                self.record.id,
                kind=TrialKind.SEARCH,
                architecture=suggestion.architecture,
                distillation=suggestion.distillation,
                cost=cost,
                repeat=0,
                state=TrialState.QUEUED if feasible else TrialState.INFEASIBLE,
                epochs=self.fidelity.first_epochs(len(self._of_kind(TrialKind.SEARCH))),
                notes=suggestion.notes,
            )
        )

    # The final stage

    def _run_final_stage(self, executor: Executor, final: FinalSpec) -> None:
        """Retrains the best of the front in full, with and without the teacher, and tests them."""
        wanted = [self._retraining(one) for one in self._retrainings(final)]
        if not wanted or self._stop_asked:
            return
        self._tell("final")

        def next_wanted() -> Trial | None:
            now = (self._trials[trial.number] for trial in wanted)
            return next((trial for trial in now if trial.state is TrialState.QUEUED), None)

        self._drive(executor, next_wanted)
        if not self._stop_asked and "test_accuracy" not in (self.record.teacher or {}):
            figures = self.evaluator.test_teacher()
            self._update(teacher={**(self.record.teacher or {}), **figures})

    def _retrainings(self, final: FinalSpec) -> list[Retraining]:
        cost = self.evaluator.cost
        return retrainings(final, self.front, self.budget, cost, self.spec.seed)

    def _retraining(self, wanted: Retraining) -> Trial:
        """The trial of a retraining, recorded if it is not yet."""
        known = next(filter(wanted.is_of, self.trials), None)
        return known or self._remember(
            self.store.add_trial(
                self.record.id,
                kind=wanted.kind,
                architecture=wanted.architecture,
                distillation=wanted.distillation,
                cost=wanted.cost,
                repeat=wanted.repeat,
                state=TrialState.QUEUED,
                epochs=wanted.epochs,
            )
        )

    # The loop

    def _drive(
        self,
        executor: Executor,
        next_trial: Callable[[], Trial | None],
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """Keeps every slot busy with what `next_trial` gives, until it gives none and all ended.

        It is asked again after each event, since what has just finished may allow more. While all
        of several slots are busy, `prepare` is called. One slot alone is worth waiting for: the
        next proposal knows what the trial before it came to, however the study was interrupted.
        """
        while True:
            self._serve_requests(executor)
            slots = min(executor.slots, self.share or executor.slots)
            while not self._stop_asked and len(self._running) < slots:
                trial = next_trial()
                if trial is None:
                    break
                self._dispatch(executor, trial)
            if not self._running or self._at_once:
                return
            if prepare is not None and len(self._running) == slots > 1:
                prepare()
            if self._stop_asked or self._deadline_passed():
                for attempt_id, running in self._running.items():
                    if self._stop_asked or not self._trials[running.trial].notes.get(ASKED):
                        executor.stop(attempt_id)
            for event in executor.poll(_POLL_SECONDS):
                self._take(event)

    def _requests(self) -> list[OperationRecord]:
        """What people have asked to be done to single trials, and is not done yet."""
        return self.store.operations(self.record.id, kinds=TRIAL_REQUESTS, states=("queued",))

    def _serve_requests(self, executor: Executor) -> None:
        """Does what people have asked to be done to single trials, and says what came of it."""
        self._cancelled.clear()
        for operation in self._requests():
            try:
                self._serve(operation, executor)
            except (StoreUnavailableError, StorageFullError):
                raise
            except AutokdError as error:
                self.store.end_operation(operation.id, error=error.as_data())

    def _serve(self, operation: OperationRecord, executor: Executor) -> None:
        """Does one of them, and says so in the same transaction: none is done twice."""
        store, study = self.store, self.record.id
        if operation.kind == "enqueue":
            if self._admit is None:
                raise ConflictError("this study takes no candidates from outside")
            suggestion = self._admit(operation.request)
            suggestion = replace(suggestion, notes={**suggestion.notes, ASKED: True})
            self.evaluator.cost(suggestion.architecture)  # which is remembered, and takes a while
            with store.together():
                trial = self._add(suggestion)
                store.end_operation(operation.id, response={"trial": trial.number})
            return
        number = operation.request["trial"]
        running = [id for id, running in self._running.items() if running.trial == number]
        if operation.kind == "cancel_trial" and running:
            self._cancelled[number] = operation.id
            executor.stop(running[0])
            return
        change = store.retry_trial if operation.kind == "retry" else store.cancel_trial
        with store.together():
            self._remember(change(study, number))
            store.end_operation(operation.id, response={"trial": number})

    def _deadline_passed(self) -> bool:
        seconds = self.spec.limits.seconds
        return self._searching_since is not None and seconds is not None and self.seconds >= seconds

    def _dispatch(self, executor: Executor, trial: Trial) -> None:
        """Commits the attempt before it is handed out, so that no work is ever unaccounted for."""
        lease = self.store.start_attempt(
            self.record.id, trial.number, lease_seconds=self.spec.execution.lease_seconds
        )
        root = self.record.folder
        attempt = Attempt(
            id=lease.id,
            token=lease.token,
            trial=trial.number,
            architecture=trial.architecture,
            distillation=trial.distillation,
            # By candidate and repeat, not by kind: a student and its baseline start alike.
            seed=seed_for(self.spec.seed, trial.candidate, f"train/{trial.repeat}"),
            epochs=trial.epochs,
            horizon=trial.epochs if trial.kind is not TrialKind.SEARCH else self.fidelity.rungs[-1],
            folder=root / lease.folder,
            checkpoint=root / trial.checkpoint if trial.checkpoint else None,
            teach=trial.kind is not TrialKind.BASELINE,
            test=trial.kind is not TrialKind.SEARCH,
            recorded=self.store.epochs_recorded(self.record.id, trial.number),
        )
        trial = self._remember(replace(trial, state=TrialState.RUNNING))
        self._running[attempt.id] = _Running(trial.number, lease.token, Path(lease.folder))
        executor.submit(attempt)
        self._tell("started", trial)

    def _take(self, event: Event) -> None:
        """Writes one event of a worker into the record."""
        running = self._running.get(event.attempt_id)
        if running is None:
            return
        store, attempt_id, token = self.store, event.attempt_id, event.token
        match event:
            case Alive():
                store.renew(attempt_id, token, self.spec.execution.lease_seconds)
                return
            case EpochDone():
                store.record_epoch(attempt_id, token, event.epoch, event.metrics)
                trial = self._trials[running.trial]
                self._tell("epoch", trial, event.epoch, event.metrics)
                return
            case Finished():
                state = (
                    TrialState.COMPLETE
                    if self._is_last_rung(self._trials[running.trial])
                    else TrialState.PAUSED
                )
                checkpoint = self._checkpoint(running)
                trial = store.finish_attempt(attempt_id, token, event.evaluation, checkpoint, state)
            case Failed() if event.failure.failure_class is FailureClass.STORAGE_FULL:
                self._release(attempt_id, token, running, AttemptState.STOPPED)
                del self._running[attempt_id]
                raise StorageFullError(
                    event.failure.message.removeprefix("StorageFullError: "),
                    hint="free some space, then go on with the study: nothing is lost",
                )
            case Failed():
                trial = store.fail_attempt(attempt_id, token, event.failure)
            case Lost() if self._lost_workers(running) >= _MOST_LOST_WORKERS:
                message = f"lost {_MOST_LOST_WORKERS} workers, the last: {event.message}"
                failure = Failure(FailureClass.LOST_WORKER, message)
                trial = store.fail_attempt(attempt_id, token, failure)
            case Lost():
                lost = AttemptState.LOST
                trial = self._release(attempt_id, token, running, lost, event.message)
            case Stopped() if running.trial in self._cancelled:
                failure = Failure(FailureClass.CANCELLED, "cancelled")
                operation = self._cancelled.pop(running.trial)
                with store.together():
                    trial = store.fail_attempt(attempt_id, token, failure)
                    store.end_operation(operation, response={"trial": running.trial})
            case Stopped():
                trial = self._release(attempt_id, token, running, AttemptState.STOPPED)
        del self._running[attempt_id]
        self._remember(trial)
        self._update(seconds=self.seconds)
        self._tell("failed" if trial.state is TrialState.FAILED else "finished", trial)

    def _lost_workers(self, running: _Running) -> int:
        """How many workers a trial has lost in a row, this one included, without a checkpoint."""
        root = self.record.folder
        lost = 0
        if not (root / running.folder / CHECKPOINT).exists():
            lost = 1
            for earlier in reversed(self.store.attempts(self.record.id, running.trial)[:-1]):
                has_checkpoint = (root / earlier.folder / CHECKPOINT).exists()
                if earlier.state is not AttemptState.LOST or has_checkpoint:
                    break
                lost += 1
        return lost

    def _release(
        self,
        attempt_id: int,
        token: str,
        running: _Running,
        state: AttemptState,
        message: str = "",
    ) -> Trial:
        """Puts a trial back into the queue, to go on from its newest checkpoint."""
        checkpoint = self._checkpoint(running)
        return self.store.release_attempt(attempt_id, token, state, checkpoint, message)

    def _checkpoint(self, running: _Running) -> str | None:
        """The checkpoint that the attempt has written, relative to the study's folder."""
        relative = running.folder / CHECKPOINT
        return relative.as_posix() if (self.record.folder / relative).exists() else None

    def _is_last_rung(self, trial: Trial) -> bool:
        return trial.kind is not TrialKind.SEARCH or trial.epochs >= self.fidelity.rungs[-1]

    # The record

    def _adopt_record(self) -> None:
        """Takes over from a coordinator that is gone: what it left running is requeued.

        Local workers end with their coordinator, so none can still be at work.
        """
        self.record = self.store.study(self.record.id)
        self._version = self.record.version
        self._trials = {trial.number: trial for trial in self.store.trials(self.record.id)}
        self._running.clear()
        for lease in self.store.running_attempts(self.record.id):
            running = _Running(lease.trial, lease.token, Path(lease.folder))
            message = "the process that ran the study is gone"
            state = AttemptState.STOPPED  # the trial is not to blame, as it may be for lost workers
            self._remember(self._release(lease.id, lease.token, running, state, message))

    def _is_done(self) -> bool:
        """Whether running again could add nothing: no limit was raised, nothing is left over."""
        if self.record.state is not StudyState.COMPLETED:
            return False
        search = self._of_kind(TrialKind.SEARCH)
        open_trials = [trial for trial in self.trials if not trial.state.is_finished()]
        if any(trial.notes.get(ASKED) and not trial.state.is_finished() for trial in search):
            return False
        searched = self._limit_reached() is not None or (
            not open_trials
            and self.fidelity.promotion(search, may_start=False) is None
            and (
                len(search) >= self.spec.limits.trials
                or self.record.stop_reason is StopReason.SPACE_EXHAUSTED
                or self._has_converged()
            )
        )
        return searched and (self.spec.final is None or self._final_stage_is_done(self.spec.final))

    def _final_stage_is_done(self, final: FinalSpec) -> bool:
        finished = [trial for trial in self.trials if trial.state.is_finished()]
        return all(any(map(one.is_of, finished)) for one in self._retrainings(final))

    def _end(self, reason: StopReason) -> None:
        completed = reason in _WITH_FINAL_STAGE and not self._stop_asked
        state = StudyState.COMPLETED if completed else StudyState.STOPPED
        # One that was interrupted is still wanted: to go on, or to be told as paused or cancelled.
        wish = {} if self._stop_asked else {"wish": None, "version": self._decided}
        reason = self._asked_by if self._stop_asked else reason
        self._update(state=state, stop_reason=reason, **wish)
        self._tell("ended")

    def _of_kind(self, kind: TrialKind) -> list[Trial]:
        return [trial for trial in self._trials.values() if trial.kind is kind]

    def _remember(self, trial: Trial) -> Trial:
        self._trials[trial.number] = trial
        return trial

    def _update(self, **fields: Any) -> None:
        self.record = self.store.update_study(self.record.id, **fields)
        if "seconds" in fields and self._searching_since is not None:
            self._searching_since = time.monotonic()

    def _tell(
        self,
        kind: str,
        trial: Trial | None = None,
        epoch: int = 0,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        self._observe(self, Happening(kind, trial, epoch, metrics))


_WITH_FINAL_STAGE = frozenset(
    {
        StopReason.TRIALS,
        StopReason.EPOCHS,
        StopReason.SECONDS,
        StopReason.CONVERGED,
        StopReason.SPACE_EXHAUSTED,
        StopReason.ENOUGH,
    }
)
"""Ways to end a search that leave something worth retraining in full."""


class _StopAskedError(Exception):
    """Ends the training of the teacher, which goes on after its last whole epoch."""


@dataclass(frozen=True)
class _Running:
    """An attempt under way, as far as the loop must remember it."""

    trial: int
    token: str
    folder: Path
