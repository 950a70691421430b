"""The model card: what it says, and that what it quotes cannot break it."""

from __future__ import annotations

from typing import Any

import pytest

from autokd.card import model_card
from autokd.spec import read_study

SPEC = {
    "name": "made-up",
    "data": {"name": "npz", "path": "/secret/place/images.npz", "validation": 0.25},
    "teacher": {"model": "resnet20", "epochs": 1},
    "space": {"name": "hierarchical_graph"},
    "distillation": {
        "losses": [{"name": "kd", "temperature": 4, "weight": {"low": 0.1, "high": 1}}]
    },
    "fidelity": {"min_epochs": 1, "max_epochs": 9},
    "seed": 5,
}


def described(**fields: Any) -> dict[str, Any]:
    """A candidate that was retrained from two seeds."""
    return {
        "study": "made-up",
        "trial": 7,
        "candidate": 3,
        "state": "complete",
        "epochs": 20,
        "architecture": {"space": "hierarchical_graph", "choices": {"width": 4}, "seed": 99},
        "distillation": {"kd.weight": 0.5},
        "cost": {"parameters": 1234, "macs": 567890},
        "metrics": {"validation_accuracy": 0.9, "test_accuracy": 0.89, "ece": 0.02},
        "budget": {"parameters": 2000},
        "teacher": {"parameters": 20000, "accuracy": 0.95, "test_ece": 0.04},
        "spec": read_study(SPEC).model_dump(mode="json"),
        "final": {
            "epochs": 20,
            "seeds": 2,
            "validation_accuracy": 0.9,
            "validation_accuracy_sd": 0.01,
            "baseline_validation_accuracy": 0.88,
            "baseline_validation_accuracy_sd": 0.02,
            "ece": 0.02,
            "ece_sd": 0.001,
        },
        **fields,
    }


def test_figures_stand_beside_the_teachers_and_the_budget() -> None:
    card = model_card(described())
    assert card.startswith("# made-up: student of trial 7\n")
    assert "| parameters | 1,234 | 20,000 | 2,000 |" in card
    assert "| validation accuracy | 0.9000 | 0.9500 | - |" in card
    assert "| expected calibration error | 0.0200 | 0.0400 | - |" in card


def test_mean_and_spread_stand_beside_the_baseline_without_the_teacher() -> None:
    card = model_card(described())
    assert "| validation accuracy | 0.9000 ± 0.0100 | 0.8800 ± 0.0200 |" in card
    assert "| expected calibration error | 0.0200 ± 0.0010 | - |" in card
    assert "Retrained for 20 epochs from 2 seeds (mean ± standard deviation)" in card
    one = model_card(described(final={**described()["final"], "seeds": 1}))
    assert "| validation accuracy | 0.9000 | 0.8800 |" in one
    assert "from 1 seed;" in one


def test_training_tells_losses_with_what_was_fixed_and_what_was_found() -> None:
    card = model_card(described())
    assert "- loss `kd`: temperature 4, weight 0.5 (searched)" in card
    assert "with the labels, its weight: what the others leave of 1" in card
    assert "- teacher: `resnet20`, trained for 1 epoch\n" in card
    assert "20 epochs; batch size 128, learning rate 0.1" in card


def test_data_is_told_without_the_machine_that_it_lay_on() -> None:
    card = model_card(described())
    assert "- images: `npz` from `images.npz`" in card
    assert "steer the search: 25%" in card
    assert "secret" not in card


def test_card_says_how_to_load_and_how_to_reproduce() -> None:
    card = model_card(described())
    assert "autokd export made-up --trial 7 -o student" in card
    assert 'autokd.load_student("student")' in card
    assert "autokd search made-up.json" in card
    assert "the seed 5" in card


def test_candidate_of_the_search_is_said_to_be_one() -> None:
    card = model_card(
        described(
            final=None, state="paused", epochs=3, metrics={"validation_accuracy": 0.7}, budget={}
        )
    )
    assert "trained for 3 epochs of the search (its trial is paused) and not retrained" in card
    assert "not scored on the test split" in card
    assert "With and without" not in card
    assert "| validation accuracy | 0.7000 | 0.9500 |\n" in card


def test_candidate_that_was_never_trained_has_nothing_to_use() -> None:
    card = model_card(described(final=None, state="infeasible", epochs=0, metrics={}))
    assert "It has not been trained: its trial is infeasible." in card
    assert "## Use" not in card


@pytest.mark.parametrize("hostile", ["`x` | <b>", "a\n# title", "a\n```\nb"])
def test_what_is_quoted_stays_within_its_cell(hostile: str) -> None:
    plain = described(architecture={"space": "s", "choices": {"name": "value"}, "seed": 0})
    quoted = described(architecture={"space": hostile, "choices": {hostile: hostile}, "seed": 0})
    before, after = model_card(plain).splitlines(), model_card(quoted).splitlines()
    assert len(before) == len(after)
    row = next(line for line, other in zip(after, before, strict=True) if "`value`" in other)
    assert row.count("|") == 3
    assert row.count("`") == 4
