"""How far a study is, and how long it may still take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autokd.report import epochs_done
from autokd.spec import FinalSpec, LimitsSpec
from autokd.store import StudyRecord
from autokd.trial import StudyState, Trial, TrialKind

_FEWEST = 3
"""Trials that must have been trained before their speed is taken for that of the others."""

_NEARLY = 0.99
"""A study that is not done is not shown as done."""


def progress(record: StudyRecord, trials: Sequence[Trial]) -> dict[str, Any]:
    """How far the study is, by the epochs of training that its limits leave, as JSON data.

    Of several limits the one that is nearest counts. A search may also end before, since it has
    converged or since nothing is left to try; then the share jumps.

    Returns:
        `progress`, a share in [0, 1] of search and final stage; `seconds_left`, None if it is not
        running or cannot be told yet.
    """
    if record.state is StudyState.COMPLETED:
        return {"progress": 1.0, "seconds_left": None}
    limits = LimitsSpec.model_validate(record.spec["limits"])
    final = FinalSpec.model_validate(record.spec["final"]) if record.spec["final"] else None
    search = [trial for trial in trials if trial.kind is TrialKind.SEARCH]
    retrained = [trial for trial in trials if trial.kind is not TrialKind.SEARCH]
    epochs = sum(map(epochs_done, search))
    share = 1.0 if retrained else _share(limits, record.seconds, epochs, search)
    if not epochs or not share:
        return {"progress": min(share, _NEARLY), "seconds_left": None}
    done = epochs + sum(map(epochs_done, retrained))
    total = epochs / share + (_final_epochs(final) if final else 0)
    seconds_left = None
    if record.state is StudyState.RUNNING and sum(map(_is_trained, search)) >= _FEWEST:
        seconds_left = round(max(total - done, 0) * record.seconds / epochs, 1)
    return {"progress": min(done / total, _NEARLY), "seconds_left": seconds_left}


def _share(limits: LimitsSpec, seconds: float, epochs: int, search: Sequence[Trial]) -> float:
    """How much of the search the nearest limit has used up."""
    begun = sum(trial.state.is_finished() or _is_trained(trial) for trial in search)
    shares = [begun / limits.trials]
    shares += [epochs / limits.epochs] if limits.epochs else []
    shares += [seconds / limits.seconds] if limits.seconds else []
    return min(max(shares), 1.0)


def _final_epochs(final: FinalSpec) -> int:
    """Each of the best with and without the teacher for each seed, and its fresh draws."""
    return final.top * (2 * final.seeds + final.draws) * final.epochs


def _is_trained(trial: Trial) -> bool:
    return bool(trial.evaluations)
