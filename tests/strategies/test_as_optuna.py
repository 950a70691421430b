from __future__ import annotations

import copy
import doctest
import math

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState as State

from autokd.errors import NothingFeasibleError
from autokd.multiobjective import Objective
from autokd.space import Condition, Domain
from autokd.strategies import (
    BayesianSearch,
    OptunaSearch,
    RandomSearch,
    SpaceExhausted,
    as_optuna,
)
from autokd.strategies.as_optuna import as_optuna_sampler
from autokd.trial import Suggestion, TrialState

SPACE = {
    "op": CategoricalDistribution(["conv", "pool"]),
    "width": IntDistribution(1, 32, log=True),
    "kernel": CategoricalDistribution([3, 5]),
    "dropout": FloatDistribution(0, 0.5),
}
CONDITIONS = {"kernel": Condition("op", ("conv",)), "dropout": Condition("op", ("pool",))}
TINY = {"op": CategoricalDistribution(["a", "b", "c"]), "width": IntDistribution(1, 4)}

STRATEGIES = {
    "random": RandomSearch,
    "tpe": lambda problem: OptunaSearch(problem, "tpe", {"n_startup_trials": 5}),
    "nsga2": lambda problem: OptunaSearch(problem, "nsga2", {"population_size": 4}),
}


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture(params=STRATEGIES)
def make_strategy(request):
    return STRATEGIES[request.param]


@pytest.fixture
def spy():
    """A random strategy that keeps what it was told last."""

    class Spy(RandomSearch):
        def suggest(self, trials, rng):
            Spy.problem, Spy.trials = self._problem, {trial.number: trial for trial in trials}
            return super().suggest(trials, rng)

    return Spy


def size(point):
    return point["width"] ** 2 * point.get("kernel", 1) ** 2


def within(limit):
    return lambda point: {"size": size(point) / limit - 1}


def objective(trial):
    op = trial.suggest_categorical("op", ["conv", "pool"])
    loss = abs(trial.suggest_int("width", 1, 32, log=True) - 8)
    if op == "conv":
        return loss + trial.suggest_categorical("kernel", [3, 5])
    return loss + trial.suggest_float("dropout", 0, 0.5)


def tiny(trial):
    return trial.suggest_int("width", 1, 4) - 2 * (trial.suggest_categorical("op", "abc") == "b")


def points(study):
    return [trial.params for trial in study.trials]


def optimized(sampler, n=12, objective=objective, **options):
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n, **options)
    return study


def test_the_example_in_the_documentation_holds():
    (example,) = doctest.DocTestFinder().find(as_optuna.as_optuna_sampler, "as_optuna_sampler")
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


def test_all_that_is_evaluated_is_new_and_without_violations(make_strategy):
    sampler = as_optuna_sampler(
        make_strategy, SPACE, conditions=CONDITIONS, violations=within(200), seed=0
    )
    study = optimized(sampler, 25)
    domain = Domain(SPACE, CONDITIONS)
    for point in points(study):
        assert domain.canonical(point) == point
        assert size(point) <= 200
    assert len({str(sorted(point.items())) for point in points(study)}) == 25


def test_several_objectives_of_a_space_that_is_learned(make_strategy, spy):
    def two(trial):
        return objective(trial), trial.params["width"]

    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=as_optuna_sampler(make_strategy, seed=0)
    )
    study.optimize(two, 15)
    assert study.best_trials
    study.sampler = as_optuna_sampler(spy, seed=0)
    study.optimize(two, 1)
    assert spy.problem.architecture == Domain(SPACE, CONDITIONS)
    assert spy.problem.objectives == (
        Objective("value_0", "maximize"),
        Objective("value_1", "minimize"),
    )
    for trial in study.trials[:-1]:
        told = spy.trials[trial.number]
        assert told.architecture.choices == pytest.approx(trial.params)
        assert list(told.figures_at(1).values())[-2:] == trial.values


def test_a_strategy_that_learns_does_so_through_optuna():
    def best(name, seed):
        return optimized(as_optuna_sampler(STRATEGIES[name], seed=seed), 40).best_value

    assert sum(best("tpe", seed) for seed in range(5)) < sum(best("random", s) for s in range(5))


def test_the_same_seed_gives_the_same_proposals(make_strategy):
    one, two, other = (
        points(optimized(as_optuna_sampler(make_strategy, seed=seed))) for seed in (1, 1, 2)
    )
    assert one == two != other


def test_without_a_seed_two_samplers_differ():
    one, two = (points(optimized(as_optuna_sampler(RandomSearch, SPACE), 3)) for _ in range(2))
    assert one != two


def test_a_study_that_is_resumed_goes_on_the_same(make_strategy, tmp_path):
    whole = optimized(as_optuna_sampler(make_strategy, seed=3), 12)
    for n in (5, 7):
        resumed = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(tmp_path / "study.log"))),
            study_name="s",
            load_if_exists=True,
            sampler=as_optuna_sampler(make_strategy, seed=3),
        )
        resumed.optimize(objective, n)
    assert points(resumed) == points(whole)


def test_a_study_can_be_copied_with_its_sampler():
    study = optimized(as_optuna_sampler(RandomSearch, SPACE, seed=0), 3)
    twin = copy.deepcopy(study)
    for each in (study, twin):
        each.optimize(objective, 3)
    assert points(study) == points(twin)


def test_trials_that_are_asked_for_before_any_is_told_differ(make_strategy):
    study = optuna.create_study(sampler=as_optuna_sampler(make_strategy, TINY, seed=0))
    asked = [study.ask(TINY) for _ in range(12)]
    assert len({tuple(sorted(trial.params.items())) for trial in asked}) == 12
    for trial in asked:
        study.tell(trial, trial.params["width"])
    with pytest.raises(SpaceExhausted):
        study.ask(TINY)


def test_threads_share_a_study_without_repeats(make_strategy):
    study = optimized(as_optuna_sampler(make_strategy, TINY, seed=0), 12, tiny, n_jobs=4)
    assert len({tuple(sorted(point.items())) for point in points(study)}) == 12
    assert {trial.state for trial in study.trials} == {State.COMPLETE}


def test_a_proposal_is_pending_before_its_trial_has_asked_for_all_of_it(spy):
    study = optuna.create_study(sampler=as_optuna_sampler(spy, TINY, seed=0))
    slow = study.ask()
    width = slow.suggest_int("width", 1, 4)
    study.ask(TINY)
    told = spy.trials[0]
    assert told.state is TrialState.RUNNING
    assert told.architecture.choices == {
        "op": slow.suggest_categorical("op", "abc"),
        "width": width,
    }


def test_a_trial_that_has_asked_for_nothing_is_not_known(spy):
    study = optuna.create_study(sampler=as_optuna_sampler(spy, TINY, seed=0))
    study.ask()
    study.ask(TINY)
    assert spy.trials == {}


def test_what_is_enqueued_is_evaluated_and_pending_until_then(spy):
    study = optuna.create_study(sampler=as_optuna_sampler(spy, TINY, seed=0))
    running = study.ask()
    study.enqueue_trial({"op": "b", "width": 3})
    tiny(running)
    assert spy.trials[1].state is TrialState.QUEUED
    assert spy.trials[1].architecture.choices == {"op": "b", "width": 3}
    study.optimize(tiny, 1)
    assert study.trials[1].params == {"op": "b", "width": 3}


@pytest.mark.parametrize("given", [{"op": "conv"}, {"op": "conv", "kernel": 5}])
def test_what_is_enqueued_in_part_is_completed_within_the_limits(given):
    sampler = as_optuna_sampler(
        RandomSearch, SPACE, conditions=CONDITIONS, violations=within(100), seed=0
    )
    study = optuna.create_study(sampler=sampler)
    for _ in range(30):
        study.enqueue_trial(given)
    study.optimize(objective, 30)
    assert all(given.items() <= point.items() and size(point) <= 100 for point in points(study))
    assert len({point["width"] for point in points(study)}) > 1


@pytest.mark.parametrize("before", [0, 5])
def test_what_is_enqueued_in_part_is_evaluated_even_if_nothing_with_it_is_within(before):
    sampler = as_optuna_sampler(
        BayesianSearch,
        SPACE,
        conditions=CONDITIONS,
        violations=lambda point: {"width": point["width"] / 20 - 1},
        seed=0,
    )
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, before)
    study.enqueue_trial({"width": 30})
    study.optimize(objective, 4)
    widths = [point["width"] for point in points(study)]
    assert widths.pop(before) == 30
    assert max(widths) <= 20


@pytest.mark.parametrize("most", [2, 4])
def test_what_is_enqueued_in_part_is_repeated_if_all_that_goes_with_it_is_known(most):
    space = {"op": CategoricalDistribution(["a", "b"]), "width": IntDistribution(1, 4)}
    sampler = as_optuna_sampler(
        BayesianSearch,
        space,
        violations=lambda point: {"width": point["width"] / most - 1},
        seed=0,
    )
    study = optuna.create_study(sampler=sampler)

    def loss(trial):
        return trial.suggest_int("width", 1, 4) + len(trial.suggest_categorical("op", ["a", "b"]))

    study.optimize(loss, 2 * most)
    study.enqueue_trial({"op": "a"})
    study.optimize(loss, 1)
    assert study.trials[-1].params["op"] == "a"
    assert study.trials[-1].params["width"] <= most


def test_a_trial_is_told_as_what_became_of_it(spy):
    def told(trial):
        trial.suggest_int("width", 1, 32)
        if trial.number in (0, 1, 2):
            trial.report(0.5, 1)
            trial.report(0.25, 2)
            trial.report(0.75, 3)
        if trial.number in (1, 3):
            raise optuna.TrialPruned
        if trial.number == 4:
            raise OSError
        if trial.number == 5:
            trial.set_constraint("heat", 1.0)
        return math.inf if trial.number == 6 else 0.125

    space = {"width": IntDistribution(1, 32)}
    sampler = as_optuna_sampler(
        spy, space, rungs=(1, 3), violations=lambda p: {"width": p["width"] / 30 - 1}, seed=0
    )
    study = optuna.create_study(sampler=sampler)
    study.optimize(told, 7, catch=OSError)
    study.enqueue_trial({"width": 31})
    study.optimize(told, 2)

    states = [trial.state for trial in spy.trials.values()]
    complete, failed = TrialState.COMPLETE, [TrialState.FAILED] * 4
    assert states == [complete, TrialState.PAUSED, complete, *failed, TrialState.INFEASIBLE]
    at = [[(e.epochs, e.metrics["value_0"]) for e in t.evaluations] for t in spy.trials.values()]
    whole, half = [(1, 0.5), (3, 0.125)], [(1, 0.5)]
    assert at == [whole, half, whole, [], [], [], [], []]
    why = [spy.trials[number].failure.message for number in range(3, 7)]
    assert why[:2] == ["pruned before the first rung", "the objective failed"]
    assert why[2:] == ["broke the constraints ['heat']", "expected finite values, got [inf]"]


def test_all_brackets_of_hyperband_are_known(spy):
    def reported(trial):
        trial.report(trial.suggest_float("x", 0, 1), 1)
        if trial.should_prune():
            raise optuna.TrialPruned
        return trial.params["x"]

    study = optuna.create_study(
        sampler=as_optuna_sampler(spy, {"x": FloatDistribution(0, 1)}, rungs=(1, 9), seed=0),
        pruner=optuna.pruners.HyperbandPruner(1, 9),
    )
    study.optimize(reported, 10)
    assert list(spy.trials) == list(range(9))


def test_a_figure_with_the_name_of_an_objective_is_that_objective(spy):
    sampler = as_optuna_sampler(
        spy, SPACE, conditions=CONDITIONS, figures=lambda point: {"size": size(point)}, seed=0
    )
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["loss", "size"])
    study.optimize(lambda trial: (objective(trial), size(trial.params)), 3)
    for trial in spy.trials.values():
        assert spy.problem.figures(trial.architecture)["size"] == trial.figures_at(1)["size"]


def test_a_figure_with_the_name_of_a_violation_is_limited(spy):
    sampler = as_optuna_sampler(
        spy,
        SPACE,
        conditions=CONDITIONS,
        violations=lambda point: {"size": size(point) / 20 - 1},
        figures=lambda point: {"size": size(point), "depth": 1.0},
        seed=0,
    )
    optuna.create_study(sampler=sampler).optimize(objective, 1)
    assert spy.problem.limits == {"size": math.inf}


def test_violations_are_asked_once_for_each_point():
    asked = []

    def violations(point):
        asked.append(tuple(sorted(point.items())))
        return within(200)(point)

    optimized(
        as_optuna_sampler(RandomSearch, SPACE, conditions=CONDITIONS, violations=violations, seed=0)
    )
    assert len(set(asked)) == len(asked) > 12


def test_a_parameter_that_was_not_asked_for_has_the_value_that_was_proposed(spy):
    class Fixed(spy):
        def suggest(self, trials, rng):
            super().suggest(trials, rng)
            return Suggestion(self._problem.draw({"op": "a", "width": 4}, rng), {})

    study = optuna.create_study(sampler=as_optuna_sampler(Fixed, TINY, seed=0))
    study.optimize(lambda trial: trial.suggest_categorical("op", "abc") == "a", 2)
    assert points(study)[0] == {"op": "a"}
    assert spy.trials[0].architecture.choices == {"op": "a", "width": 4}


def test_trials_outside_the_search_space_are_left_out(spy):
    study = optimized(optuna.samplers.RandomSampler(seed=0), 20)
    narrow = {**SPACE, "width": IntDistribution(1, 8, log=True)}
    study.sampler = as_optuna_sampler(spy, narrow, conditions=CONDITIONS, seed=0)
    study.optimize(objective, 1)
    inside = [trial.number for trial in study.trials[:20] if trial.params["width"] <= 8]
    assert 0 < len(inside) < 20 and list(spy.trials) == inside
    # The objective asks for more than the search space; what lies in both is proposed.
    assert study.trials[20].params["width"] <= 8


def test_what_a_strategy_notes_comes_back_to_it(spy):
    class Noting(spy):
        def suggest(self, trials, rng):
            found = super().suggest(trials, rng)
            return Suggestion(found.architecture, {}, {"mark": len(trials)})

    optimized(as_optuna_sampler(Noting, SPACE, conditions=CONDITIONS, seed=0), 4)
    assert [trial.notes for trial in spy.trials.values()] == [{"mark": n} for n in range(3)]


def test_if_nothing_is_without_violations_the_nearest_is_named():
    sampler = as_optuna_sampler(
        RandomSearch, SPACE, conditions=CONDITIONS, violations=within(0.5), seed=0
    )
    with pytest.raises(NothingFeasibleError, match="2x the limit of size"):
        optimized(sampler)


def test_categories_that_a_domain_cannot_hold_are_refused_at_once():
    with pytest.raises(ValueError, match="x: expected categories .* got None"):
        optimized(
            as_optuna_sampler(RandomSearch), 1, lambda t: t.suggest_categorical("x", [None, 1])
        )


def test_arguments_that_do_not_fit_together_are_refused():
    for given in ({"conditions": CONDITIONS}, {"violations": within(1)}, {"figures": within(1)}):
        with pytest.raises(ValueError, match="expected a search_space"):
            as_optuna_sampler(RandomSearch, **given)
    with pytest.raises(TypeError, match="class of a strategy"):
        as_optuna_sampler("bayesian", SPACE)
    with pytest.raises(TypeError, match="expected a Condition"):
        as_optuna_sampler(RandomSearch, SPACE, conditions={"kernel": ("op", ("conv",))})
    for given in ({"seed": "a"}, {"rungs": (1.5, 3)}):
        with pytest.raises(TypeError, match="whole numbers"):
            as_optuna_sampler(RandomSearch, SPACE, **given)
    for rungs in ((), (3, 1), (0, 1)):
        with pytest.raises(ValueError, match="ascending steps from 1"):
            as_optuna_sampler(RandomSearch, rungs=rungs)


@pytest.mark.parametrize(
    ("told", "error", "message"),
    [
        ({"figures": lambda point: {"size": -1.0}}, ValueError, "figures: expected positive"),
        ({"figures": lambda point: {"size": math.nan}}, ValueError, "figures: expected numbers"),
        ({"violations": lambda point: {"size": math.nan}}, ValueError, "violations: expected num"),
        ({"figures": lambda point: {f"of {point}": 1.0}}, ValueError, "as for another point"),
        ({"figures": lambda point: None}, TypeError, "figures: expected a number for each name"),
        ({"violations": lambda point: 0.5}, TypeError, "violations: expected a number for each"),
        ({"violations": lambda point: {"size": "big"}}, TypeError, "violations: expected a number"),
    ],
)
def test_figures_and_violations_that_are_no_such_thing_are_refused(told, error, message):
    sampler = as_optuna_sampler(BayesianSearch, SPACE, conditions=CONDITIONS, seed=0, **told)
    with pytest.raises(error, match=message):
        optimized(sampler)
