"""A study that a coordinator runs, watched from its record until it has ended."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import typer

from autokd.cli.ending import conclude
from autokd.cli.output import say
from autokd.cli.progress import Display, progress_display
from autokd.cli.records import Happened, Records, Standing
from autokd.multiobjective import ParetoFront
from autokd.report import objectives_of
from autokd.spec import StudySpec
from autokd.store import StudyRecord
from autokd.study import Happening
from autokd.trial import Trial, TrialKind, TrialState

_GOES_ON = frozenset({"queued", "running", "pausing", "stopping", "cancelling", "interrupted"})
"""Something will still happen to such a study without anybody's doing."""

_KINDS = {
    TrialState.RUNNING: "started",
    TrialState.PAUSED: "finished",
    TrialState.COMPLETE: "finished",
    TrialState.FAILED: "failed",
}
"""What a change of a trial's state is called in a search that runs here."""


def watch(
    records: Records,
    study: Standing,
    *,
    quiet: bool,
    as_json: bool,
    found_nothing_to_do: bool = False,
) -> None:
    """Shows what happens to a study until nothing more will, then what came of it.

    Ctrl-C ends the watching, not the study.

    Raises:
        typer.Exit: with the code of how it ended, unless that was well.
    """
    try:
        study = _follow(records, study, quiet=quiet)
    except KeyboardInterrupt:
        again = f"autokd study watch {study.name}{records.options}"
        say(f"study {study.name} goes on; to see more of it: {again}")
        raise typer.Exit(130) from None
    conclude(
        records.summary(study),
        records.options,
        as_json=as_json,
        error=study.error,
        found_nothing_to_do=found_nothing_to_do,
    )


def _follow(records: Records, study: Standing, *, quiet: bool) -> Standing:
    """How a study stands when nothing more will happen to it."""
    with records.events(study) as events:
        # It listens by now: what is read from here on is not older than what will be told.
        record = records.record(study)
        watched = _Watched(records, record, records.trials(record))
        study = records.again(study)
        if study.status in ("queued", "interrupted"):
            say(f"study {study.name} is {study.status}: it waits for a coordinator")
        with progress_display(StudySpec.model_validate(record.spec), quiet=quiet) as display:
            for trial in watched.trials:
                if trial.state is TrialState.RUNNING:
                    watched.tell("started", trial, display)
            while study.status in _GOES_ON:
                event = next(events)
                if event.kind == "study":
                    study = records.again(study)
                    if event.data.get("deleted"):
                        break
                else:
                    watched.take(event, display)
    return study


class _Watched:
    """A study as far as its events have told; what a display shows of a search."""

    def __init__(self, records: Records, record: StudyRecord, trials: Sequence[Trial]) -> None:
        self.objectives = objectives_of(record)
        self._records = records
        self._record = record
        self._trials = {trial.number: trial for trial in trials}
        self._searching_since: float | None = None
        self._in_final_stage = False

    @property
    def trials(self) -> list[Trial]:
        """All trials of all kinds."""
        return list(self._trials.values())

    @property
    def front(self) -> ParetoFront:
        """The Pareto front of the trials finished so far."""
        return ParetoFront.from_trials(self.trials, self.objectives)

    @property
    def seconds(self) -> float:
        """Wall time spent searching: in earlier runs of the study, and while it was watched."""
        since = self._searching_since
        return self._record.seconds + (time.monotonic() - since if since is not None else 0)

    def take(self, event: Happened, display: Display) -> None:
        """Takes note of an event, and has it shown."""
        if event.kind == "trial":
            state = TrialState(event.data["state"])
            trial = self._changed(event.data, state)
            self._trials[trial.number] = trial
            if state in _KINDS:
                self.tell(_KINDS[state], trial, display)
        elif event.kind in ("epoch", "teacher_epoch"):
            whose = self._trials.get(event.data.get("trial", -1))
            epoch, metrics = event.data["epoch"], event.data["metrics"]
            if whose is not None or event.kind == "teacher_epoch":
                display(self, Happening(event.kind, whose, epoch, metrics))

    def tell(self, kind: str, trial: Trial, display: Display) -> None:
        """Has something shown that happened to a trial."""
        if trial.kind is TrialKind.SEARCH:
            self._searching_since = self._searching_since or time.monotonic()
        elif not self._in_final_stage:
            self._in_final_stage = True
            display(self, Happening("final"))
        display(self, Happening(kind, trial))

    def _changed(self, data: Mapping[str, Any], state: TrialState) -> Trial:
        """A trial as it was when the event happened; it may have changed again since."""
        known = self._trials.get(data["trial"])
        if known is None or state.is_finished():
            known = self._records.trial(self._record, data["trial"])
        done = tuple(each for each in known.evaluations if each.epochs <= data["epochs"])
        return replace(known, state=state, epochs=data["epochs"], evaluations=done)
