from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from autokd.budget import COST_METRICS
from autokd.errors import SpecError
from autokd.spec import (
    BudgetSpec,
    DistillationSpec,
    FidelitySpec,
    ImageFolderSpec,
    KDLossSpec,
    Metric,
    NumberRange,
    Quantity,
    SpaceSpec,
    TorchvisionSpec,
    read_study,
)
from autokd.spec.models import ObjectiveSpec


def test_figures_that_can_be_bounded_are_those_that_are_measured() -> None:
    assert tuple(BudgetSpec.model_fields) == COST_METRICS
    assert get_args(Metric) == ("accuracy", "loss", *COST_METRICS)


@pytest.mark.parametrize(
    ("low", "high", "eta", "rungs"),
    [(3, 27, 3, (3, 9, 27)), (1, 10, 3, (1, 3, 9, 10)), (5, 5, 2, (5,)), (2, 3, 4, (2, 3))],
)
def test_rungs_grow_by_eta_and_end_at_the_longest(
    low: int, high: int, eta: int, rungs: tuple[int, ...]
) -> None:
    assert FidelitySpec(min_epochs=low, max_epochs=high, eta=eta).rungs == rungs


def test_the_name_of_a_data_set_says_which_fields_it_has(study: dict[str, Any]) -> None:
    study["data"] = {"name": "image_folder", "root": "images", "image_size": 32}
    assert isinstance(read_study(study).data, ImageFolderSpec)
    study["data"] = {"name": "cifar10", "download": True}
    assert isinstance(read_study(study).data, TorchvisionSpec)


def test_what_a_space_does_not_share_with_others_is_its_options() -> None:
    space = SpaceSpec.model_validate({"name": "tiny_chain", "depths": [1, 2], "nested": {"a": 1}})
    assert space.options == {"depths": [1, 2], "nested": {"a": 1}}


def test_only_limits_that_are_set_are_given() -> None:
    budget = BudgetSpec(parameters=Quantity.parse("20k"))
    assert budget.given() == {"parameters": Quantity.parse("20k")}


def test_a_searched_number_is_fixed_or_a_range(study: dict[str, Any]) -> None:
    study["distillation"]["losses"] = [
        {"name": "kd", "temperature": {"low": 1, "high": 20, "log": True}, "weight": 1}
    ]
    loss = read_study(study).distillation.losses[0]
    assert loss.temperature == NumberRange(low=1, high=20, log=True)
    assert loss.weight == 1.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": 0}, "expected a number > 0, or a range above 0; got 0.0"),
        ({"temperature": {"low": -1, "high": 3}}, "a range above 0; got -1.0"),
        ({"weight": -0.5}, "expected a number >= 0, or a range from 0 on; got -0.5"),
        ({"weight": {"low": 2, "high": 1}}, "expected low <= high; got low 2.0 and high 1.0"),
        ({"weight": {"low": 0, "high": 1, "log": True}}, "expected low > 0 on a log scale"),
    ],
)
def test_a_loss_outside_its_domain_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        KDLossSpec.model_validate({"name": "kd", **fields})


def test_a_loss_stands_once() -> None:
    loss = KDLossSpec(name="kd")
    with pytest.raises(ValidationError, match="expected each loss once; got 'kd' again"):
        DistillationSpec(losses=(loss, loss))


@pytest.mark.parametrize(("metric", "direction"), [("accuracy", "minimize"), ("loss", "maximize")])
def test_nobody_wants_the_worse_accuracy(metric: Any, direction: Any) -> None:
    with pytest.raises(ValidationError, match=f"for {metric}; got '{direction}'"):
        ObjectiveSpec(metric=metric, direction=direction)


def test_identity_is_what_can_change_a_trials_result(study: dict[str, Any]) -> None:
    identity = read_study(study).identity
    free: dict[str, Any] = {
        "limits": {"trials": 7},
        "final": None,
        "execution": {"workers": 1, "device": "cpu"},
        "data": {"name": "digits", "memory_limit": "1MiB"},
        "distillation": {**study["distillation"], "teach_once": {"memory_limit": "1MiB"}},
    }
    for name, value in free.items():
        assert read_study({**study, name: value}).identity == identity, name
    bound: dict[str, Any] = {
        "seed": 1,
        "budget": {"macs": "1M"},
        "data": {"name": "digits", "validation": 0.3},
        "training": {"batch_size": 64},
        "strategy": {"name": "random"},
        "objectives": [{"metric": "loss", "direction": "minimize"}],
    }
    for name, value in bound.items():
        assert read_study({**study, name: value}).identity != identity, name


def test_a_budget_counts_by_its_amounts_however_they_are_written(study: dict[str, Any]) -> None:
    identities = [
        read_study({**study, "budget": {"parameters": amount}}).identity
        for amount in ("20k", 20_000, "20000.0")
    ]
    assert identities[0] == identities[1] == identities[2]


def test_a_study_does_not_learn_from_itself(study: dict[str, Any]) -> None:
    study |= {"strategy": {"name": "bayesian", "warm_start": ["other", study["name"]]}}
    with pytest.raises(SpecError, match="strategy: expected other studies in warm_start"):
        read_study(study)


@pytest.mark.parametrize("strategy", ["trade", "random", "tpe", "autokd"])
def test_only_a_strategy_that_tells_its_gain_can_converge(
    study: dict[str, Any], strategy: str
) -> None:
    study |= {"strategy": {"name": strategy}, "limits": {"trials": 6, "converged": 0.1}}
    with pytest.raises(SpecError, match=rf"limits: expected converged with .* got {strategy}"):
        read_study(study)
    for fitting in ("bayesian", "autokd_gp"):
        assert read_study({**study, "strategy": {"name": fitting}}).limits.converged == 0.1


def test_the_final_stage_is_long_enough_to_warm_up(study: dict[str, Any]) -> None:
    study |= {"training": {"warmup_epochs": 5}, "final": {"epochs": 4}}
    with pytest.raises(SpecError, match=r"final: expected warmup_epochs of at most final.epochs"):
        read_study(study)


@pytest.mark.parametrize(
    "path",
    [
        "data.augmentation.pad",
        "teacher.epochs",
        "training.batch_size",
        "strategy.initial",
        "fidelity.max_epochs",
        "limits.trials",
        "limits.epochs",
        "final.seeds",
        "execution.workers",
    ],
)
def test_numbers_without_measure_are_refused(study: dict[str, Any], path: str) -> None:
    study.update(strategy={"name": "bayesian"})
    *parents, last = path.split(".")
    part = study
    for parent in parents:
        part = part.setdefault(parent, {})
    part[last] = 10**400
    with pytest.raises(SpecError, match=path):
        read_study(study)
