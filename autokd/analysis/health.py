"""What a person should know about a study: what was seen, in numbers, and what to do about it.

Every note needs enough trials to be no accident; a young study has none.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from autokd.analysis.hypervolume import hypervolume
from autokd.analysis.rungs import rank_correlation
from autokd.multiobjective import ParetoFront
from autokd.readable import plural
from autokd.report import budget_of, final_rows, finished, objectives_of
from autokd.store import StudyRecord
from autokd.trial import FailureClass, StopReason, StudyWish, Trial, TrialKind, TrialState

_FEWEST = 20
"""Trials of which a share is worth a word."""

_MANY_FAILURES = 0.2
"""A share of failed trials that is no bad luck."""

_FEWEST_FAILURES = 3

_RARELY = 0.5
"""A budget of which no student uses more than this share of any limit restricts nothing."""

_FEWEST_PAIRS = 4
"""Retrainings with and without the teacher from which the noise between them can be told."""

_LOW_CORRELATION = 0.5
"""A rung whose order agrees less with a later one's says too little to stop trials by it."""

_FEWEST_RANKED = 10
_ALMOST_ONE = 1 - 1e-9

_FEWEST_CONVERGED = 40
_GROWTH = 0.001
"""A hypervolume that grew by a smaller share in the second half of the trials stands still."""

_ONE_SIDED = 0.95
"""Confidence of what is said to be within the noise."""

_REMEDIES = {
    FailureClass.OUT_OF_MEMORY: "run fewer workers, or lower training.batch_size",
    FailureClass.NAN: "lower training.learning_rate",
    FailureClass.LOST_WORKER: "see the system's log: something ends the workers, often for memory",
    FailureClass.STORAGE_FULL: "free some space",
    FailureClass.ERROR: "read the log of one of them",
}


@dataclass(frozen=True)
class Note:
    """Something a person should know.

    Attributes:
        level: `info`, `warning` (worth a change) or `error` (the study cannot succeed so).
        code: a fixed word for programs.
        message: what was seen, and what to do.
    """

    level: Literal["info", "warning", "error"]
    code: str
    message: str


def health(record: StudyRecord, trials: Sequence[Trial]) -> list[dict[str, str]]:
    """All notes on a study as JSON data: `level`, `code` and `message`; the gravest first."""
    notes = [note for check in _CHECKS for note in check(record, trials)]
    levels = ("error", "warning", "info")
    return [asdict(note) for note in sorted(notes, key=lambda note: levels.index(note.level))]


def _failures(record: StudyRecord, trials: Sequence[Trial]) -> Iterator[Note]:
    causes = [trial.failure.failure_class for trial in _searched(trials) if trial.failure]
    causes = [cause for cause in causes if cause is not FailureClass.CANCELLED]
    tried = len(causes) + sum(trial.failure is None for trial in _trained(trials))
    ended = record.stop_reason is StopReason.FAILURES
    many = len(causes) >= max(_FEWEST_FAILURES, _MANY_FAILURES * tried)
    if causes and (ended or many):
        (cause, number), *_ = Counter(causes).most_common(1)
        yield Note(
            "error" if ended else "warning",
            "too_many_failures",
            f"{len(causes)} of {plural(tried, 'trial')} failed, {number} of them with "
            f"{cause.value}{', which ended the search' if ended else ''}: {_REMEDIES[cause]}.",
        )


def _waiting(record: StudyRecord, trials: Sequence[Trial]) -> Iterator[Note]:
    if record.stop_reason is StopReason.COORDINATOR_ENDED and record.wish is StudyWish.RUN:
        yield Note(
            "info",
            "coordinator_ended",
            "the coordinator that ran it has ended; it goes on by itself with the next one "
            "(`autokd up`, or `autokd coordinator`).",
        )


def _feasibility(record: StudyRecord, trials: Sequence[Trial]) -> Iterator[Note]:
    search = _searched(trials)
    over = sum(trial.state is TrialState.INFEASIBLE for trial in search)
    advice = "raise the limits, or give the search space smaller students (`autokd check` says how)"
    if record.stop_reason is StopReason.NOTHING_FEASIBLE:
        yield Note(
            "error",
            "no_feasible_region",
            f"the search found no student within the budget: {advice}.",
        )
    elif len(search) >= _FEWEST and over == len(search):
        yield Note(
            "error",
            "no_feasible_region",
            f"all {over} students so far were over the budget: {advice}.",
        )


def _budget(record: StudyRecord, trials: Sequence[Trial]) -> Iterator[Note]:
    costs = [trial.cost.figures() for trial in _searched(trials)]
    limits = budget_of(record).limits
    used = {
        name: max((figures[name] for figures in costs if name in figures), default=limit) / limit
        for name, limit in limits.items()
    }
    if len(costs) >= _FEWEST and used and max(used.values()) <= _RARELY:
        name = max(used, key=used.__getitem__)
        yield Note(
            "info",
            "budget_bites_rarely",
            f"none of {len(costs)} students uses more than {used[name]:.0%} of the limit of {name}"
            f"{', or more of another' if len(used) > 1 else ''}: the budget restricts nothing; "
            "allow larger students in the search space, or lower the limit.",
        )


def _distillation(record: StudyRecord, trials: Sequence[Trial]) -> Iterator[Note]:
    gains = []
    for row in final_rows(record, trials):
        plain = {run.repeat: run for run in finished(trials, row["candidate"], TrialKind.BASELINE)}
        for run in finished(trials, row["candidate"], TrialKind.FINAL):
            scores = [
                each.figures.get("test_accuracy", math.nan)
                for each in (run, plain.get(run.repeat))
                if each is not None
            ]
            if len(scores) == 2 and all(map(math.isfinite, scores)):
                gains.append(scores[0] - scores[1])
    if len(gains) < _FEWEST_PAIRS:
        return
    from scipy.special import stdtrit

    mean, error = statistics.fmean(gains), statistics.stdev(gains) / math.sqrt(len(gains))
    margin = float(stdtrit(len(gains) - 1, _ONE_SIDED)) * error
    seen = (
        f"taught students score {100 * mean:+.2f} ± {100 * error:.2f} points on the test split "
        f"against the same {len(gains)} without the teacher"
    )
    advice = "search the weights and temperatures of other ranges, or take a better teacher"
    if mean + margin < 0:
        yield Note("warning", "no_gain_from_distillation", f"{seen}: it does harm; {advice}.")
    elif mean - margin <= 0:
        yield Note(
            "info",
            "no_gain_from_distillation",
            f"{seen} (mean ± standard error), which is within the noise; {advice}, or retrain with "
            "more seeds to see smaller gains.",
        )


def _rungs(record: StudyRecord, trials: Sequence[Trial]) -> Iterator[Note]:
    for pair in rank_correlation(record, trials)["pairs"]:
        if pair["spearman"] is None or pair["n"] < _FEWEST_RANKED:
            continue
        # Fisher's transformation: by chance alone it would be lower than the true one by so much.
        spread = statistics.NormalDist().inv_cdf(_ONE_SIDED) / math.sqrt(pair["n"] - 3)
        seen = min(max(pair["spearman"], -_ALMOST_ONE), _ALMOST_ONE)
        at_most = math.tanh(math.atanh(seen) + spread)
        if at_most < _LOW_CORRELATION:
            yield Note(
                "warning",
                "rungs_disagree",
                f"the order of {pair['n']} trials after {plural(pair['low'], 'epoch')} says little "
                f"of that after {pair['high']} (rank correlation {pair['spearman']:.2f}): trials "
                "are stopped by chance; raise fidelity.min_epochs.",
            )


def _convergence(record: StudyRecord, trials: Sequence[Trial]) -> Iterator[Note]:
    if record.stop_reason is StopReason.CONVERGED:
        yield Note(
            "info",
            "converged",
            "the search ended since its proposals promised less than limits.converged: lower that "
            "to go on.",
        )
        return
    finished = len(ParetoFront.from_trials(trials, objectives_of(record)).competing)
    points = hypervolume(record, trials)["points"]
    if finished < _FEWEST_CONVERGED or not points[-1]["hypervolume"]:
        return
    middle = finished - finished // 2
    at = np.searchsorted([point["finished"] for point in points], middle, side="right") - 1
    growth = 1 - points[at]["hypervolume"] / points[-1]["hypervolume"]
    if growth < _GROWTH:
        yield Note(
            "info",
            "converged",
            f"the last {finished // 2} of {finished} trials that were trained in full added "
            f"{growth:.2%} to the hypervolume: more trials promise little.",
        )


_CHECKS = (_waiting, _failures, _feasibility, _budget, _distillation, _rungs, _convergence)


def _searched(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.kind is TrialKind.SEARCH]


def _trained(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in _searched(trials) if trial.evaluations]
