"""What the rungs of the ladder tell: how well an early one foretells a later one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from autokd.analysis.front import metrics_of
from autokd.errors import UnknownNameError
from autokd.report import epochs_done, finite, objectives_of, rungs_of
from autokd.store import StudyRecord
from autokd.trial import Trial, TrialKind

_FEWEST = 3
"""Two trials are always in perfect order, or in perfect disorder."""


def rank_correlation(
    record: StudyRecord, trials: Sequence[Trial], metric: str | None = None
) -> dict[str, Any]:
    """How far the order of the trials at one rung is their order at a higher one, as JSON data.

    Only trials that finished both count. Those were promoted since they were good at the lower one,
    so among all trials the correlation would be higher.

    Args:
        record: the study.
        trials: all its trials; only those of the search count.
        metric: a figure that training tells; None for the first objective.

    Returns:
        `metric`, `rungs` and `pairs` of them: `low`, `high`, the number of trials `n`, and
        `spearman` and `kendall` (tau-b) in [-1, 1]; None for fewer than 3 trials, or if all have
        the same value at one of them.

    Raises:
        UnknownNameError: no such figure.
    """
    metric = metric or objectives_of(record)[0].metric
    if metric not in metrics_of(record, trials):
        raise UnknownNameError("figure", metric, metrics_of(record, trials))
    rungs = rungs_of(record)
    pairs = []
    for low, high in itertools.combinations(rungs, 2):
        values = _values(trials, metric, low, high)
        pairs.append({"low": low, "high": high, "n": len(values), **_correlations(values)})
    return {"metric": metric, "rungs": list(rungs), "pairs": pairs}


def survival(record: StudyRecord, trials: Sequence[Trial]) -> dict[str, Any]:
    """How many trials of the search have finished each rung, or a higher one, as JSON data."""
    done = [epochs_done(trial) for trial in trials if trial.kind is TrialKind.SEARCH]
    return {
        "rungs": [
            {"epochs": rung, "reached": sum(epochs >= rung for epochs in done)}
            for rung in rungs_of(record)
        ]
    }


def _correlations(values: Sequence[tuple[float, float]]) -> dict[str, float | None]:
    columns = list(zip(*values, strict=True))
    if len(values) < _FEWEST or any(len(set(column)) == 1 for column in columns):
        return {"spearman": None, "kendall": None}
    from scipy.stats import kendalltau, spearmanr  # takes half a second to import

    return {
        "spearman": float(spearmanr(*columns).statistic),
        "kendall": float(kendalltau(*columns).statistic),
    }


def _values(trials: Sequence[Trial], metric: str, low: int, high: int) -> list[tuple[float, float]]:
    """The finite values at both rungs of the search trials that finished both."""
    found = []
    for trial in trials:
        late = trial.figures_at(high) if trial.kind is TrialKind.SEARCH else None
        if late is not None:  # which few have reached
            early = trial.figures_at(low) or {}
            pair = finite(early.get(metric)), finite(late.get(metric))
            if pair[0] is not None and pair[1] is not None:
                found.append((pair[0], pair[1]))
    return found
