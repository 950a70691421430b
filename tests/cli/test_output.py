"""Numbers and tables as people read them."""

from __future__ import annotations

import pytest

from autokd.cli.output import duration, figure, plural, print_summary, scaled, share_of, table


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.98765, "98.77 %"),
        ("test_accuracy_sd", 0.0123, "1.23 %"),
        ("parameters", 27218.6, "27,218"),
        ("parameters", 11_689_512, "11.7M"),
        ("macs", 1_820_000_000, "1.82G"),
        ("peak_activation_bytes", 6912, "6.8 KiB"),
        ("weight_bytes", 3 * 2**20, "3.0 MiB"),
        ("latency_ms", 0.39125, "0.391"),
        ("loss", None, "-"),
    ],
)
def test_a_figure_is_shown_in_the_unit_it_is_read_in(name, value, text):
    assert figure(name, value) == text


def test_a_limit_is_never_rounded_up():
    assert figure("parameters", 27218.9) == "27,218"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00k"), (27_218, "27.2k"), (763_520, "764k"), (1e6, "1.00M")],
)
def test_counts_have_three_digits_and_a_unit(value, text):
    assert scaled(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_time_spans_are_words(seconds, text):
    assert duration(seconds) == text


def test_one_is_singular():
    assert [plural(n, "epoch") for n in (0, 1, 2)] == ["0 epochs", "1 epoch", "2 epochs"]


def test_share_of_nothing_is_a_dash():
    assert (share_of(1, 10), share_of(1, None), share_of(1, 0)) == ("10.0 %", "-", "-")


def test_numbers_stand_to_the_right_and_words_to_the_left(capsys):
    table(("name", "value"), [("a", "1"), ("longer", "1,000")], title="Title")
    assert capsys.readouterr().out.splitlines() == [
        "Title",
        "name    value",
        "a           1",
        "longer  1,000",
    ]


def test_brackets_in_cells_are_no_markup(capsys):
    table(("name",), [("[bold]x[/]",)])
    assert "[bold]x[/]" in capsys.readouterr().out


@pytest.mark.parametrize("asked", [True, False])
def test_retrained_students_show_their_latency_if_the_study_asks_for_it(capsys, asked):
    teacher = {"accuracy": 0.9, "parameters": 100, "peak_activation_bytes": 10, "latency_ms": 2.0}
    row = {
        "trial": 3,
        "seeds": 1,
        "validation_accuracy": 0.8,
        "test_accuracy": 0.8,
        "baseline_test_accuracy": 0.7,
        "parameters": 10,
        "peak_activation_bytes": 5,
        **({"latency_ms": 0.5} if asked else {}),
    }
    print_summary(
        {
            "study": "made-up",
            "state": "completed",
            "stop_reason": None,
            "trials": dict.fromkeys(("total", "complete", "pruned", "infeasible", "failed"), 1),
            "seconds": 1.0,
            "teacher": teacher,
            "budget": {"latency_ms": 1.0} if asked else {},
            "objectives": [{"metric": "accuracy", "direction": "maximize"}],
            "front": [],
            "final": [row],
        }
    )
    heading, _, shown = capsys.readouterr().out.splitlines()[-3:]
    assert ("latency" in heading) == asked
    assert ("25.0 %" in shown) == asked
    assert "50.0 %" in shown
