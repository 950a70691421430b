from __future__ import annotations

import math
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from autokd.space import Architecture, Condition, Domain

CONDITIONAL = Domain(
    {
        "top": CategoricalDistribution(["er", "ws"]),
        "p": FloatDistribution(0.1, 0.9),
        "k": IntDistribution(2, 8, step=2),
        "deep": CategoricalDistribution([True, False]),
        "depth": IntDistribution(1, 4),
    },
    {
        "k": Condition("top", ("ws",)),
        "deep": Condition("top", ("ws",)),
        "depth": Condition("deep", (True,)),
    },
)


@pytest.mark.parametrize(
    ("choices", "mistakes"),
    [
        ({"top": "er", "p": 0.5}, {}),
        ({"top": "er", "p": 0.5, "k": 99}, {}),  # not active
        ({"top": "ws", "p": 0.1, "k": 4, "deep": True, "depth": 2}, {}),
        ({"top": "er", "p": 0.5, "P": 1}, {"P": "there is no such parameter"}),
        ({"top": "xx", "p": 0.5}, {"top": "expected one of 'er', 'ws'; got 'xx'"}),
        ({"top": "er"}, {"p": "expected a number from 0.1 to 0.9; got nothing"}),
        ({"top": "er", "p": "a"}, {"p": "expected a number from 0.1 to 0.9; got 'a'"}),
        ({"top": "er", "p": True}, {"p": "expected a number from 0.1 to 0.9; got True"}),
        ({"top": "er", "p": math.nan}, {"p": "expected a number from 0.1 to 0.9; got nan"}),
        (
            {"top": "ws", "p": 1, "k": 3, "deep": False},
            {
                "p": "expected a number from 0.1 to 0.9; got 1",
                "k": "expected a whole number from 2 to 8 in steps of 2; got 3",
            },
        ),
    ],
)
def test_all_that_is_wrong_with_a_point_is_said_by_its_parameter(choices, mistakes) -> None:
    found = CONDITIONAL.mistakes(choices, "at")
    assert {mistake.path: mistake.message for mistake in found} == {
        f"at.{name}": message for name, message in mistakes.items()
    }


def test_a_parameter_that_is_misspelt_is_told_the_nearest_there_is() -> None:
    near, far = CONDITIONAL.mistakes({"dept": 1, "xyz": 1, "top": "er", "p": 0.5}, "at")
    assert near.hint == "did you mean 'depth'?"
    assert far.hint == "there are top, p, k, deep, depth"


def test_what_has_no_choice_need_not_be_named() -> None:
    domain = Domain({"limit": CategoricalDistribution([20_000]), "k": IntDistribution(3, 3)})
    assert domain.mistakes({}, "at") == []
    assert domain.canonical({}) == {"limit": 20_000, "k": 3}


@st.composite
def distributions(draw: st.DrawFn) -> BaseDistribution:
    kind = draw(st.sampled_from(["category", "int", "float"]))
    if kind == "category":
        pools = [["a", "b", "c", "d"], [True, False], [3, 1, 2], [0.5, 2.0]]
        pool = draw(st.sampled_from(pools))
        return CategoricalDistribution(pool[: draw(st.integers(1, len(pool)))])
    log = draw(st.booleans())
    if kind == "int":
        step = 1 if log else draw(st.integers(1, 7))
        low = draw(st.integers(1 if log else -20, 20))
        return IntDistribution(low, low + step * draw(st.integers(0, 50)), log, step)
    if not log and draw(st.booleans()):
        size = draw(st.sampled_from([0.001, 0.1, 0.25, 3.0]))
        high = round(-0.5 + size * draw(st.integers(0, 99)), 3)
        return FloatDistribution(-0.5, high, step=size)
    low_float = draw(st.floats(1e-6 if log else -10, 10))
    return FloatDistribution(low_float, low_float + draw(st.floats(1e-3, 50)), log=log)


@st.composite
def domains(draw: st.DrawFn) -> Domain:
    parameters = {f"x{i}": draw(distributions()) for i in range(draw(st.integers(0, 6)))}
    names, conditions = list(parameters), {}
    for index, name in enumerate(names[1:], start=1):
        parent = parameters[names[draw(st.integers(0, index - 1))]]
        if isinstance(parent, CategoricalDistribution) and draw(st.booleans()):
            values = draw(st.sets(st.sampled_from(parent.choices), min_size=1))
            parent_name = next(n for n, d in parameters.items() if d is parent)
            conditions[name] = Condition(parent_name, tuple(values))
    return Domain(parameters, conditions)


seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=50, deadline=None)


def is_valid(domain: Domain, point: dict) -> bool:
    """Brute force: exactly the active parameters, each inside its distribution."""
    active = set()
    for name in domain.parameters:
        condition = domain.conditions.get(name)
        if condition is None or (
            condition.parent in active and point[condition.parent] in condition.values
        ):
            active.add(name)
    return set(point) == active and all(
        domain.parameters[name]._contains(domain.parameters[name].to_internal_repr(value))
        for name, value in point.items()
    )


@few
@given(domains(), seeds)
def test_every_sampled_point_has_exactly_the_active_parameters_inside_their_ranges(domain, seed):
    for point in domain.sample(np.random.default_rng(seed), 5):
        assert is_valid(domain, point)


@few
@given(domains(), seeds)
def test_encoding_and_decoding_gives_the_same_points_back(domain, seed):
    points = domain.sample(np.random.default_rng(seed), 5)
    rows = domain.encode(points)
    assert rows.shape == (5, len(domain.parameters))
    assert domain.decode(rows) == points


@few
@given(domains(), seeds)
def test_encoded_values_are_in_the_unit_interval_and_nan_where_inactive(domain, seed):
    points = domain.sample(np.random.default_rng(seed), 5)
    for row, point in zip(domain.encode(points), points, strict=True):
        for value, name in zip(row, domain.parameters, strict=True):
            assert math.isnan(value) if name not in point else -1e-9 <= value <= 1 + 1e-9


@few
@given(domains(), seeds)
def test_a_canonical_point_is_its_own_canonical_spelling(domain, seed):
    for point in domain.sample(np.random.default_rng(seed), 5):
        again = domain.canonical(point)
        assert again == point
        assert [type(value) for value in again.values()] == [
            type(value) for value in point.values()
        ]


@few
@given(domains(), seeds)
def test_neighbours_are_valid_different_and_without_repeats(domain, seed):
    rng = np.random.default_rng(seed)
    point = domain.sample(rng)[0]
    neighbours = domain.neighbours(point, rng)
    assert all(is_valid(domain, neighbour) for neighbour in neighbours)
    assert point not in neighbours
    assert all(neighbours.count(neighbour) == 1 for neighbour in neighbours)


@few
@given(domains(), seeds)
def test_neighbours_change_one_parameter_and_what_depends_on_it(domain, seed):
    def ancestors(name: str) -> set[str]:
        condition = domain.conditions.get(name)
        return {name} if condition is None else {name} | ancestors(condition.parent)

    rng = np.random.default_rng(seed)
    point = domain.sample(rng)[0]
    for neighbour in domain.neighbours(point, rng):
        names = point.keys() | neighbour.keys()
        changed = {name for name in names if point.get(name) != neighbour.get(name)}
        first = next(name for name in domain.parameters if name in changed)
        assert all(first in ancestors(name) for name in changed)


def test_neighbours_hold_each_other_category_and_the_next_whole_number():
    domain = Domain(
        {"op": CategoricalDistribution(["a", "b", "c"]), "width": IntDistribution(1, 100)}
    )
    neighbours = domain.neighbours({"op": "a", "width": 1}, np.random.default_rng(0))
    assert {"op": "b", "width": 1} in neighbours
    assert {"op": "c", "width": 1} in neighbours
    assert {"op": "a", "width": 2} in neighbours


def test_a_number_with_one_value_has_no_neighbours():
    domain = Domain({"width": IntDistribution(3, 3), "p": FloatDistribution(0.5, 0.5)})
    assert domain.neighbours({"width": 3, "p": 0.5}, np.random.default_rng(0)) == []


def test_a_change_of_a_parent_drops_its_children_and_wakes_others():
    point = {"top": "ws", "p": 0.5, "k": 4, "deep": True, "depth": 3}
    neighbours = CONDITIONAL.neighbours(point, np.random.default_rng(0))
    changed = [neighbour for neighbour in neighbours if neighbour["top"] == "er"]
    assert changed == [{"top": "er", "p": 0.5}]
    woken = CONDITIONAL.neighbours({"top": "er", "p": 0.5}, np.random.default_rng(0))
    assert any({"k", "deep"} <= neighbour.keys() for neighbour in woken)


def test_canonical_drops_inactive_parameters_and_rounds_numbers():
    point = {"top": "er", "p": 0.123456789, "k": 4, "deep": True, "depth": 2}
    assert CONDITIONAL.canonical(point) == {"top": "er", "p": 0.123457}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("top", "ba", "expected one of"),
        ("p", 1.5, "expected a number from 0.1 to 0.9"),
        ("p", float("nan"), "expected a number"),
        ("p", "0.5", "expected a number"),
    ],
)
def test_a_value_outside_its_distribution_is_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        CONDITIONAL.canonical({"top": "er", "p": 0.5, name: value})


def test_a_missing_active_parameter_is_named():
    with pytest.raises(ValueError, match="'k' is missing"):
        CONDITIONAL.canonical({"top": "ws", "p": 0.5})


def test_a_category_has_one_spelling_whatever_number_type_it_comes_as():
    domain = Domain({"width": CategoricalDistribution([1, 2])})
    spellings = [domain.canonical({"width": value})["width"] for value in (1, 1.0, True)]
    assert [repr(value) for value in spellings] == ["1", "1", "1"]


def test_rounding_never_leaves_a_range_whose_ends_have_more_digits():
    domain = Domain({"p": FloatDistribution(1 / 3, 2 / 3)})
    assert domain.canonical({"p": 2 / 3}) == {"p": 2 / 3}
    assert domain.decode(np.array([[0.0], [1.0]])) == [{"p": 1 / 3}, {"p": 2 / 3}]


def test_numbers_on_a_grid_stay_on_it():
    domain = Domain({"p": FloatDistribution(0, 1, step=0.1)})
    assert domain.canonical({"p": 0.1 + 0.2}) == {"p": 0.3}
    fine = FloatDistribution(0.123456789, 0.133456789, step=0.001)
    value = Domain({"p": fine}).canonical({"p": 0.1255})["p"]
    assert fine._contains(value)


def test_whole_numbers_are_equally_likely_up_to_both_ends():
    domain = Domain({"n": IntDistribution(1, 4)})
    values = [point["n"] for point in domain.decode(np.linspace(0, 1, 4001)[:, None])]
    counts = [values.count(n) for n in (1, 2, 3, 4)]
    assert max(counts) - min(counts) <= 2


def test_an_empty_domain_has_one_empty_point():
    domain = Domain({})
    assert domain.sample(np.random.default_rng(0), 2) == [{}, {}]
    assert domain.encode([{}, {}]).shape == (2, 0)
    assert domain.canonical({}) == {}


@few
@given(domains(), domains(), seeds)
def test_a_joined_domain_samples_points_of_both(left, right, seed):
    joint = left.prefixed("left.").join(right.prefixed("right."))
    point = joint.sample(np.random.default_rng(seed))[0]
    for domain, prefix in ((left, "left."), (right, "right.")):
        part = {
            name.removeprefix(prefix): value
            for name, value in point.items()
            if name.startswith(prefix)
        }
        assert is_valid(domain, part)


def test_domains_that_share_a_name_cannot_be_joined():
    with pytest.raises(ValueError, match="both domains have"):
        CONDITIONAL.join(CONDITIONAL)


def test_a_condition_on_a_later_or_unknown_parent_is_refused():
    parameters = {"k": IntDistribution(1, 2), "top": CategoricalDistribution(["ws"])}
    for parent in ("top", "nothing"):
        with pytest.raises(ValueError, match="stands before it"):
            Domain(parameters, {"k": Condition(parent, ("ws",))})


def test_the_key_of_an_architecture_does_not_depend_on_the_order_of_its_choices():
    one = Architecture("graph", {"b": 1, "a": "x"}, seed=7)
    two = Architecture("graph", {"a": "x", "b": 1}, seed=7)
    assert one == two and one.key == two.key and hash(one) == hash(two)
    assert one.hash != Architecture("graph", {"a": "x", "b": 1}, seed=8).hash


@few
@given(domains(), seeds)
def test_an_architecture_survives_json_and_the_way_to_a_worker(domain, seed):
    architecture = Architecture("s", domain.sample(np.random.default_rng(seed))[0], seed)
    assert Architecture.from_json(architecture.to_json()) == architecture
    copy = ForkingPickler.loads(ForkingPickler.dumps(architecture))
    assert copy == architecture and copy.key == architecture.key


def test_the_choices_of_an_architecture_cannot_be_changed():
    with pytest.raises(TypeError):
        Architecture("s", {"a": 1}).choices["a"] = 2  # type: ignore[index]


def trial(asked: Domain, point: dict, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    """A trial of Optuna that has asked for the parameters of a point."""
    distributions = {name: asked.parameters[name] for name in point}
    value = 0.0 if state is TrialState.COMPLETE else None
    return create_trial(state=state, value=value, params=point, distributions=distributions)


@few
@given(domains())
def test_a_domain_is_the_same_after_the_way_to_optuna_and_back(domain):
    distributions, conditions = domain.to_optuna()
    assert Domain.from_optuna(distributions, conditions) == domain


def test_trials_show_their_domain_with_its_conditions():
    points = CONDITIONAL.sample(np.random.default_rng(0), 40)
    found = Domain.from_optuna(trial(CONDITIONAL, point) for point in points)
    assert found == CONDITIONAL


@pytest.mark.parametrize("awake", [(3, 4), (1, 2)])
def test_a_whole_number_may_say_from_or_up_to_which_value_a_parameter_exists(awake):
    layers = Domain(
        {"layers": IntDistribution(1, 4), "x": FloatDistribution(0, 1), "y": IntDistribution(0, 9)},
        {"y": Condition("layers", awake)},
    )
    points = layers.sample(np.random.default_rng(0), 30)
    assert Domain.from_optuna(trial(layers, point) for point in points) == layers


def test_a_parameter_that_hangs_on_a_float_or_on_two_others_is_left_without_a_condition():
    parameters = {
        "a": CategoricalDistribution([False, True]),
        "b": CategoricalDistribution([False, True]),
        "x": FloatDistribution(0, 1),
        "both": IntDistribution(0, 1),
        "far": IntDistribution(0, 1),
    }
    trials = []
    for point in Domain(parameters).sample(np.random.default_rng(0), 40):
        if not (point["a"] and point["b"]):
            del point["both"]
        if point["x"] < 0.5:
            del point["far"]
        trials.append(trial(Domain(parameters), point))
    found = Domain.from_optuna(trials)
    assert found.parameters == parameters and found.conditions == {}


def test_what_a_trial_that_did_not_complete_has_not_asked_for_shows_nothing():
    whole, part = {"top": "ws", "p": 0.5, "k": 2}, {"top": "er"}
    failed = [trial(CONDITIONAL, part, state) for state in (TrialState.FAIL, TrialState.PRUNED)]
    assert Domain.from_optuna([trial(CONDITIONAL, whole), *failed]).conditions == {}


def test_a_range_that_changed_is_the_widest():
    narrow = Domain({"x": IntDistribution(2, 8, step=2), "y": FloatDistribution(0.5, 1)})
    other = Domain({"x": IntDistribution(1, 5), "y": FloatDistribution(0, 0.75)})
    trials = [trial(narrow, {"x": 8, "y": 1.0}), trial(other, {"x": 5, "y": 0.0})]
    assert Domain.from_optuna(trials).parameters == {
        "x": IntDistribution(1, 8),
        "y": FloatDistribution(0, 1),
    }


def test_trials_that_disagree_about_a_parameter_are_refused():
    for other in (FloatDistribution(1, 2), CategoricalDistribution([1, 2])):
        domains = Domain({"x": IntDistribution(1, 2)}), Domain({"x": other})
        with pytest.raises(ValueError, match="x: expected one kind.*leave out"):
            Domain.from_optuna(trial(domain, {"x": 1}) for domain in domains)


def test_given_conditions_replace_what_trials_show():
    points = CONDITIONAL.sample(np.random.default_rng(0), 40)
    given = {"k": Condition("top", ("er", "ws"))}
    found = Domain.from_optuna((trial(CONDITIONAL, point) for point in points), given)
    assert found.conditions == {**CONDITIONAL.conditions, **given}


def test_a_search_space_that_a_domain_cannot_hold_is_refused():
    two = CategoricalDistribution(["a", "b"])
    with pytest.raises(ValueError, match="got None; give it a name"):
        Domain.from_optuna({"x": CategoricalDistribution(["a", None])})
    with pytest.raises(ValueError, match="True equals 1"):
        Domain.from_optuna({"x": CategoricalDistribution([True, 1])})
    with pytest.raises(ValueError, match="x: expected a FloatDistribution"):
        Domain.from_optuna({"x": [1, 2]})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="parent 'z' stands before"):
        Domain.from_optuna({"x": two}, {"x": Condition("z", ("a",))})
    with pytest.raises(ValueError, match="condition of 'y': x: expected one of .*got 'c'"):
        Domain.from_optuna({"x": two, "y": two}, {"y": Condition("x", ("c",))})


@pytest.mark.parametrize("values", [(), "conv"])
def test_a_condition_without_a_tuple_of_values_is_refused(values):
    with pytest.raises(ValueError, match="condition on 'top': expected a tuple of one or more"):
        Condition("top", values)
