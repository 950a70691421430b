from __future__ import annotations

import csv
import json
import math

import pytest

from autokd.analysis import Candidates
from autokd.budget import Cost
from autokd.errors import UnknownNameError
from autokd.trial import Evaluation, FailureClass, TrialKind, TrialState


@pytest.fixture
def trials(make_trial, retrain):
    """Two on the front, one paused, one infeasible, one failed, one queued; one retrained."""
    best = make_trial(0, 0.5, 0.7, 0.9, parameters=90, choices={"width": 8, "top": "ring"})
    return [
        best,
        make_trial(1, 0.5, 0.6, 0.8, parameters=40, choices={"width": 4, "top": "tree"}),
        make_trial(2, 0.3, parameters=30, choices={"width": 2, "top": "tree", "depth": 3}),
        make_trial(3, parameters=900, state=TrialState.INFEASIBLE),
        make_trial(4, 0.2, failure=FailureClass.NAN),
        make_trial(5),
        *retrain(best, [0.9, 0.92]),
    ]


@pytest.fixture
def candidates(record, trials):
    return Candidates(record, trials)


def test_columns_have_one_row_for_each_candidate(candidates):
    columns = candidates.columns()
    assert columns["candidate"] == columns["trial"] == [0, 1, 2, 3, 4, 5]
    assert columns["state"] == ["complete"] * 2 + ["paused", "infeasible", "failed", "queued"]
    assert columns["epochs"] == [9, 9, 1, 0, 1, 0]
    assert columns["feasible"] == [True, True, True, False, True, True]
    assert columns["on_front"] == [True, True, False, False, False, False]
    assert columns["figures"]["parameters"] == [90, 40, 30, 900, 50, 50]
    assert columns["figures"]["accuracy"] == [0.9, 0.8, 0.3, None, 0.2, None]
    assert columns["choices"] == {
        "width": [8, 4, 2, 3, 4, 5],
        "top": ["ring", "tree", "tree", None, None, None],
        "depth": [None, None, 3, None, None, None],
    }
    assert columns["distillation"] == {"kd.weight": [0.5] * 6}


def test_columns_can_be_chosen_by_name_and_by_group(candidates):
    assert candidates.columns(["accuracy", "choices.top", "state"]) == {
        "candidate": [0, 1, 2, 3, 4, 5],
        "trial": [0, 1, 2, 3, 4, 5],
        "state": ["complete"] * 2 + ["paused", "infeasible", "failed", "queued"],
        "figures": {"accuracy": [0.9, 0.8, 0.3, None, 0.2, None]},
        "choices": {"top": ["ring", "tree", "tree", None, None, None]},
        "distillation": {},
    }
    assert candidates.columns(["choices"])["choices"] == candidates.columns()["choices"]


def test_unknown_column_is_refused(candidates):
    with pytest.raises(UnknownNameError, match="unknown field 'acuracy'"):
        candidates.columns(["acuracy"])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_none(record, make_trial, value):
    trial = make_trial(
        0, state=TrialState.COMPLETE, evaluations=(Evaluation(9, {"accuracy": 0.5, "loss": value}),)
    )
    candidates = Candidates(record, [trial])
    assert candidates.columns()["figures"]["loss"] == [None]
    assert candidates.rows()[0]["figures"]["loss"] is None
    json.dumps([candidates.columns(), candidates.rows()], allow_nan=False)


def test_row_tells_all_of_a_candidate(candidates):
    first, *_, last = candidates.rows()
    assert {**first, "final": None} == {
        "number": 0,
        "trial": 0,
        "state": "complete",
        "feasible": True,
        "on_front": True,
        "epochs": 9,
        "draw": 7,
        "figures": {
            "parameters": 90,
            "weight_bytes": 360,
            "peak_activation_bytes": 60,
            "macs": 900,
            "accuracy": 0.9,
            "loss": pytest.approx(0.1),
        },
        "choices": {"width": 8, "top": "ring"},
        "distillation": {"kd.weight": 0.5},
        "trials": [0, 1_000_000, 1_000_001],
        "final": None,
    }
    assert first["final"]["test_accuracy"] == pytest.approx(0.91)
    assert last["final"] is None
    assert last["figures"]["parameters"] == 50


def test_candidate_of_several_trials_is_told_by_the_one_trained_longest(record, make_trial):
    trials = [
        make_trial(0, 0.5, 0.6, 0.7, candidate=0),
        make_trial(1, 0.9, candidate=0),
        make_trial(2, 0.1, 0.2, 0.3, candidate=0),
    ]
    (row,) = Candidates(record, trials).rows()
    assert (row["trial"], row["figures"]["accuracy"]) == (2, 0.3)
    assert row["trials"] == [0, 1, 2]
    assert row["on_front"]  # by trial 0


def test_draws_of_the_final_stage_are_no_candidates_of_the_search(record, make_trial):
    family = make_trial(1_000_000, 0.9, candidate=9, kind=TrialKind.FAMILY)
    assert Candidates(record, [make_trial(0, 0.5), family]).columns()["candidate"] == [0]


def numbers(selected):
    return [trial.candidate for trial in selected]


@pytest.mark.parametrize(
    ("filter", "order", "expected"),
    [
        ("", "", [0, 1, 2, 3, 4, 5]),
        ("state=complete|paused", "", [0, 1, 2]),
        ("parameters<=50,accuracy>=0.3", "-accuracy", [1, 2]),
        ("", "-accuracy,-parameters", [0, 1, 2, 4, 3, 5]),
        ("feasible=false", "", [3]),
        ("on_front=true", "parameters", [1, 0]),
        ("choices.top=tree", "-choices.width", [1, 2]),
        ("choices.depth=3,distillation.kd.weight=0.5,draw=7", "", [2]),
        ("number>3", "-candidate", [5, 4]),
        ("epochs=0,trial!=5", "", [3]),
    ],
)
def test_select_filters_and_orders_by_any_field(candidates, filter, order, expected):
    assert numbers(candidates.select(filter, order)) == expected


def test_rows_of_the_selected_alone(candidates):
    rows = candidates.rows(candidates.select("state=complete", "parameters"))
    assert [row["number"] for row in rows] == [1, 0]


@pytest.mark.parametrize("field", ["choices.colour", "figures", "choices", "figures.x", "notes"])
def test_fields_that_there_are_not_are_refused(candidates, field):
    with pytest.raises(UnknownNameError, match="unknown field"):
        candidates.select(f"{field}=1")


def test_choice_of_several_kinds_compares_as_text(record, make_trial):
    widths = [4, "auto", None]
    trials = [
        make_trial(n, 0.5, choices={} if width is None else {"width": width, "n": n})
        for n, width in enumerate(widths)
    ]
    candidates = Candidates(record, trials)
    assert numbers(candidates.select("choices.width=4")) == [0]
    assert numbers(candidates.select("", "-choices.width")) == [1, 0, 2]


def read(lines):
    return list(csv.reader(lines))


def test_csv_has_a_header_and_a_line_for_each_candidate(candidates):
    header, first, *_, last = read(candidates.csv())
    row = dict(zip(header, first, strict=True))
    assert header[:6] == ["candidate", "trial", "state", "epochs", "feasible", "on_front"]
    assert {"parameters", "accuracy", "choices.width", "distillation.kd.weight"} <= set(header)
    assert (row["feasible"], row["accuracy"], row["choices.top"]) == ("true", "0.9", "ring")
    assert dict(zip(header, last, strict=True))["accuracy"] == ""


def test_csv_of_no_candidates_is_its_header(record):
    assert read(Candidates(record, []).csv()) == [
        ["candidate", "trial", "state", "epochs", "feasible", "on_front"]
    ]


@pytest.mark.parametrize(
    ("choice", "cell"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+1+cmd", "'+1+cmd"),
        ("-2-3", "'-2-3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("-1.5", "-1.5"),
        ("+2e3", "+2e3"),
        (-1.5, "-1.5"),
        ('plain, with "quotes"\nand lines', 'plain, with "quotes"\nand lines'),
    ],
)
def test_csv_runs_nothing_in_a_spreadsheet(record, make_trial, choice, cell):
    lines = Candidates(record, [make_trial(0, 0.5, choices={"x": choice})]).csv()
    header, row = csv.reader("".join(lines).splitlines(keepends=True))
    assert dict(zip(header, row, strict=True))["choices.x"] == cell


def test_latency_is_a_column_where_it_was_measured(record, make_trial):
    timed = make_trial(1, 0.5, cost=Cost(50, 200, 60, 500, latency_ms=0.4))
    columns = Candidates(record, [make_trial(0, 0.5), timed]).columns(["latency_ms"])
    assert columns["figures"] == {"latency_ms": [None, 0.4]}
