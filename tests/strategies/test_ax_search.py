from __future__ import annotations

import importlib
import os
import sys

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autokd.errors import AutokdError
from autokd.seeding import rng_for
from autokd.space import Architecture, Condition, Domain
from autokd.strategies import RandomSearch, SpaceExhausted
from autokd.strategies.base import Candidate
from autokd.trial import Suggestion, TrialState

pytest.importorskip("ax.version", reason='needs the extra: pip install "autokd[ax]"')

import torch

from autokd.strategies.ax_search import AxSearch, Client, SearchSpaceExhausted


@pytest.fixture
def record(make_trial):
    """A record of random trials, one for each given accuracy and state."""

    def make(problem, *rows):
        trials = []
        for number, (state, accuracy) in enumerate(rows):
            suggestion = RandomSearch(problem).suggest(trials, rng_for(0, number, "suggest"))
            accuracies = () if accuracy is None else (accuracy,) * 3
            size = 10 * suggestion.architecture.choices["width"]
            trials.append(make_trial(number, suggestion, accuracies, state, size))
        return trials

    return make


@pytest.fixture
def ax(monkeypatch):
    """Answers in place of Ax, with the last of `answers`; `told` is what it was told."""

    class Stand:
        def __init__(self):
            self.told = []
            self.answers = []

    stand = Stand()
    configure, attach, complete = (
        Client.configure_experiment,
        Client.attach_trial,
        Client.complete_trial,
    )

    def begin(self, *arguments, **options):
        stand.told.clear()
        configure(self, *arguments, **options)

    def spy(self, parameters):
        stand.told.append([dict(parameters), None])
        return attach(self, parameters)

    def end(self, index, data):
        stand.told[index][1] = data
        return complete(self, index, data)

    def answer(self, max_trials):
        if not stand.answers:
            raise SearchSpaceExhausted("no more")
        return {0: stand.answers.pop()}

    monkeypatch.setattr(Client, "configure_experiment", begin)
    monkeypatch.setattr(Client, "attach_trial", spy)
    monkeypatch.setattr(Client, "complete_trial", end)
    monkeypatch.setattr(Client, "get_next_trials", answer)
    return stand


COMPLETE = [(TrialState.COMPLETE, accuracy) for accuracy in (0.2, 0.6, 0.3, 0.4, 0.7)]
PENDING = [(TrialState.RUNNING, None), (TrialState.QUEUED, None)]


@pytest.mark.parametrize("n_objectives", [1, 2])
def test_proposals_are_new_canonical_points_within_the_budget(
    make_problem, make_trial, record, n_objectives
):
    problem = make_problem(1000, objectives=make_problem().objectives[:n_objectives])
    trials = record(problem, *COMPLETE, *PENDING)
    for _ in range(2):
        rng = rng_for(0, len(trials), "suggest")
        trials.append(make_trial(len(trials), AxSearch(problem).suggest(trials, rng), size=50))
    for trial in trials[-2:]:
        choices, teaching = trial.architecture.choices, trial.distillation
        assert problem.architecture.canonical(choices) == choices
        assert problem.distillation.canonical(teaching) == teaching
        assert not problem.violations(trial.architecture)
    keys = {Candidate(trial.architecture, trial.distillation).key for trial in trials}
    assert len(keys) == len(trials)


def test_a_proposal_follows_from_the_record_and_the_seed_and_leaves_no_traces(
    make_problem, record, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    problem = make_problem()
    trials = record(problem, *COMPLETE, *PENDING)
    states = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    forth, back, other = (
        AxSearch(problem).suggest(told, np.random.default_rng(seed))
        for told, seed in ((trials, 5), (trials[::-1], 5), (trials, 6))
    )
    assert forth == back != other
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == states
    assert not os.listdir(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_the_rest_of_a_small_space_is_found_without_ax_until_it_is_exhausted(
    make_tiny, make_trial, record, ax
):
    problem = make_tiny(3)
    trials = record(problem, *[(TrialState.COMPLETE, 0.5)] * 8)
    last = AxSearch(problem).suggest(trials, np.random.default_rng(0))
    trials.append(make_trial(8, last, (0.5,) * 3))
    assert len({trial.architecture.key for trial in trials}) == 9
    with pytest.raises(SpaceExhausted):
        AxSearch(problem).suggest(trials, np.random.default_rng(0))


def test_it_goes_on_where_the_objective_is_good(make_tiny, make_trial):
    domain = Domain({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
    problem = make_tiny(
        architecture=domain,
        objectives=make_tiny().objectives[:1],
        violations=lambda architecture: {},
    )
    trials = []
    for number, point in enumerate(domain.sample(np.random.default_rng(0), 12)):
        suggestion = Suggestion(Architecture("s", point), {})
        accuracy = 1 - (point["x"] - 0.7) ** 2 - (point["y"] - 0.2) ** 2
        trials.append(make_trial(number, suggestion, (accuracy,) * 3))
    new = AxSearch(problem).suggest(trials, np.random.default_rng(0)).architecture.choices
    assert abs(new["x"] - 0.7) < 0.15 and abs(new["y"] - 0.2) < 0.15


def test_what_is_known_and_what_is_pending_is_told_and_nothing_else(make_tiny, record, ax):
    problem = make_tiny()
    useless = [(TrialState.FAILED, None), (TrialState.COMPLETE, float("nan"))]
    trials = record(problem, *COMPLETE, *useless, *PENDING)
    AxSearch(problem).suggest(trials, np.random.default_rng(0))
    told = [*trials[:5], *trials[7:]]
    for (codes, _), trial in zip(ax.told, told, strict=True):
        choices = trial.architecture.choices
        expected = {"op": "abc".index(choices["op"]), "width": choices["width"] - 1}
        assert codes == {"architecture." + name: code for name, code in expected.items()}
    assert [data for _, data in ax.told] == [
        *({"loss_0": -t.figures["accuracy"], "loss_1": t.cost.parameters} for t in trials[:5]),
        *[None] * 2,
    ]


def test_what_does_not_exist_is_told_as_the_middle_and_dropped_from_proposals(
    make_tiny, make_trial, ax
):
    domain = Domain(
        {
            "op": CategoricalDistribution(["a", "b"]),
            "fixed": IntDistribution(3, 3),
            "k": IntDistribution(2, 10, step=2),
            "rate": FloatDistribution(0.1, 10, log=True),
            "cell": CategoricalDistribution(["p", "q"]),
        },
        {name: Condition("op", ("b",)) for name in ("k", "rate", "cell")},
    )
    problem = make_tiny(architecture=domain, violations=lambda architecture: {})
    points = [
        {"op": "a", "fixed": 3},
        {"op": "b", "fixed": 3, "k": 10, "rate": 0.5, "cell": "q"},
    ]
    trials = [
        make_trial(number, Suggestion(Architecture("s", point), {}), (0.5,) * 3)
        for number, point in enumerate(points)
    ]
    rows = [
        {"op": 0, "k": 2, "rate": pytest.approx(1.0), "cell": 0},
        {"op": 1, "k": 4, "rate": 0.5, "cell": 1},
    ]
    answers = [
        {"op": 1, "k": 0, "rate": 10.000000001, "cell": 0},
        {"op": 0, "k": 0, "rate": 5.0, "cell": 0},
    ]
    ax.answers = [{"architecture." + name: code for name, code in row.items()} for row in answers]
    new = AxSearch(problem, initial=2).suggest(trials, np.random.default_rng(0))
    assert new.architecture.choices == {"op": "b", "fixed": 3, "k": 2, "rate": 10.0, "cell": "p"}
    told = [
        {name.removeprefix("architecture."): code for name, code in codes.items()}
        for codes, _ in ax.told
    ]
    assert told == rows


def test_what_is_refused_is_asked_for_again_and_then_the_nearest_is_taken(make_tiny, record, ax):
    problem = make_tiny(1, objectives=make_tiny().objectives[:1])
    trials = record(problem, COMPLETE[0])
    (known,) = (trial.architecture.choices["op"] for trial in trials)
    over = [{"architecture.op": "abc".index(known), "architecture.width": 3}] * 9
    ax.answers = list(over)
    new = AxSearch(problem, initial=1).suggest(trials, np.random.default_rng(0))
    assert new.architecture.choices["width"] == 1 and new.architecture.choices["op"] != known
    assert len(ax.answers) == 6


def test_draws_of_one_generator_are_told_apart_by_their_seed(make_tiny, make_trial, ax):
    problem = make_tiny(draws=True, architecture=Domain({"width": IntDistribution(1, 2)}))
    trials = []
    for number in range(8):
        suggestion = AxSearch(problem, initial=2).suggest(trials, rng_for(0, number, "suggest"))
        trials.append(make_trial(number, suggestion, (0.5,) * 3))
    assert len({trial.architecture.key for trial in trials}) == 8


def test_no_initial_trial_is_refused(make_problem):
    with pytest.raises(ValueError, match="at least 1 initial trial, got 0"):
        AxSearch(make_problem(), initial=0)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ax.api.client", None)
    monkeypatch.delitem(sys.modules, "autokd.strategies.ax_search")
    with pytest.raises(AutokdError, match="expected the package `ax-platform`") as error:
        importlib.import_module("autokd.strategies.ax_search")
    assert 'pip install "autokd[ax]"' in str(error.value.hint)
