from __future__ import annotations

import dataclasses
import logging
import sys
import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState as State

from autokd.errors import AutokdError, SpecError, UnknownNameError
from autokd.seeding import rng_for
from autokd.space import Domain
from autokd.strategies import OptunaSearch, RandomSearch
from autokd.strategies.optuna_search import hub_sampler
from autokd.trial import Suggestion, TrialState


@pytest.fixture
def view(monkeypatch):
    """What the sampler sees: the Optuna trials and directions at the last suggestion."""
    seen = {}

    def spy(self, study, trial):
        seen["trials"] = study.get_trials(deepcopy=False)[:-1]
        seen["directions"] = [direction.name.lower() for direction in study.directions]

    monkeypatch.setattr(RandomSampler, "before_trial", spy)
    return seen


@pytest.fixture
def record(make_problem, make_trial):
    """A record of random trials, one for each given list of accuracies and state."""

    def make(problem, *rows):
        trials = []
        for number, (state, accuracies) in enumerate(rows):
            suggestion = RandomSearch(problem).suggest(trials, rng_for(0, number, "suggest"))
            trials.append(make_trial(number, suggestion, accuracies, state))
        return trials

    return make


def suggest(problem, trials, sampler="RandomSampler"):
    return OptunaSearch(problem, sampler).suggest(trials, np.random.default_rng(0))


def test_values_keep_their_sign_and_go_with_their_direction(make_problem, record, view):
    problem = make_problem()
    suggest(problem, record(problem, (TrialState.COMPLETE, (0.5, 0.6, 0.7))))
    assert view["directions"] == ["maximize", "minimize"]
    assert view["trials"][0].values == [0.5, 100]


def test_only_active_parameters_are_told(make_problem, record, view):
    problem = make_problem()
    trials = record(problem, *[(TrialState.COMPLETE, (0.5,))] * 5)
    suggest(problem, trials)
    for trial, told in zip(trials, view["trials"], strict=True):
        assert told.params == {
            **{"architecture." + name: v for name, v in trial.architecture.choices.items()},
            **{"distillation." + name: v for name, v in trial.distillation.items()},
        }


def test_all_are_compared_at_the_highest_rung_with_enough_trials(make_problem, record, view):
    # 7 parameters: 10 trials are enough.
    problem = make_problem()
    top = [(TrialState.COMPLETE, (0.1, 0.2, 0.3))] * 3
    middle = [(TrialState.PAUSED, (0.1, 0.2))] * 7
    low = [(TrialState.PAUSED, (0.1,))] * 5
    suggest(problem, record(problem, *top, *middle, *low))
    assert [t.values and t.values[0] for t in view["trials"]] == [0.2] * 10 + [None] * 5
    suggest(problem, record(problem, *top, *middle[1:], *low))
    assert [t.values and t.values[0] for t in view["trials"]] == [0.1] * 14


def test_a_rung_that_less_than_a_tenth_has_finished_is_not_taken(make_problem, record, view):
    problem = make_problem()
    top = [(TrialState.COMPLETE, (0.1, 0.1, 0.3))] * 10
    low = [(TrialState.PAUSED, (0.1,))] * 91
    suggest(problem, record(problem, *top, *low))
    assert view["trials"][0].values[0] == 0.1
    suggest(problem, record(problem, *top, *low[1:]))
    assert view["trials"][0].values[0] == 0.3


def test_states_are_translated(make_problem, record, view):
    one = make_problem(objectives=make_problem().objectives[:1])
    rows = [(TrialState.COMPLETE, (0.1, 0.2, 0.3))] * 10 + [
        (TrialState.QUEUED, ()),
        (TrialState.RUNNING, (0.1, 0.2)),
        (TrialState.PAUSED, (0.1, 0.25)),
        (TrialState.FAILED, (0.1, 0.2)),
        (TrialState.INFEASIBLE, ()),
        (TrialState.COMPLETE, (0.1, 0.2, float("nan"))),
    ]
    trials = record(one, *rows)
    suggest(one, trials)
    states = [told.state for told in view["trials"]]
    assert states[:10] == [State.COMPLETE] * 10
    assert states[10:13] == [State.RUNNING, State.RUNNING, State.PRUNED]
    assert states[13:] == [State.FAIL] * 3
    assert view["trials"][12].intermediate_values == {3: 0.25}


def test_a_paused_trial_of_several_objectives_has_no_intermediate_value(make_problem, record, view):
    problem = make_problem()
    rows = [(TrialState.COMPLETE, (0.1, 0.2, 0.3))] * 10 + [(TrialState.PAUSED, (0.1,))]
    suggest(problem, record(problem, *rows))
    assert view["trials"][10].state is State.PRUNED
    assert view["trials"][10].intermediate_values == {}


@pytest.mark.parametrize(("name", "sampler"), [("nsga2", "NSGAII"), ("nsga3", "NSGAIII")])
def test_generations_go_through_the_record(make_problem, make_trial, name, sampler):
    problem = make_problem()
    search = OptunaSearch(problem, name, {"population_size": 4})
    trials = []
    for number in range(12):
        suggestion = search.suggest(trials, rng_for(0, number, "suggest"))
        trials.append(make_trial(number, suggestion))
    key = f"{sampler}Sampler:generation"
    generations = [trial.notes["optuna"]["trial"][key] for trial in trials]
    assert generations == [0] * 4 + [1] * 4 + [2] * 4


def test_a_thousand_generations_are_not_too_many(make_problem, make_trial):
    problem = make_problem()
    rng = np.random.default_rng(0)
    trials = []
    for number, point in enumerate(problem.domain.sample(rng, 1100)):
        candidate = problem.candidate(point, rng)
        notes = {"optuna": {"trial": {"NSGAIISampler:generation": number // 2}}}
        suggestion = Suggestion(candidate.architecture, candidate.distillation, notes)
        trials.append(make_trial(number, suggestion))
    search = OptunaSearch(problem, "nsga2", {"population_size": 2})
    assert search.suggest(trials, rng).notes["optuna"]["trial"] == {"NSGAIISampler:generation": 550}


def test_a_quasi_random_sequence_goes_on_where_it_was(make_problem, make_trial):
    domain = Domain({"a": IntDistribution(1, 4), "b": IntDistribution(1, 4)})
    problem = make_problem(
        9, lambda architecture: 1, architecture=domain, distillation=Domain({}), draws=True
    )
    trials = []
    for number in range(4):
        suggestion = OptunaSearch(problem, "QMCSampler").suggest(
            trials, rng_for(0, number, "suggest")
        )
        trials.append(make_trial(number, suggestion, (0.5,)))
    # The second to the fourth are the first three points of the sequence.
    ids = [next(iter(trial.notes["optuna"]["study"].values())) for trial in trials[1:]]
    assert ids == sorted(ids) and len(set(ids)) == 3


def test_the_gaussian_process_sampler_works_on_a_record(make_problem, record):
    import torch

    torch.set_num_threads(1)
    problem = make_problem(objectives=make_problem().objectives[:1])
    trials = record(problem, *[(TrialState.COMPLETE, (0.1 * i,)) for i in range(4)])
    search = OptunaSearch(problem, "gp", {"n_startup_trials": 4})
    one, two = (search.suggest(trials, np.random.default_rng(0)) for _ in range(2))
    assert one == two and not problem.violations(one.architecture)


def test_the_tree_estimator_finds_better_students_than_chance(make_problem, make_trial):
    problem = make_problem(objectives=make_problem().objectives[:1])

    def best(strategy, seed):
        trials = []
        for number in range(35):
            suggestion = strategy.suggest(trials, rng_for(seed, number, "suggest"))
            trials.append(make_trial(number, suggestion))
        return max(trial.figures["accuracy"] for trial in trials)

    tpe = [best(OptunaSearch(problem, "tpe"), seed) for seed in range(3)]
    chance = [best(RandomSearch(problem), seed) for seed in range(3)]
    assert np.median(tpe) > np.median(chance)


def test_nothing_of_optuna_is_heard(make_problem, record, capfd, caplog):
    problem = make_problem()
    trials = record(problem, *[(TrialState.COMPLETE, (0.5,))] * 12)
    before = optuna.logging.get_verbosity()
    optuna.logging.enable_propagation()
    try:
        with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
            warnings.simplefilter("error")
            # `group` is experimental, and a quasi-random sequence cannot do conditions.
            for sampler, options in (("tpe", {"group": True}), ("QMCSampler", {})):
                OptunaSearch(problem, sampler, options).suggest(trials, np.random.default_rng(0))
    finally:
        optuna.logging.disable_propagation()
    assert optuna.logging.get_verbosity() == before
    assert not caplog.records and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["tpee", "BaseSampler", "nsgaii", "os"])
def test_an_unknown_sampler_is_refused_with_what_there_is(make_problem, name):
    with pytest.raises(UnknownNameError, match="'TPESampler'.*'tpe'"):
        OptunaSearch(make_problem(), name)


@pytest.mark.parametrize(
    ("sampler", "options", "message"),
    [
        ("tpe", {"n_startup": 3}, "unexpected keyword argument 'n_startup'"),
        ("nsga2", {"population_size": 1}, "population_size"),
        ("tpe", {"seed": 3}, "follows from the study's"),
        ("BruteForceSampler", {}, "step"),
        ("PartialFixedSampler", {}, "does not work here"),
        ("CmaEsSampler", {}, "pickle"),
    ],
)
def test_a_sampler_that_cannot_work_is_refused_before_the_study_runs(
    make_problem, sampler, options, message
):
    with pytest.raises(SpecError, match=message):
        OptunaSearch(make_problem(), sampler, options)


def test_brute_force_visits_a_finite_space(make_problem, make_trial):
    domain = Domain({"op": CategoricalDistribution(["a", "b"]), "n": IntDistribution(1, 2)})
    problem = make_problem(9, lambda architecture: 1, architecture=domain, distillation=Domain({}))
    trials = []
    for number in range(4):
        suggestion = suggest(problem, trials, "BruteForceSampler")
        trials.append(make_trial(number, suggestion, (0.5,)))
    assert len({trial.architecture.key for trial in trials}) == 4


def test_no_pickle_is_written_to_the_record_or_read_from_it(make_problem, make_trial, monkeypatch):
    """Samplers of samplers use `CmaEsSampler` without being one."""

    def keep(self, study, trial):
        seen.append([t.system_attrs for t in study.get_trials(deepcopy=False)[:-1]])
        for key in ("cma:optimizer:0", "cmawm:optimizer:0", "sepcma:n", "mine:n"):
            study._storage.set_trial_system_attr(trial._trial_id, key, "80049")

    seen = []
    monkeypatch.setattr(RandomSampler, "before_trial", keep)
    problem = make_problem()
    suggestion = suggest(problem, [])
    assert suggestion.notes == {"optuna": {"trial": {"mine:n": "80049"}}}
    notes = {"optuna": {"trial": {"cma:optimizer:0": "80049", "mine:n": "80049"}}}
    suggest(problem, [make_trial(0, dataclasses.replace(suggestion, notes=notes))])
    assert seen[-1][0] == {"mine:n": "80049"}


@pytest.fixture
def registry(tmp_path):
    """A folder like the registry of OptunaHub, with one package of the given code."""
    pytest.importorskip("optunahub")

    def make(code):
        package = tmp_path / "samplers" / "mine"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text(code, encoding="utf-8")
        return tmp_path

    return make


ONE = "from optuna.samplers import RandomSampler, TPESampler\nclass Mine(RandomSampler): pass\n"


def test_a_sampler_of_the_hub_searches(make_problem, registry):
    problem = make_problem()
    sampler = hub_sampler("samplers/mine", registry=registry(ONE))
    assert sampler.__name__ == "Mine"
    suggestion = OptunaSearch(problem, sampler).suggest([], np.random.default_rng(0))
    assert suggestion == suggest(problem, [])
    with pytest.raises(SpecError, match="Mine does not work here"):
        OptunaSearch(problem, sampler, {"population_size": 3})


def test_of_several_samplers_one_is_named(registry):
    folder = registry(ONE + "class Other(TPESampler): pass\n")
    assert hub_sampler("samplers/mine", "Other", registry=folder).__name__ == "Other"
    for name in (None, "RandomSampler", "Any"):
        with pytest.raises(UnknownNameError, match="'Mine', 'Other'"):
            hub_sampler("samplers/mine", name, registry=folder)


def test_a_sampler_of_the_hub_that_keeps_pickles_is_refused(make_problem, registry):
    code = "from optuna.samplers import CmaEsSampler\nclass Mine(CmaEsSampler): pass\n"
    sampler = hub_sampler("samplers/mine", registry=registry(code))
    with pytest.raises(SpecError, match="pickle"):
        OptunaSearch(make_problem(), sampler)


def test_a_package_of_the_hub_that_cannot_be_imported_says_what_to_install(registry):
    with pytest.raises(AutokdError, match=r"no_such_package[\s\S]*samplers/mine/requirements"):
        hub_sampler("samplers/mine", registry=registry("import no_such_package"))


def test_a_package_that_cannot_be_downloaded_is_said(monkeypatch):
    hub = pytest.importorskip("optunahub")
    asked = []

    def load_module(package, ref):
        asked.append((package, ref))
        raise ConnectionError("no network")

    monkeypatch.setattr(hub, "load_module", load_module)
    with pytest.raises(AutokdError, match=r"cannot load 'samplers/mine'.*no network[\s\S]*hub\."):
        hub_sampler("samplers/mine", ref="v1")
    assert asked == [("samplers/mine", "v1")]


def test_without_the_hub_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optunahub", None)
    with pytest.raises(AutokdError, match=r"pip install \"autokd\[optunahub\]\""):
        hub_sampler("samplers/mine")
