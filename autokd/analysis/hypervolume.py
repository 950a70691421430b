"""How the hypervolume of a study grew."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import numpy as np

from autokd.multiobjective import ParetoFront, hypervolume_history, losses
from autokd.report import budget_of, finite, objectives_of
from autokd.store import AttemptRecord, StudyRecord
from autokd.trial import Trial

_SPARKS = 32
_NEVER = datetime.max.replace(tzinfo=UTC)


def hypervolume(
    record: StudyRecord, trials: Sequence[Trial], attempts: Sequence[AttemptRecord] = ()
) -> dict[str, Any]:
    """How the hypervolume and the best first objective grew, as JSON data.

    Args:
        record: the study.
        trials: all its trials.
        attempts: those of its trials; they tell in which order trials ended, and when. Without them
            the trials count in the order of their numbers.

    Returns:
        `reference`, the value of each objective that is worse than what counts, and `points`: one
        wherever something grew, and the newest. Each has the `trial` that did it; how many trials
        had `finished` by then, of those that compete for the front; the `seconds` in which
        something had been trained (None without attempts); `hypervolume` and `best`.
    """
    front = ParetoFront.from_trials(trials, objectives_of(record))
    reference = reference_point(record, front)
    clock = _Clock(attempts)
    competing = sorted(front.competing, key=clock.order)
    volumes = _history(front, competing, reference)
    first = front.objectives[0]
    best = np.minimum.accumulate(losses([first], (t.figures for t in competing)).reshape(-1))
    grew = (np.diff(volumes, prepend=-1.0) > 0) | (np.diff(best, prepend=np.inf) < 0)
    grew[-1:] = True
    sign = -1 if first.direction == "maximize" else 1
    return {
        "reference": reference,
        "points": [
            {
                "trial": competing[index].number,
                "finished": int(index) + 1,
                "seconds": clock.seconds(competing[index]),
                "hypervolume": float(volumes[index]),
                "best": finite(sign * float(best[index])),
            }
            for index in np.flatnonzero(grew)
        ],
    }


def sparkline(record: StudyRecord, trials: Sequence[Trial]) -> list[float]:
    """The hypervolume over the trials by number, at no more than 32 of them, the last included."""
    front = ParetoFront.from_trials(trials, objectives_of(record))
    volumes = _history(front, front.competing, reference_point(record, front))
    n = len(volumes)
    shown = np.linspace(0, n - 1, min(n, _SPARKS)).round().astype(int)
    return [float(volume) for volume in volumes[shown]]


def reference_point(record: StudyRecord, front: ParetoFront) -> dict[str, float]:
    """What is worse than all that counts, by metric: the budget, or no accuracy at all.

    For a figure that has neither a limit nor a natural worst value, the worst that was seen. So the
    volumes of studies with the same budget can be compared.
    """
    limits = budget_of(record).limits
    reference = {}
    for objective in front.objectives:
        if objective.direction == "minimize" and objective.metric in limits:
            worst = limits[objective.metric]
        elif objective.direction == "maximize" and objective.metric.endswith("accuracy"):
            worst = 0.0
        else:
            values = (objective.value(trial.figures) for trial in front.competing)
            seen = list(filter(math.isfinite, values))
            worst = (min if objective.direction == "maximize" else max)(seen, default=0.0)
        reference[objective.metric] = float(worst)
    return reference


def _history(
    front: ParetoFront, trials: Iterable[Trial], reference: dict[str, float]
) -> np.ndarray:
    table = losses(front.objectives, (trial.figures for trial in trials))
    return hypervolume_history(table, losses(front.objectives, [reference])[0])


class _Clock:
    """When trials ended, on a clock that stands while nothing is trained."""

    def __init__(self, attempts: Iterable[AttemptRecord]) -> None:
        self._ended: dict[int, datetime] = {}
        self._starts: list[datetime] = []
        self._ends: list[datetime] = []
        for attempt in sorted(attempts, key=lambda each: each.started):
            end = attempt.ended or _NEVER
            if attempt.ended:
                self._ended[attempt.trial] = max(end, self._ended.get(attempt.trial, end))
            if self._ends and attempt.started <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(attempt.started)
                self._ends.append(end)
        spans = zip(self._starts, self._ends, strict=True)
        lengths = ((end - start).total_seconds() for start, end in spans)
        self._before = list(accumulate(lengths, initial=0.0))

    def order(self, trial: Trial) -> tuple[float, int]:
        ended = self._ended.get(trial.number)
        return (ended.timestamp() if ended else 0.0), trial.number

    def seconds(self, trial: Trial) -> float | None:
        ended = self._ended.get(trial.number)
        if ended is None:
            return None
        place = bisect_right(self._starts, ended) - 1
        return round(self._before[place] + (ended - self._starts[place]).total_seconds(), 3)
