"""When each attempt ran, and beside which others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from autokd.store import AttemptRecord
from autokd.trial import Trial

_NEVER = datetime.max.replace(tzinfo=UTC)


def timeline(trials: Iterable[Trial], attempts: Iterable[AttemptRecord]) -> dict[str, Any]:
    """All attempts in the order of their starts, as JSON data for a Gantt chart.

    Args:
        trials: of the study.
        attempts: of these trials.

    Returns:
        `attempts`, each with `trial`, its `kind`, `n`, `state`, `started`, `ended` (None while it
        runs) and `slot`: the lowest row of the chart, from 0, that was free when it started.
    """
    kinds = {trial.number: trial.kind.value for trial in trials}
    rows = []
    busy_until: list[datetime] = []
    # A trial that was added after the others were read is shown the next time.
    known = (attempt for attempt in attempts if attempt.trial in kinds)
    for attempt in sorted(known, key=lambda each: (each.started, each.id)):
        free = (slot for slot, end in enumerate(busy_until) if end <= attempt.started)
        slot = next(free, len(busy_until))
        busy_until[slot : slot + 1] = [attempt.ended or _NEVER]
        rows.append(
            {
                "trial": attempt.trial,
                "kind": kinds[attempt.trial],
                "n": attempt.n,
                "state": attempt.state.value,
                "started": _iso(attempt.started),
                "ended": _iso(attempt.ended) if attempt.ended else None,
                "slot": slot,
            }
        )
    return {"attempts": rows}


def _iso(moment: datetime) -> str:
    """ISO 8601 in UTC, ending in Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
