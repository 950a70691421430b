from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from autokd.analysis import timeline
from autokd.trial import TrialKind


def test_attempts_take_the_lowest_slot_that_is_free(make_trial, make_attempt):
    trials = [make_trial(n) for n in range(5)]
    attempts = [
        make_attempt(4, 12, 20),
        make_attempt(0, 0, 10),
        make_attempt(1, 1, 5),
        make_attempt(2, 2, 12),
        make_attempt(3, 5, 8),
    ]
    rows = timeline(trials, attempts)["attempts"]
    assert [(row["trial"], row["slot"]) for row in rows] == [(0, 0), (1, 1), (2, 2), (3, 1), (4, 0)]


def test_attempt_that_runs_keeps_its_slot(make_trial, make_attempt):
    attempts = [make_attempt(0, 0, None), make_attempt(1, 1000, 1001)]
    first, second = timeline([make_trial(0), make_trial(1)], attempts)["attempts"]
    assert (first["ended"], first["slot"], second["slot"]) == (None, 0, 1)


def test_no_two_attempts_of_one_slot_overlap(make_trial, make_attempt):
    attempts = [make_attempt(n, 7 * n % 50, 7 * n % 50 + n % 9 + 1) for n in range(60)]
    rows = timeline([make_trial(n) for n in range(60)], attempts)["attempts"]
    for slot in {row["slot"] for row in rows}:
        own = [row for row in rows if row["slot"] == slot]
        for before, after in zip(own, own[1:], strict=False):
            assert before["ended"] <= after["started"]


def test_row_tells_what_ran_and_when(make_trial, make_attempt):
    trial = make_trial(7, kind=TrialKind.BASELINE)
    data = timeline([trial], [make_attempt(7, 0.25, 61, n=2)])
    assert data["attempts"] == [
        {
            "trial": 7,
            "kind": "baseline",
            "n": 2,
            "state": "done",
            "started": "2026-01-01T00:00:00.250Z",
            "ended": "2026-01-01T00:01:01.000Z",
            "slot": 0,
        }
    ]
    json.dumps(data)


def test_times_are_in_utc(make_trial, make_attempt):
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    attempt = replace(make_attempt(0, 0, None), started=noon)
    assert timeline([make_trial(0)], [attempt])["attempts"][0]["started"].startswith(
        noon.astimezone(UTC).strftime("%Y-%m-%dT10:00")
    )
