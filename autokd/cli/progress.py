"""Live progress of a search on stderr: a panel on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autokd.cli.output import duration, figure, plural, stderr
from autokd.multiobjective import Objective, ParetoFront
from autokd.report import count
from autokd.study import Happening
from autokd.trial import Trial, TrialKind

if TYPE_CHECKING:
    from autokd.spec import StudySpec

_FINAL_STAGE = "final stage, the best of the front in full"

_RATE_WINDOW = 60
"""Epochs over which the rate is measured."""


class Search(Protocol):
    """What is shown of a search, whichever process runs it."""

    @property
    def trials(self) -> list[Trial]:
        """All trials of all kinds."""
        ...

    @property
    def front(self) -> ParetoFront:
        """The Pareto front of the trials finished so far."""
        ...

    @property
    def objectives(self) -> Sequence[Objective]:
        """Its axes."""
        ...

    @property
    def seconds(self) -> float:
        """Wall time spent searching."""
        ...


Display = Callable[[Search, Happening], None]


@contextmanager
def progress_display(spec: StudySpec, *, quiet: bool) -> Iterator[Display]:
    """An observer that shows what happens, while the context lasts."""
    console = stderr()
    if quiet:
        yield lambda study, happening: None
    elif console.is_terminal:
        panel = _Panel(spec)
        with Live(console=console, refresh_per_second=4, get_renderable=panel.draw, transient=True):
            yield panel.observe
    else:
        yield _Lines(console, spec).observe


@dataclass
class _Panel:
    """What the live table shows; drawn anew four times a second."""

    spec: StudySpec
    stage: str = "preparing"
    study: Search | None = None
    running: dict[int, str] = field(default_factory=dict)
    finished: deque[float] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))

    def observe(self, study: Search, happening: Happening) -> None:
        """Takes note of what happened."""
        self.study = study
        trial = happening.trial
        if happening.kind == "teacher_epoch":
            self.stage = f"training the teacher, epoch {_teacher_epoch(happening, self.spec)}"
        elif happening.kind == "final":
            self.stage = _FINAL_STAGE
        elif trial is not None and happening.kind in ("started", "epoch"):
            self.stage = "search" if trial.kind is TrialKind.SEARCH else self.stage
            done = f", epoch {happening.epoch} of {trial.epochs}" if happening.epoch else ""
            self.running[trial.number] = _title(study, trial) + done
            if happening.kind == "epoch":
                self.finished.append(time.monotonic())
        elif trial is not None:
            self.running.pop(trial.number, None)

    def draw(self) -> Table:
        """The table as it stands."""
        grid = Table.grid(padding=(0, 2))
        grid.add_row("[bold]study", Text(f"{self.spec.name}: {self.stage}"))
        if self.study is not None:
            grid.add_row("trials", _counts(self.study, self.spec))
            if self.stage == _FINAL_STAGE:
                grid.add_row("final", _retrained(self.study))
            grid.add_row("best so far", _best(self.study))
            grid.add_row("speed", f"{self._rate():.1f} epochs/s")
            grid.add_row("time", _time(self.study, self.spec))
        # A copy: the search goes on while this thread draws.
        for place, line in enumerate(list(self.running.values())):
            grid.add_row("now" if place == 0 else "", line)
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

    def observe(self, study: Search, happening: Happening) -> None:
        """Prints a line if the thing is worth one."""
        trial = happening.trial
        if happening.kind == "teacher_epoch":
            every = max(1, self.spec.teacher.epochs // 5)
            if happening.epoch % every == 0:
                loss = (happening.metrics or {}).get("loss", float("nan"))
                epoch = _teacher_epoch(happening, self.spec)
                self._say(f"teacher: epoch {epoch}, training loss {loss:.3f}")
        elif happening.kind == "final":
            self._say(_FINAL_STAGE)
        elif trial is not None and happening.kind in ("finished", "failed"):
            state = [_counts(study, self.spec), f"best {_best(study)}", _time(study, self.spec)]
            if trial.kind is not TrialKind.SEARCH:
                state = [_retrained(study)]
            self._say(f"{_title(study, trial)}: {_outcome(trial)}  [{'; '.join(state)}]")

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _teacher_epoch(happening: Happening, spec: StudySpec) -> str:
    return f"{happening.epoch} of {spec.teacher.epochs}"


def _title(study: Search, trial: Trial) -> str:
    """What a trial is, by the number of the search trial that found its student."""
    if trial.kind is TrialKind.SEARCH:
        return f"trial {trial.number}"
    if trial.kind is TrialKind.FAMILY:
        return f"draw {trial.number} of a final one's family"
    found = next(
        other.number
        for other in study.trials
        if other.kind is TrialKind.SEARCH and other.candidate == trial.candidate
    )
    taught = "with teacher" if trial.kind is TrialKind.FINAL else "without teacher"
    return f"final {found}, seed {trial.repeat}, {taught}"


def _outcome(trial: Trial) -> str:
    if trial.failure is not None:
        return f"failed ({trial.failure.failure_class.value}): {trial.failure.message}"
    figures = trial.figures
    epochs = plural(trial.evaluations[-1].epochs if trial.evaluations else 0, "epoch")
    if trial.kind is not TrialKind.SEARCH and "test_accuracy" in figures:
        return (
            f"{trial.state.value} at {epochs}, test {figure('accuracy', figures['test_accuracy'])}"
        )
    return (
        f"{trial.state.value} at {epochs}, "
        f"{figure('accuracy', figures.get('accuracy'))}, "
        f"{figure('parameters', figures['parameters'])} parameters"
    )


def _counts(study: Search, spec: StudySpec) -> str:
    counts = count(study.trials)
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"{counts['total']}/{spec.limits.trials} trials, {counts['complete']} complete{failed}"


def _retrained(study: Search) -> str:
    retrainings = [trial for trial in study.trials if trial.kind is not TrialKind.SEARCH]
    done = sum(trial.state.is_finished() for trial in retrainings)
    return f"{done}/{len(retrainings)} retrainings"


def _best(study: Search) -> str:
    front = study.front
    if not front.trials:
        return "-"
    best = front.trials[0]
    metric = study.objectives[0].metric
    return f"{figure(metric, best.figures.get(metric))} (trial {best.number})"


def _time(study: Search, spec: StudySpec) -> str:
    spent = study.seconds
    left = _seconds_left(study, spec)
    return duration(spent) + (f", about {duration(left)} left" if left else "")


def _seconds_left(study: Search, spec: StudySpec) -> float | None:
    """Of the search, by the share of trials begun; at most what the limit in seconds leaves."""
    begun = count(study.trials)["total"]
    if not begun:
        return None
    left = study.seconds * (spec.limits.trials - begun) / begun
    if spec.limits.seconds is not None:
        left = min(left, spec.limits.seconds - study.seconds)
    return max(left, 0.0)
