from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autokd.seeding import rng_for
from autokd.space import Architecture, Condition, Domain
from autokd.strategies import RandomSearch
from autokd.strategies.bayesian.columns import Columns, Encoder
from autokd.strategies.bayesian.targets import part_rank
from autokd.strategies.trade import TRADE
from autokd.strategies.trade.model import HammingKernel, Surrogate
from autokd.strategies.trade.region import Axes, Neighbourhood, TrustRegion
from autokd.strategies.trade.search import Families
from autokd.trial import Failure, FailureClass, Suggestion, TrialState

AXES = Axes(Domain({name: FloatDistribution(0, 1) for name in "xyz"}))
FAMILIES = Domain(
    {
        "family": CategoricalDistribution(["a", "b", "c"]),
        "a.width": FloatDistribution(0, 1),
        "b.width": FloatDistribution(0, 1),
        "c.width": FloatDistribution(0, 1),
    },
    {f"{name}.width": Condition("family", (name,)) for name in "abc"},
)
MIXED = Domain(
    {
        **{f"op_{i}": CategoricalDistribution(["a", "b", "c", "d"]) for i in range(10)},
        "x": FloatDistribution(0, 1),
        "y": FloatDistribution(0, 1),
        "n": IntDistribution(1, 32, log=True),
    }
)


@pytest.fixture
def make_free(make_problem):
    """A problem of one objective without a budget."""

    def make(domain, **fields):
        settings = {"architecture": domain, "distillation": Domain({}), **fields}
        objectives = make_problem().objectives[:1]
        return make_problem(9, lambda architecture: 1, **{"objectives": objectives, **settings})

    return make


@pytest.fixture
def replay(make_trial):
    """The region after trials with these losses; `starts` are the rows where a life begins."""

    def run(losses, starts=(), region="r", axes=AXES):
        trials, pairs = [], np.ndim(losses) == 2
        for row in range(len(losses)):
            note = {"region": region, **({"starts": True} if row in starts else {})}
            suggestion = Suggestion(Architecture("s", {"n": row}), {}, {"trade": note})
            trials.append(make_trial(row, suggestion, ()))
        table = np.array(losses, dtype=float).reshape(len(losses), 2 if pairs else 1)
        return TrustRegion.replay("r", range(len(losses)), trials, table, axes)

    return run


# The region


def test_a_region_grows_after_three_successes_in_a_row(replay):
    assert replay([5, 4]).length == 0.8
    assert replay([5, 4, 3]).length == 1.6
    assert replay([5, 4, 6, 3, 2]).length == 0.8
    assert replay(list(range(20, 0, -1))).length == 1.6


def test_a_region_shrinks_after_failures_as_patience_allows(replay):
    assert AXES.patience == 4
    assert replay([1, 2, 2, 1]).length == 0.8
    assert replay([1, 2, 2, 1, 3]).length == 0.4
    assert replay([1, 2, 2, np.inf, 3, 4, 4, 4, 4]).length == 0.2
    many = Axes(Domain({f"x_{i}": FloatDistribution(0, 1) for i in range(30)}))
    assert many.patience == 8


def test_a_region_that_cannot_shrink_is_over_and_starts_anew(replay):
    failures = 4 * 7
    over = replay([1] + [2] * failures, starts=[0])
    assert over.is_over and over.length == 0.8 / 2**7
    assert not replay([1] + [2] * (failures - 1), starts=[0]).is_over
    again = replay([1] + [2] * failures + [7, 6, 6], starts=[0, 1 + failures])
    assert not again.is_over and again.length == 0.8
    assert again.members == (failures + 1, failures + 2, failures + 3)


@pytest.mark.parametrize(
    ("domain", "least"),
    [
        (Domain({f"op_{i}": CategoricalDistribution("ab") for i in range(8)}), 1 / 8),
        (Domain({"n": IntDistribution(1, 5)}), 1 / 5),
        (Domain({"n": IntDistribution(1, 5), "x": FloatDistribution(0, 1)}), 0.5**7),
        (Domain({"n": IntDistribution(1, 10**6)}), 0.5**7),
    ],
)
def test_a_region_ends_where_neither_a_number_nor_a_category_can_change(domain, least):
    assert Axes(domain).least_length == least


def test_what_is_pending_or_of_another_region_is_neither_success_nor_failure(replay):
    nan = np.nan
    assert replay([5, nan, 4, nan, 3]).length == 1.6
    assert replay([1, nan, nan, nan, nan, nan]).length == 0.8
    assert replay([5, 4, 3, 2], region="other").length == 0.8
    assert replay([5, 4, 3, 2], region="other").members == (0, 1, 2, 3)


def test_a_region_without_a_trial_that_may_succeed_is_over(replay):
    assert replay([]).is_over
    assert replay([np.inf, np.inf]).is_over
    assert not replay([np.inf, np.nan]).is_over


def test_with_several_objectives_a_success_is_what_no_earlier_trial_is_as_good_as(replay):
    assert replay([(1, 9), (9, 1), (5, 5)]).length == 1.6
    assert replay([(1, 9), (9, 1), (9, 9)]).length == 0.8
    assert replay([(1, 1), (1, 1), (1, 2), (2, 1), (1, 1)]).length == 0.4


# What is within it


@pytest.mark.parametrize("length", [1.6, 0.4, 0.1, 0.01])
def test_the_points_of_a_region_are_within_its_box_and_its_radius(length):
    rng = np.random.default_rng(0)
    axes, (centre,) = Axes(MIXED), MIXED.sample(rng)
    weights = np.ones(13)
    weights[[10, 11]] = 2, 0.5
    around = Neighbourhood(axes, centre, length, weights)
    assert around.radius == min(max(round(length * 10), 1), 10)
    rows = MIXED.encode(MIXED.decode(around.sample(500, rng)))
    rows = rows[around.contains(rows)]
    here = MIXED.encode([centre])[0]
    changes = (np.abs(rows - here) > 1e-6)[:, :10].sum(axis=1)
    assert changes.max() == around.radius and set(changes) == set(range(around.radius + 1))
    for column, weight in ((10, 2), (11, 0.5)):
        assert np.abs(rows - here)[:, column].max() <= length / 2 * weight + 1e-6
        assert len(np.unique(rows[:, column])) > 50
    assert len(np.unique(rows[:, 12])) >= 3, "a step is in every box, however small"
    if length < 1:
        outside = rows + np.eye(13)[10] * (2.5 * length)
        assert not around.contains(outside[rows[:, 10] > here[10]]).any()


def test_the_family_does_not_change_within_a_region_and_what_the_centre_lacks_is_free():
    rng = np.random.default_rng(0)
    domain = Domain(
        {
            "family": CategoricalDistribution(["a", "b"]),
            "op": CategoricalDistribution(["c", "d"]),
            "k": FloatDistribution(0, 1),
        },
        {"k": Condition("op", ("d",))},
    )
    around = Neighbourhood(Axes(domain, [0]), {"family": "a", "op": "c"}, 0.1, np.ones(3))
    points = domain.decode(around.sample(300, rng))
    assert around.contains(domain.encode(points)).all()
    assert {point["family"] for point in points} == {"a"}
    awake = [point["k"] for point in points if point["op"] == "d"]
    assert min(awake) < 0.1 and max(awake) > 0.9
    assert not around.contains(domain.encode([{"family": "b", "op": "c"}]))[0]


# The model


def test_the_kernel_of_one_hot_columns_is_botorchs_of_indices():
    from botorch.models.kernels import CategoricalKernel  # warns unless `trade` loaded it before

    indices = torch.tensor(list(itertools.product(range(3), range(2), range(2))))
    lengths = torch.tensor([0.3, 1.0, 7.0])
    theirs, ours = (
        CategoricalKernel(ard_num_dims=3),
        HammingKernel(torch.tensor([0, 0, 0, 1, 1, 2, 2]), ard_num_dims=3),
    )
    theirs.lengthscale = ours.lengthscale = lengths
    one_hot = torch.cat(
        [torch.nn.functional.one_hot(column) for column in indices.T], dim=1
    ).double()
    with torch.no_grad():
        expected = theirs.double().forward(indices.double(), indices.double())
        found = ours.double().forward(one_hot, one_hot)
        diagonal = ours.forward(one_hot, one_hot, diag=True)
    assert torch.allclose(found, expected) and torch.allclose(diagonal, torch.ones(12).double())


def _surrogate(n=30):
    rng = np.random.default_rng(0)
    units = MIXED.encode(MIXED.sample(rng, n + 20))
    encoder = Encoder(MIXED, np.empty((n, 0)))
    columns = encoder.columns(units, np.empty((n + 20, 0)))
    losses = units[:, 10] + (units[:, 0] > 0.5) + 0.01 * rng.standard_normal(n + 20)
    model = Surrogate(columns[:n], encoder.counts, part_rank(losses[:n]))
    return model, columns[n:], losses[n:]


def test_the_posterior_is_botorchs():
    model, others, losses = _surrogate()
    mean, deviation = model.predict(others)
    with torch.no_grad():
        theirs = model.fitted.posterior(model._tensor(others))
    assert np.allclose(mean, theirs.mean[:, 0], atol=1e-4)
    assert np.allclose(deviation**2, theirs.variance[:, 0], atol=1e-4)
    assert np.corrcoef(mean, losses)[0, 1] > 0.8


def test_draws_have_the_mean_and_the_spread_of_the_posterior():
    model, others, _ = _surrogate()
    rng = np.random.default_rng(0)
    mean, deviation = model.predict(others)
    drawn = np.array([model.sample(others, rng) for _ in range(2000)])
    assert np.allclose(drawn.mean(axis=0), mean, atol=0.08)
    assert np.allclose(drawn.std(axis=0), deviation, atol=0.08)


def test_what_is_imagined_is_believed():
    model, others, _ = _surrogate()
    _, before = model.predict(others)
    model.imagine(others[:5], np.random.default_rng(0))
    _, after = model.predict(others)
    assert (after[:5] < 0.5 * before[:5]).all() and (after <= before + 1e-6).all()


def test_an_absent_category_is_a_state_of_its_own():
    categories = np.array([[-1], [0], [1]] * 8)
    columns = Columns(categories, np.empty((24, 0)), np.empty((24, 0)))
    targets = np.array([-1.4, 0.3, 1.1] * 8)
    mean, _ = Surrogate(columns, [2], targets).predict(columns[:3])
    assert np.allclose(mean, targets[:3], atol=0.1)


# The strategy


def test_the_families_are_those_of_the_category_that_most_hangs_on(make_free, make_problem):
    domain = Domain(
        {
            "op": CategoricalDistribution(["x", "y"]),
            **FAMILIES.parameters,
            "d": FloatDistribution(0, 1),
        },
        {**FAMILIES.conditions, "d": Condition("op", ("x",))},
    )
    families = Families(make_free(domain))
    assert families.names == ["a", "b", "c"] and families.columns == [1]
    assert Families(make_problem()).names == ["conv", "pool"]
    assert Families(make_free(MIXED)).names == ["all"]


@pytest.mark.parametrize("acquisition", ["log_ei", "thompson"])
def test_all_families_get_their_turn_and_then_the_better_gets_more(make_free, search, acquisition):
    def accuracy(choices):
        family = choices["family"]
        bonus = {"a": 0.0, "b": 0.3, "c": 0.1}[family]
        return bonus - abs(choices[f"{family}.width"] - 0.7)

    trials = search(TRADE(make_free(FAMILIES), acquisition), 30, accuracy)
    names = [trial.architecture.choices["family"] for trial in trials]
    assert set(names[:3]) == set("abc")
    assert names[8:].count("b") > 11
    assert max(accuracy(trial.architecture.choices) for trial in trials) > 0.27
    for trial in trials[8:]:
        assert trial.notes["trade"]["region"] == trial.architecture.choices["family"]


def test_a_region_in_a_flat_space_starts_anew(make_free, search):
    domain = Domain({"n": IntDistribution(1, 300)})
    trials = search(TRADE(make_free(domain), initial=2), 24, lambda choices: 0.5)
    starts = [trial.number for trial in trials if trial.notes.get("trade", {}).get("starts")]
    assert len({trial.architecture.key for trial in trials}) == 24 and not starts
    trials = search(TRADE(make_free(TINY_OPS), initial=2), 30, lambda choices: 0.5)
    starts = [trial.number for trial in trials if trial.notes.get("trade", {}).get("starts")]
    assert starts, "four failures, again and again, leave nothing to shrink"


TINY_OPS = Domain({f"op_{i}": CategoricalDistribution(["a", "b", "c"]) for i in range(4)})


@pytest.mark.parametrize("acquisition", ["log_ei", "thompson"])
def test_the_proposal_follows_from_the_generator_and_leaves_torchs_alone(
    make_problem, search, make_trial, acquisition
):
    strategy = TRADE(make_problem(), acquisition)
    trials = search(strategy, 10, lambda choices: choices["width"] % 7)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = strategy.suggest(trials, np.random.default_rng(5))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert strategy.suggest(trials, np.random.default_rng(5)) == one
    others = [strategy.suggest(trials, np.random.default_rng(seed)) for seed in range(3)]
    assert any(other != one for other in others)


def test_what_runs_has_values_drawn_from_the_model(make_free, make_trial, search, monkeypatch):
    imagined = []
    imagine = Surrogate.imagine

    def spy(self, columns, rng):
        imagined.append(columns.numbers[:, 0].tolist())
        imagine(self, columns, rng)

    monkeypatch.setattr(Surrogate, "imagine", spy)
    strategy = TRADE(make_free(Domain({"x": FloatDistribution(0, 1)})))
    trials = search(strategy, 12, lambda choices: -abs(choices["x"] - 0.5))
    for number in range(12, 15):
        suggestion = strategy.suggest(trials, rng_for(0, number, "suggest"))
        trials.append(make_trial(number, suggestion, (), TrialState.RUNNING))
    running = [trial.architecture.choices["x"] for trial in trials[12:]]
    assert np.allclose(imagined[0], running[:1]) and np.allclose(imagined[1], running[:2])
    assert len(imagined) == 2


def test_failed_trials_count_as_the_worst_unless_it_was_not_their_fault(make_free, make_trial):
    problem = make_free(FAMILIES)
    trials = []

    def record(failure_class):
        trials.clear()
        for number in range(18):
            suggestion = RandomSearch(problem).suggest(trials, rng_for(1, number, "x"))
            trial = make_trial(number, suggestion, (0.5 + number / 1000,) * 3)
            if trial.architecture.choices["family"] == "a":
                failure = Failure(failure_class, "gone")
                trial = dataclasses.replace(
                    trial, state=TrialState.FAILED, evaluations=(), failure=failure
                )
            trials.append(trial)
        proposed = (
            TRADE(problem).suggest(trials, np.random.default_rng(seed)) for seed in range(12)
        )
        return [suggestion.architecture.choices["family"] for suggestion in proposed].count("a")

    assert record(FailureClass.OUT_OF_MEMORY) < record(FailureClass.LOST_WORKER)


def test_it_learns_where_most_trials_fail(make_free, make_trial):
    problem = make_free(Domain({"n": IntDistribution(1, 200), "x": FloatDistribution(0, 1)}))
    trials, fits = [], []
    for number in range(30):
        suggestion = TRADE(problem).suggest(trials, rng_for(0, number, "suggest"))
        choices = suggestion.architecture.choices
        trial = make_trial(number, suggestion, (choices["x"],) * 3)
        fits.append(choices["n"] <= 30)
        if not fits[-1]:
            failure = Failure(FailureClass.OUT_OF_MEMORY, "too large")
            trial = dataclasses.replace(
                trial, state=TrialState.FAILED, evaluations=(), failure=failure
            )
        trials.append(trial)
    assert sum(fits[-10:]) >= 8


@pytest.mark.parametrize("accuracies", [(0.5,) * 3, (float("nan"),) * 3, ()])
@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAILED])
def test_constant_and_missing_metrics_end_in_proposals(make_problem, make_trial, accuracies, state):
    problem, trials = make_problem(), []
    for number in range(14):
        suggestion = TRADE(problem).suggest(trials, rng_for(0, number, "suggest"))
        trials.append(make_trial(number, suggestion, accuracies, state))
    assert len({(t.architecture.key, str(t.distillation)) for t in trials}) == 14


def test_500_failed_trials_are_no_model(make_problem, make_trial):
    problem, trials = make_problem(), []
    for number in range(500):
        suggestion = RandomSearch(problem).suggest([], rng_for(0, number, "suggest"))
        trials.append(make_trial(number, suggestion, (), TrialState.FAILED))
    suggestion = TRADE(problem).suggest(trials, np.random.default_rng(0))
    assert not problem.violations(suggestion.architecture)


def test_one_feasible_point_is_found_and_then_taught_in_other_ways(make_problem, search):
    domain = Domain({f"width_{i}": IntDistribution(1, 9) for i in range(4)})
    problem = make_problem(4, lambda a: sum(a.choices.values()), architecture=domain)
    trials = search(TRADE(problem, initial=3), 8, lambda choices: 0.5)
    assert {sum(trial.architecture.choices.values()) for trial in trials} == {4}
    assert len({str(trial.distillation) for trial in trials}) == 8


@pytest.mark.parametrize("limit", [20, np.inf])
def test_no_more_architectures_are_costed_than_is_affordable(make_problem, search, limit):
    asked = set()

    def size(architecture):
        asked.add(architecture.key)
        return architecture.choices["width"]

    problem = make_problem(
        20,
        size,
        affordable=10,
        figures=lambda architecture: {"size": size(architecture)},
        limits={"size": limit},
    )
    strategy = TRADE(problem)
    trials = search(strategy, 12, lambda choices: -abs(choices["width"] - 8))
    known = {trial.architecture.key for trial in trials}
    for seed in range(5):
        asked.clear()
        strategy.suggest(trials, np.random.default_rng(seed))
        assert 0 < len(asked - known) <= 10


@pytest.mark.parametrize("before", [0, 12])
def test_what_seems_over_budget_is_not_asked(make_problem, search, before):
    asked, limit = set(), 12

    def size(architecture):
        return 1 + sum(architecture.choices.values())

    def violations(architecture):
        asked.add((architecture.key, size(architecture)))
        return {"size": size(architecture) / limit - 1} if size(architecture) > limit else {}

    def refused(limits):
        problem = make_problem(
            architecture=Domain({f"x{i}": IntDistribution(0, 9) for i in range(6)}),
            violations=violations,
            figures=lambda architecture: {"size": size(architecture)},
            limits=limits,
            affordable=10,
        )
        strategy = TRADE(problem)
        trials = search(strategy, before, lambda choices: sum(choices.values()) / 100)
        strategy.suggest(trials, np.random.default_rng(9))
        asked.clear()  # also what was asked once to learn from
        for seed in range(5):
            strategy.suggest(trials, np.random.default_rng(seed))
        return np.mean([size > limit for _, size in asked])

    assert refused({"size": limit}) < 0.2 < 0.6 < refused({"size": np.inf})


def test_the_first_candidates_are_of_all_sizes_within_the_limits(make_problem, search):
    def size(architecture):
        return 1 + sum(architecture.choices.values())

    def sizes(**fields):
        problem = make_problem(
            28,
            size,
            architecture=Domain({f"x{i}": IntDistribution(0, 9) for i in range(6)}),
            figures=lambda architecture: {"size": size(architecture)},
            limits={"size": 28},
            **fields,
        )
        trials = search(TRADE(problem, initial=24), 24, lambda choices: 0.5)
        return [size(trial.architecture) for trial in trials]

    assert abs(np.median(sizes(affordable=10)) - np.median(sizes())) <= 2


def test_a_space_of_one_point_of_draws_is_searched(make_free, search):
    problem = make_free(Domain({"x": IntDistribution(3, 3)}), draws=True)
    trials = search(TRADE(problem), 12, lambda choices: 0.5)
    assert len({trial.architecture.seed for trial in trials}) == 12


def test_it_closes_in_on_the_best_of_a_mixed_space(make_free, search):
    def accuracy(choices):
        wrong = sum(choices[f"op_{i}"] != "b" for i in range(10))
        return -wrong / 10 - abs(choices["x"] - 0.3) - abs(choices["y"] - 0.6)

    problem = make_free(MIXED)
    found, random = (
        max(accuracy(trial.architecture.choices) for trial in search(strategy, 32, accuracy))
        for strategy in (TRADE(problem), RandomSearch(problem))
    )
    assert found > -0.25 > random


@pytest.mark.parametrize(
    ("options", "message"),
    [({"acquisition": "ei"}, "expected acquisition 'log_ei' or"), ({"initial": 1}, "initial >= 2")],
)
def test_unknown_acquisitions_and_too_few_initial_trials_are_refused(
    make_problem, options, message
):
    with pytest.raises(ValueError, match=message):
        TRADE(make_problem(), **options)
