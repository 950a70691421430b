from __future__ import annotations

import importlib
import json
import os
import sys

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autokd.errors import AutokdError
from autokd.seeding import rng_for
from autokd.space import Architecture, Condition, Domain
from autokd.strategies import RandomSearch, SpaceExhausted
from autokd.trial import Suggestion, TrialState

pytest.importorskip("smac", reason='needs the extra: pip install "autokd[smac]"')

from smac.runhistory import RunHistory, StatusType

from autokd.strategies.smac_search import SMACSearch


@pytest.fixture
def search(make_trial):
    """Runs a study of `n` trials, one after the other, and gives its record."""

    def run(problem, n, trials=(), seed=0, state=TrialState.COMPLETE, **fields):
        trials = list(trials)
        strategy = SMACSearch(problem, initial=4)
        while len(trials) < n:
            suggestion = strategy.suggest(trials, rng_for(seed, len(trials), "suggest"))
            size = 10 * suggestion.architecture.choices.get("width", 1)
            trials.append(make_trial(len(trials), suggestion, state=state, size=size, **fields))
        return trials

    return run


@pytest.fixture
def told(monkeypatch):
    """What SMAC is told at the last suggestion: configuration, cost and state of each trial."""
    rows = []
    add, start = RunHistory.add, RunHistory.__init__

    def spy(self, config, cost, *arguments, **options):
        rows.append((dict(config), cost, options["status"]))
        add(self, config, cost, *arguments, **options)

    def begin(self, *arguments, **options):
        rows.clear()
        start(self, *arguments, **options)

    monkeypatch.setattr(RunHistory, "add", spy)
    monkeypatch.setattr(RunHistory, "__init__", begin)
    return rows


@pytest.mark.parametrize("n_objectives", [1, 2])
def test_proposals_are_new_canonical_points_within_the_budget(make_problem, search, n_objectives):
    problem = make_problem(1000, objectives=make_problem().objectives[:n_objectives])
    trials = search(problem, 14)
    for trial in trials:
        choices, teaching = trial.architecture.choices, trial.distillation
        assert problem.architecture.canonical(choices) == choices
        assert problem.distillation.canonical(teaching) == teaching
        assert not problem.violations(trial.architecture)
    assert len({(trial.architecture.key, str(trial.distillation)) for trial in trials}) == 14
    assert len({trial.architecture.choices["op"] for trial in trials}) == 2


def test_the_same_seed_gives_the_same_proposals_whether_resumed_or_not(make_problem, search):
    problem = make_problem()
    whole = search(problem, 10)
    assert search(problem, 10, whole[:7][::-1])[7:] == whole[7:]
    assert search(problem, 10, whole[:7], seed=1)[7:] != whole[7:]


def test_a_small_space_is_proposed_without_repeats_until_it_is_exhausted(make_tiny, search):
    problem = make_tiny(3)
    trials = search(problem, 9, accuracies=(0.5, 0.5, 0.5))
    assert len({trial.architecture.key for trial in trials}) == 9
    with pytest.raises(SpaceExhausted):
        SMACSearch(problem, initial=4).suggest(trials, np.random.default_rng(0))


def test_what_is_known_and_what_is_pending_is_told_and_nothing_else(make_tiny, make_trial, told):
    problem = make_tiny(objectives=make_tiny().objectives[:1])
    rows = [
        (TrialState.COMPLETE, 0.2),
        (TrialState.COMPLETE, 0.6),
        (TrialState.COMPLETE, float("nan")),
        (TrialState.RUNNING, None),
        (TrialState.QUEUED, None),
        (TrialState.FAILED, None),
    ]
    trials = []
    for number, (state, accuracy) in enumerate(rows):
        suggestion = RandomSearch(problem).suggest(trials, rng_for(0, number, "suggest"))
        accuracies = () if accuracy is None else (accuracy,) * 3
        trials.append(make_trial(number, suggestion, accuracies, state))
    new = SMACSearch(problem, initial=2).suggest(trials, np.random.default_rng(0))
    assert new.architecture not in [trial.architecture for trial in trials]
    states = [StatusType.SUCCESS] * 2 + [StatusType.RUNNING] * 2
    assert [state for _, _, state in told] == states
    assert [cost for _, cost, _ in told[:2]] == [[1.0], [0.0]]
    for (codes, _, _), trial in zip(told, [*trials[:2], *trials[3:5]], strict=True):
        choices = trial.architecture.choices
        expected = {"op": "abc".index(choices["op"]), "width": choices["width"] - 1}
        assert codes == {"architecture." + name: code for name, code in expected.items()}


def test_parameters_that_do_not_exist_are_not_told(make_problem, make_trial, told):
    domain = Domain(
        {
            "op": CategoricalDistribution(["a", "b"]),
            "fixed": IntDistribution(3, 3),
            "k": IntDistribution(2, 8, step=2),
            "rate": FloatDistribution(0.1, 10, log=True),
            "share": FloatDistribution(0, 1, step=0.25),
        },
        {"k": Condition("op", ("b",)), "rate": Condition("k", (4, 6))},
    )
    problem = make_problem(9, lambda architecture: 1, architecture=domain, distillation=Domain({}))
    points = [
        {"op": "a", "fixed": 3, "share": 0.75},
        {"op": "b", "fixed": 3, "k": 8, "share": 0.0},
        {"op": "b", "fixed": 3, "k": 4, "rate": 0.5, "share": 1.0},
    ]
    trials = [
        make_trial(number, Suggestion(Architecture("s", point), {}), (0.5,) * 3)
        for number, point in enumerate(points)
    ]
    strategy = SMACSearch(problem, initial=2)
    for seed in range(4):
        choices = strategy.suggest(trials, np.random.default_rng(seed)).architecture.choices
        assert domain.canonical(choices) == choices
    prefix = "architecture."
    codes = [{name.removeprefix(prefix): code for name, code in row.items()} for row, _, _ in told]
    assert codes == [
        {"op": 0, "fixed": 0, "share": 3},
        {"op": 1, "fixed": 0, "k": 3, "share": 0},
        {"op": 1, "fixed": 0, "k": 1, "rate": 0.5, "share": 4},
    ]


def test_draws_of_one_generator_are_told_apart_by_their_seed(make_tiny, search):
    trials = search(make_tiny(draws=True), 15, accuracies=(0.5, 0.5, 0.5))
    assert len({trial.architecture.key for trial in trials}) == 15
    assert len({json.dumps(dict(trial.architecture.choices)) for trial in trials[:12]}) == 12


def test_no_more_costs_are_asked_for_than_can_be_afforded(make_problem, search):
    trials = search(make_problem(), 6)
    asked = set()

    def violations(architecture):
        asked.add(architecture.key)
        return {} if len(asked) == 5 else {"parameters": 1.0}

    problem = make_problem(violations=violations, affordable=5)
    SMACSearch(problem, initial=4).suggest(trials, np.random.default_rng(0))
    assert len(asked) == 5


@pytest.mark.slow
def test_its_proposals_are_better_than_random_ones(make_problem, make_trial):
    domain = Domain({f"op_{i}": CategoricalDistribution(list("abcd")) for i in range(6)})
    problem = make_problem(
        9,
        lambda architecture: 1,
        architecture=domain,
        distillation=Domain({}),
        objectives=make_problem().objectives[:1],
    )

    def quality(strategy, seed):
        trials = []
        while len(trials) < 25:
            suggestion = strategy.suggest(trials, rng_for(seed, len(trials), "suggest"))
            right = list(suggestion.architecture.choices.values()).count("b") / 6
            trials.append(make_trial(len(trials), suggestion, (right,) * 3))
        return np.mean([trial.figures["accuracy"] for trial in trials[10:]])

    smac, random = (
        np.mean([quality(strategy(problem), seed) for seed in range(2)])
        for strategy in (SMACSearch, RandomSearch)
    )
    assert smac > random + 0.03


def test_large_equal_losses_are_borne(make_tiny, make_trial):
    problem = make_tiny(objectives=make_tiny().objectives[1:])
    trials = []
    for number, point in enumerate(problem.architecture.sample(np.random.default_rng(0), 5)):
        suggestion = Suggestion(Architecture("s", point), {})
        trials.append(make_trial(number, suggestion, (0.5,) * 3, size=10**9 * (1 + number // 3)))
    SMACSearch(problem, initial=4).suggest(trials, np.random.default_rng(0))


def test_it_leaves_no_traces(make_problem, search, tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.chdir(tmp_path)
    before = np.random.get_state()[1].tolist()
    search(make_problem(), 6)
    assert np.random.get_state()[1].tolist() == before
    assert not os.listdir(tmp_path) and not caplog.records
    assert capfd.readouterr() == ("", "")


def test_no_initial_trial_is_refused(make_problem):
    with pytest.raises(ValueError, match="at least 1 initial trial, got 0"):
        SMACSearch(make_problem(), initial=0)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "smac", None)
    monkeypatch.delitem(sys.modules, "autokd.strategies.smac_search")
    with pytest.raises(AutokdError, match="expected the package `smac`") as error:
        importlib.import_module("autokd.strategies.smac_search")
    assert 'pip install "autokd[smac]"' in str(error.value.hint)
