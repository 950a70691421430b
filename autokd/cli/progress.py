"""Live progress of a search on stderr: a panel on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from autokd.cli.output import duration, figure, stderr
from autokd.report import count
from autokd.study import Happening, Observer, Study
from autokd.trial import Trial, TrialKind

if TYPE_CHECKING:
    from autokd.spec import StudySpec

_RATE_WINDOW = 60
"""Epochs over which the rate is measured."""


@contextmanager
def progress_display(spec: StudySpec, *, quiet: bool) -> Iterator[Observer]:
    """An observer that shows what happens, while the context lasts."""
    console = stderr()
    if quiet:
        yield lambda study, happening: None
    elif console.is_terminal:
        panel = _Panel(spec)
        with Live(console=console, refresh_per_second=4, get_renderable=panel.draw):
            yield panel.observe
    else:
        yield _Lines(console, spec).observe


@dataclass
class _Panel:
    """What the live table shows; drawn anew four times a second."""

    spec: StudySpec
    stage: str = "preparing"
    study: Study | None = None
    running: dict[int, str] = field(default_factory=dict)
    finished: deque[float] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))

    def observe(self, study: Study, happening: Happening) -> None:
        """Takes note of what happened."""
        self.study = study
        trial = happening.trial
        if happening.kind == "teacher_epoch":
            self.stage = f"teacher, epoch {happening.epoch} of {self.spec.teacher.epochs}"
        elif happening.kind == "final":
            self.stage = "final: the best of the front in full"
        elif trial is not None and happening.kind in ("started", "epoch"):
            self.stage = "search" if trial.kind is TrialKind.SEARCH else self.stage
            done = f"epoch {happening.epoch}/{trial.epochs}"
            self.running[trial.number] = f"{trial.kind.value} {trial.number}  {done}"
            if happening.kind == "epoch":
                self.finished.append(time.monotonic())
        elif trial is not None:
            self.running.pop(trial.number, None)

    def draw(self) -> Table:
        """The table as it stands."""
        grid = Table.grid(padding=(0, 2))
        grid.add_row("[bold]study", f"{self.spec.name}: {self.stage}")
        if self.study is not None:
            grid.add_row("trials", _counts(self.study, self.spec))
            grid.add_row("best so far", _best(self.study))
            grid.add_row("speed", f"{self._rate():.1f} epochs/s")
            grid.add_row("time", _time(self.study, self.spec))
        for line in self.running.values():
            grid.add_row("", line)
        return grid

    def _rate(self) -> float:
        if len(self.finished) < 2:
            return 0.0
        return (len(self.finished) - 1) / max(self.finished[-1] - self.finished[0], 1e-9)


@dataclass
class _Lines:
    """One line per thing worth a line: for logs and pipes."""

    console: Console
    spec: StudySpec

    def observe(self, study: Study, happening: Happening) -> None:
        """Prints a line if the thing is worth one."""
        trial = happening.trial
        if happening.kind == "teacher_epoch":
            every = max(1, self.spec.teacher.epochs // 5)
            if happening.epoch % every == 0:
                accuracy = figure("accuracy", (happening.metrics or {}).get("accuracy"))
                self._say(f"teacher: epoch {happening.epoch}, validation {accuracy}")
        elif happening.kind == "final":
            self._say("final stage: retraining the best of the front in full")
        elif trial is not None and happening.kind in ("finished", "failed"):
            self._say(
                f"{trial.kind.value} {trial.number}: {_outcome(trial)}  "
                f"[{_counts(study, self.spec)}; best {_best(study)}; {_time(study, self.spec)}]"
            )

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _outcome(trial: Trial) -> str:
    if trial.failure is not None:
        return f"failed ({trial.failure.failure_class.value}): {trial.failure.message}"
    figures = trial.figures
    epochs = trial.evaluations[-1].epochs if trial.evaluations else 0
    return (
        f"{trial.state.value} at {epochs} epochs, "
        f"{figure('accuracy', figures.get('accuracy'))}, "
        f"{figure('parameters', figures['parameters'])} parameters"
    )


def _counts(study: Study, spec: StudySpec) -> str:
    counts = count(study.trials)
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"{counts['total']}/{spec.limits.trials} trials, {counts['complete']} complete{failed}"


def _best(study: Study) -> str:
    front = study.front
    if not front.trials:
        return "-"
    best = front.trials[0]
    metric = study.objectives[0].metric
    return f"{figure(metric, best.figures.get(metric))} (trial {best.number})"


def _time(study: Study, spec: StudySpec) -> str:
    spent = study.seconds
    left = _seconds_left(study, spec)
    return duration(spent) + (f", about {duration(left)} left" if left is not None else "")


def _seconds_left(study: Study, spec: StudySpec) -> float | None:
    """By the share of trials begun; never more than the limit in seconds leaves."""
    begun = count(study.trials)["total"]
    if not begun:
        return None
    left = study.seconds * (spec.limits.trials - begun) / begun
    if spec.limits.seconds is not None:
        left = min(left, spec.limits.seconds - study.seconds)
    return max(left, 0.0)
