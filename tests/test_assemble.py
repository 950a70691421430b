"""Names become objects: the right ones, or an error that says what there is."""

from __future__ import annotations

import dataclasses
import math
import pickle  # noqa: TID251 (what travels to the workers must be picklable)
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autokd.assemble import (
    Given,
    Parts,
    assemble_study,
    describe_space,
    distillation_domain,
    load_data,
    load_space,
    make_runner,
    make_scheme,
    threads_of_worker,
    worker_count,
)
from autokd.assemble.search import make_problem
from autokd.budget import Cost
from autokd.errors import ConflictError, SpecError, UnknownNameError
from autokd.space import Architecture
from autokd.spec import SpaceSpec, StudySpec, installed_spaces, read_study
from autokd.store import Store
from autokd.task import Task
from autokd.trial import Evaluation, Trial, TrialKind, TrialState
from search_spaces.hierarchical_graph import HierarchicalGraph

CPU = torch.device("cpu")


@pytest.fixture
def spec(tiny_spec: dict[str, Any]) -> StudySpec:
    return read_study(tiny_spec)


def changed(tiny_spec: dict[str, Any], **fields: Any) -> StudySpec:
    return read_study({**tiny_spec, **fields})


# The parts


def test_budget_is_resolved_against_the_teacher(spec):
    parts = Parts.of(spec)
    assert parts.budget.limits["parameters"] == pytest.approx(0.2 * parts.teacher_cost.parameters)
    assert parts.domain.parameters["parameter_limit"].choices == (15_550,)


def test_normalisation_is_no_part_of_a_teachers_cost(tiny_spec):
    from autokd.layers import Normalised

    bare = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    spec = changed(tiny_spec, teacher={"model": "custom"}, budget={})
    wrapped = Parts.of(spec, Given(teacher=Normalised(bare, (0.5,), (0.5,))))
    assert wrapped.teacher_cost == Parts.of(spec, Given(teacher=bare)).teacher_cost


def test_split_follows_the_seed_of_the_study(spec):
    def labels(seed: int) -> list[int]:
        return load_data(spec.data, seed, CPU).train.labels.tolist()

    assert labels(0) == labels(0) != labels(1)


def test_worker_count_is_the_specs_or_one_per_core(spec, monkeypatch):
    monkeypatch.setattr("autokd.assemble.workers._cores", lambda: 6)
    assert worker_count(spec, CPU) == 1
    free = spec.model_copy(
        update={"execution": spec.execution.model_copy(update={"workers": None})}
    )
    assert worker_count(free, CPU) == 6


@pytest.mark.parametrize(
    ("environment", "workers", "threads"), [("", 2, 3), ("", 12, 1), ("4", 2, 4), ("0", 1, 6)]
)
def test_workers_share_the_cores_unless_the_environment_says_otherwise(
    monkeypatch, environment, workers, threads
):
    monkeypatch.setattr("autokd.assemble.workers._cores", lambda: 6)
    monkeypatch.setenv("OMP_NUM_THREADS", environment)
    assert threads_of_worker(workers) == threads


# Spaces


def test_the_installed_space_is_found_by_its_entry_point():
    assert set(installed_spaces()) == {"hierarchical_graph"}
    assert isinstance(load_space(SpaceSpec(name="hierarchical_graph")), HierarchicalGraph)


def test_options_of_a_space_come_from_the_study_file(tiny_spec):
    space = load_space(read_study(tiny_spec).space)
    assert isinstance(space, HierarchicalGraph)
    assert tuple(space.ranges["top_nodes"]) == (3, 3)


def test_unknown_space_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'hierarchical_graph'"):
        load_space(SpaceSpec(name="hierarchical"))


def test_unknown_options_are_refused_all_at_once():
    with pytest.raises(SpecError) as error:
        load_space(SpaceSpec(name="hierarchical_graph", top_node=[1, 2], width=3))
    assert [mistake.path for mistake in error.value.mistakes] == ["space.top_node", "space.width"]


def test_space_is_described_with_its_ranges_conditions_and_options():
    described = describe_space("hierarchical_graph")
    rows = {row["name"]: row for row in described["parameters"]}
    assert rows["top_neighbours"]["range"] == "2 to 4 in steps of 2"
    assert rows["middle_probability"]["condition"] == "middle_nodes is 2 to 10"
    assert "parameter_limit" not in rows
    assert {option["name"] for option in described["options"]} >= {
        "top_nodes",
        "parameter_fraction",
    }


# Distillation


def test_only_ranges_are_searched(tiny_spec):
    kd = {"name": "kd", "temperature": 4, "weight": {"low": 0.1, "high": 1}}
    domain = distillation_domain(changed(tiny_spec, distillation={"losses": [kd]}).distillation)
    assert list(domain.parameters) == ["kd.weight"]


def test_scheme_takes_fixed_numbers_from_the_spec_and_searched_ones_from_the_choices(tiny_spec):
    kd = {"name": "kd", "temperature": 4, "weight": {"low": 0.1, "high": 1}}
    distillation = changed(tiny_spec, distillation={"losses": [kd]}).distillation
    scheme = make_scheme(distillation, 0.0, {"kd.weight": 0.25})
    assert scheme.weights == {"kd": 0.25}
    assert scheme.losses["kd"].temperature == 4


# Objects of one's own


def test_custom_without_an_object_is_refused(tiny_spec):
    for path, fields in (
        ("data.name", {"data": {"name": "custom"}}),
        ("teacher.model", {"teacher": {"model": "custom"}}),
        ("space.name", {"space": {"name": "custom"}}),
    ):
        with pytest.raises(SpecError, match=f"{path}: .*custom"):
            Parts.of(changed(tiny_spec, **fields))


def mistaken(spec: StudySpec) -> list[str]:
    with pytest.raises(SpecError) as error:
        Parts.of(spec)
    return [mistake.path for mistake in error.value.mistakes]


def test_all_that_is_not_to_be_had_is_reported_at_once(tiny_spec, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    spec = changed(
        tiny_spec,
        execution={"device": "cuda"},
        data={"name": "npz", "path": "missing.npz"},
        space={"name": "hierarchical_graph", "top_node": [3, 3]},
        teacher={"model": "torchvision/resnet19", "weights": "missing.safetensors"},
        strategy={"name": "optuna", "sampler": "TPESample"},
    )
    assert mistaken(spec) == [
        "execution.device",
        "data.path",
        "space.top_node",
        "teacher.model",
        "teacher.weights",
        "strategy.sampler",
    ]


def test_a_sampler_of_the_hub_is_not_looked_for_in_optuna(tiny_spec):
    hub = {"name": "optuna", "hub": "samplers/mine", "sampler": "Mine"}
    assert Parts.of(changed(tiny_spec, strategy=hub)).space.name == "hierarchical_graph"


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"name": "digits", "augmentation": {"pad": 9}}, "data.augmentation.pad"),
        ({"name": "digits", "train_limit": 3}, "data.train_limit"),
        ({"name": "digits", "validation": 0.9999}, "data.validation"),
        ({"name": "food101"}, "data.image_size"),
        ({"name": "mnist", "root": "missing"}, "data.root"),
    ],
)
def test_what_is_wrong_with_the_data_is_said_with_its_field(tiny_spec, data, path):
    assert mistaken(changed(tiny_spec, data=data)) == [path]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tiny_spec):
    with pytest.raises(SpecError, match=r"execution\.device"):
        Parts.of(changed(tiny_spec, execution={"device": "cuda"}))


def test_what_travels_to_the_workers_is_picklable(spec, tmp_path):
    import functools

    teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    make = functools.partial(make_runner, spec, tmp_path, Given(teacher=teacher))
    assert pickle.loads(pickle.dumps(make)).args[0] == spec


# The study


def test_assembled_study_is_recorded_and_found_again(spec, tmp_path):
    first = assemble_study(spec, storage=tmp_path / "a.db")
    second = assemble_study(spec, storage=tmp_path / "a.db")
    assert first.record.id == second.record.id
    assert (first.spec, first.budget) == (spec, second.budget)
    for study in (first, second):
        study.store.close()


def test_other_limits_are_the_same_study_and_another_seed_is_another(searched, tmp_path, spec):
    searched.copy_to(tmp_path)
    longer = spec.model_copy(update={"limits": spec.limits.model_copy(update={"trials": 9})})
    study = assemble_study(longer, storage=tmp_path / "autokd.db")
    assert len([trial for trial in study.trials if trial.number < 9]) == 3
    study.store.close()
    with pytest.raises(ConflictError, match="it differs in seed"):
        assemble_study(spec.model_copy(update={"seed": 1}), storage=tmp_path / "autokd.db")


def test_a_warm_start_begins_with_what_the_earlier_study_found(searched, tmp_path, tiny_spec):
    searched.copy_to(tmp_path)
    warm = {"name": "bayesian", "warm_start": ["tiny"]}
    spec = changed(tiny_spec, name="next", seed=1, strategy=warm)
    study = assemble_study(spec, storage=tmp_path / "autokd.db")
    first = study.strategy.suggest([], np.random.default_rng(0))
    trials = study.store.trials(study.store.study("tiny").id)
    assert any(first.architecture.choices == trial.architecture.choices for trial in trials)
    study.store.close()


def test_a_study_that_has_begun_goes_on_without_what_it_learned_from(searched, tmp_path, tiny_spec):
    searched.copy_to(tmp_path)
    warm = {"name": "bayesian", "warm_start": ["tiny"]}
    spec = changed(tiny_spec, name="next", strategy=warm)
    study = assemble_study(spec, storage=tmp_path / "autokd.db")
    tiny = study.store.study("tiny")
    for trial in study.store.trials(tiny.id)[:1]:
        study.store.add_trial(
            study.record.id,
            kind=trial.kind,
            architecture=trial.architecture,
            distillation=trial.distillation,
            cost=trial.cost,
            repeat=0,
            state=TrialState.QUEUED,
            epochs=1,
        )
    study.store.hide_study(tiny.id)
    study.store.close()
    again = assemble_study(spec, storage=tmp_path / "autokd.db")
    assert len(again.trials) == 1
    again.store.close()


@pytest.mark.parametrize(
    "strategy",
    [
        {"name": "bayesian"},
        {"name": "trade"},
        {"name": "autokd"},
        {"name": "autokd_gp"},
        {"name": "regularized_evolution", "population": 4, "sample": 2},
        {"name": "tpe"},
        {"name": "random"},
    ],
    ids=lambda strategy: strategy["name"],
)
def test_every_strategy_proposes_real_networks_once_it_knows_some(strategy, tmp_path, tiny_spec):
    study = assemble_study(changed(tiny_spec, strategy=strategy), storage=tmp_path / "a.db")
    trials: list[Trial] = []
    for number in range(8):
        found = study.strategy.suggest(trials, np.random.default_rng(number))
        cost = study.evaluator.cost(found.architecture)
        assert not study.budget.violations(cost)
        figures = {"accuracy": 1 / (1 + cost.parameters)}
        trials.append(
            Trial(
                number=number,
                kind=TrialKind.SEARCH,
                candidate=number,
                architecture=found.architecture,
                distillation=found.distillation,
                cost=cost,
                repeat=0,
                state=TrialState.COMPLETE,
                epochs=1,
                evaluations=(Evaluation(1, figures),),
                notes=found.notes,
            )
        )
    assert len({(trial.architecture, str(trial.distillation)) for trial in trials}) == 8
    study.store.close()


def test_a_warm_start_from_a_study_that_is_not_there_leaves_no_record(tmp_path, tiny_spec):
    spec = changed(tiny_spec, strategy={"name": "bayesian", "warm_start": ["tine"]})
    with pytest.raises(SpecError, match=r"strategy\.warm_start\.0: .*tine"):
        assemble_study(spec, storage=tmp_path / "a.db")
    with Store.open(tmp_path / "a.db") as store:
        assert store.studies() == []


def test_study_that_never_began_may_become_another_one(spec, tmp_path):
    assemble_study(spec, storage=tmp_path / "a.db").store.close()
    other = spec.model_copy(update={"seed": 1})
    assemble_study(other, storage=tmp_path / "a.db").store.close()
    with Store.open(tmp_path / "a.db") as store:
        assert len(store.studies()) == 1


def test_files_lie_beside_the_database_or_where_it_is_said(spec, tmp_path):
    beside = assemble_study(spec, storage=tmp_path / "a.db")
    elsewhere = assemble_study(spec, storage=tmp_path / "b.db", files=tmp_path / "files")
    assert beside.record.folder.is_relative_to(tmp_path / "a.files")
    assert elsewhere.record.folder.is_relative_to(tmp_path / "files")
    for study in (beside, elsewhere):
        study.store.close()


def test_over_budget_is_measured_by_the_real_cost(spec, tmp_path):
    study = assemble_study(spec, storage=tmp_path / "a.db")
    suggestion = study.strategy.suggest([], np.random.default_rng(0))
    cost = study.evaluator.cost(suggestion.architecture)
    assert study.budget.violations(cost) == {}
    huge = dataclasses.replace(cost, parameters=10**9)
    assert study.budget.violations(huge).keys() == {"parameters"}
    study.store.close()


def test_latency_is_measured_for_students_only_if_it_is_asked_for(tiny_spec, tmp_path):
    def latency(name: str, **fields: Any) -> float | None:
        study = assemble_study(changed(tiny_spec, name=name, **fields), storage=tmp_path / "a.db")
        suggestion = study.strategy.suggest([], np.random.default_rng(0))
        study.store.close()
        return study.evaluator.cost(suggestion.architecture).latency_ms

    assert latency("unasked") is None
    asked = latency("asked", budget={"latency_ms": "1000x"})
    assert asked is not None and asked > 0


def test_storage_may_be_a_path(spec, tmp_path):
    assert isinstance(tmp_path / "a.db", Path)
    assemble_study(spec, storage=tmp_path / "deep" / "a.db").store.close()
    assert (tmp_path / "deep" / "a.db").is_file()


class Scored(HierarchicalGraph):
    """The space with a score of its own."""

    def __init__(self, score: float = 2.0, name: str = "promise") -> None:
        super().__init__()
        self.score = {name: score}

    def scores(self, architecture: Architecture, task: Task) -> dict[str, float]:
        return self.score


def test_what_a_space_says_without_training_is_known_beside_the_cost(spec, tmp_path):
    parts = Parts.of(spec, Given(space=Scored()))
    cost = Cost(parameters=1, weight_bytes=4, peak_activation_bytes=4, macs=1)
    problem = make_problem(spec, parts, lambda architecture: cost)
    architecture = Architecture("hierarchical_graph", {})
    assert problem.figures(architecture) == {**cost.figures(), "promise": 2.0}


def test_a_limit_on_parameters_is_one_on_their_bytes(tiny_spec):
    def limits(**budget):
        spec = changed(tiny_spec, budget=budget)
        return make_problem(spec, Parts.of(spec), lambda architecture: Cost(1, 4, 1, 1)).limits

    assert limits(macs=100) == {"macs": 100}
    both = {"parameters": 10, "weight_bytes": math.inf, "macs": 100}
    assert limits(parameters=10, macs=100) == both


def test_a_score_may_not_pass_for_a_metric(spec):
    parts = Parts.of(spec, Given(space=Scored(name="accuracy")))
    cost = Cost(parameters=1, weight_bytes=4, peak_activation_bytes=4, macs=1)
    problem = make_problem(spec, parts, lambda architecture: cost)
    with pytest.raises(ValueError, match="names that are no metrics, got accuracy"):
        problem.figures(Architecture("hierarchical_graph", {}))


@pytest.mark.parametrize("score", [0.0, -1.0, math.nan, math.inf])
def test_scores_that_have_no_logarithm_are_refused(spec, score):
    parts = Parts.of(spec, Given(space=Scored(score)))
    cost = Cost(parameters=1, weight_bytes=4, peak_activation_bytes=4, macs=1)
    problem = make_problem(spec, parts, lambda architecture: cost)
    with pytest.raises(ValueError, match="expected positive numbers .* got promise"):
        problem.figures(Architecture("hierarchical_graph", {}))
