"""Search spaces: what may vary (`Domain`), one choice of it (`Architecture`), how to build it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState as State

from autokd.errors import Mistake, did_you_mean
from autokd.task import Task

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial
    from torch import nn

Choice = bool | int | float | str
Choices = Mapping[str, Choice]

_SIGNIFICANT_DIGITS = 6
_GRID_DIGITS = 12
"""Of numbers on a grid: they must stay on it, only the noise of the arithmetic is cut off."""

_LONGEST_COUNT = 64
"""A whole number with more values than this does not count things that have parameters."""


@dataclass(frozen=True)
class Architecture:
    """One network of a search space, as a value: two equal keys build equal networks.

    Attributes:
        space: name of the search space that builds it.
        choices: value of every active parameter of the space's domain.
        seed: in spaces of random-graph generators, the seed of the draw that gives this network.
    """

    space: str
    choices: Choices
    seed: int = 0

    def __post_init__(self) -> None:
        ordered = dict(sorted(self.choices.items()))
        object.__setattr__(self, "choices", MappingProxyType(ordered))

    @cached_property
    def key(self) -> str:
        """Canonical JSON text: equal for equal architectures, in every process and version."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the key."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        return hash(self.key)

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and architectures travel to worker processes.
        return Architecture, (self.space, dict(self.choices), self.seed)

    def to_json(self) -> dict[str, Any]:
        """As JSON data; `from_json` gives it back."""
        return {"space": self.space, "choices": dict(self.choices), "seed": self.seed}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Architecture:
        """The architecture that `to_json` wrote."""
        return cls(data["space"], data["choices"], data["seed"])


@dataclass(frozen=True)
class Condition:
    """A parameter exists only while `parent` is active and has one of `values`."""

    parent: str
    values: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not self.values or isinstance(self.values, str):
            raise ValueError(
                f"condition on {self.parent!r}: expected a tuple of one or more values, "
                f"got {self.values!r}"
            )


@dataclass(frozen=True)
class Domain:
    """Named parameters as Optuna distributions, with the conditions under which each exists.

    The order of `parameters` is the order of the columns of `encode`; a parent stands before its
    children.

    Attributes:
        parameters: distribution of each parameter by name.
        conditions: activation condition by name, for those that do not always exist.
    """

    parameters: Mapping[str, BaseDistribution]
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = list(self.parameters)
        for name, condition in self.conditions.items():
            if name not in names or condition.parent not in names[: names.index(name)]:
                raise ValueError(
                    f"condition of {name!r}: expected a parameter whose parent "
                    f"{condition.parent!r} stands before it, got the parameters {names}"
                )

    @classmethod
    def from_optuna(
        cls,
        source: Mapping[str, BaseDistribution] | Iterable[FrozenTrial],
        conditions: Mapping[str, Condition] | None = None,
    ) -> Domain:
        """The domain of an Optuna search space, or the one that the trials of a study show.

        Of trials: the parameters are all that any trial asked for, in the order of first asking. A
        number whose range changed has the widest of its ranges, without steps. A parameter that
        completed trials lack gets a condition if an earlier parameter tells them from those that
        have it: a categorical one by its categories, a whole number by a limit (the third layer
        exists from three layers on). Of several such parents it is the one with the fewest values
        seen; the first of those, if there are several.

        This cannot be inferred and leaves the parameter without a condition: one that hangs on a
        float, on two parameters at once, or on what is no parameter. A parent's value that no trial
        had counts as one without the parameter. What few trials show may be a coincidence.

        Args:
            source: distribution of each parameter by name, parents before their children; or the
                trials of a study (`study.trials`).
            conditions: activation conditions by name; they replace inferred ones.

        Raises:
            ValueError: a distribution or category that a domain cannot hold; a condition on an
                unknown parent or value; trials that disagree about a parameter.
        """
        trials = [] if isinstance(source, Mapping) else list(source)
        parameters = dict(source) if isinstance(source, Mapping) else _parameters_of(trials)
        for name, distribution in parameters.items():
            _check_distribution(name, distribution)
        domain = cls(parameters, {**_conditions_of(trials, parameters), **(conditions or {})})
        for name, condition in domain.conditions.items():
            _check_values(name, condition, parameters[condition.parent])
        return domain

    def to_optuna(self) -> tuple[dict[str, BaseDistribution], dict[str, Condition]]:
        """Optuna's distributions by name, and the conditions, which Optuna has no place for.

        `Domain.from_optuna(*domain.to_optuna())` is the domain again.
        """
        return dict(self.parameters), dict(self.conditions)

    def is_active(self, name: str, choices: Choices) -> bool:
        """Whether the parameter exists, given the choices of its ancestors."""
        condition = self.conditions.get(name)
        if condition is None:
            return True
        return (
            self.is_active(condition.parent, choices)
            and choices[condition.parent] in condition.values
        )

    def canonical(self, choices: Choices) -> dict[str, Choice]:
        """The same point in its one spelling: inactive parameters dropped, numbers quantised.

        A parameter with one value only may be left out.

        Raises:
            ValueError: an active parameter is missing or outside its distribution.
        """
        result: dict[str, Choice] = {}
        for name, distribution in self.parameters.items():
            if not self.is_active(name, result):
                continue
            if name in choices:
                result[name] = _quantise(name, choices[name], distribution)
            elif distribution.single():
                result[name] = _from_unit(0.5, distribution)
            else:
                raise ValueError(f"parameter {name!r} is missing; got {sorted(choices)}")
        return result

    def mistakes(self, choices: Choices, path: str) -> list[Mistake]:
        """What is wrong with a point that a person names, each at `path` and its parameter.

        Beside what `canonical` refuses these are parameters that do not exist at all, and whole
        numbers that it would round. Those that are not active may be named.
        """
        found = [
            Mistake(f"{path}.{name}", "there is no such parameter", self._nearest(name))
            for name in choices
            if name not in self.parameters
        ]
        point: dict[str, Choice] = {}
        for name, distribution in self.parameters.items():
            condition = self.conditions.get(name)
            if condition is not None and point.get(condition.parent) not in condition.values:
                continue  # it is not active, or its parent is wrong
            value = choices.get(name)
            if value is None and distribution.single():
                value = _from_unit(0.5, distribution)
            if value is not None and _is_meant(value, distribution):
                point[name] = value
            else:
                got = "nothing" if value is None else repr(value)
                wrong = f"expected {_expected(distribution)}; got {got}"
                found.append(Mistake(f"{path}.{name}", wrong))
        return found

    def _nearest(self, name: str) -> str:
        return did_you_mean(name, self.parameters) or (
            f"there are {', '.join(self.parameters) or 'none'}"
        )

    def sample(self, rng: np.random.Generator, n: int = 1) -> list[dict[str, Choice]]:
        """`n` independent points, each parameter uniform on its (log) range."""
        return self.decode(rng.random((n, len(self.parameters))))

    def encode(self, points: Iterable[Choices]) -> np.ndarray:
        """Points as rows in [0, 1]: an (n, d) array, NaN where a parameter is inactive.

        Numbers sit linearly (or log-linearly) in their range, a category at the middle of its
        equal share, so that `decode(encode(points))` gives the points back.
        """
        points = list(points)
        rows = np.full((len(points), len(self.parameters)), math.nan)
        for column, (name, distribution) in enumerate(self.parameters.items()):
            there = [row for row, point in enumerate(points) if name in point]
            rows[there, column] = _to_units([points[row][name] for row in there], distribution)
        return rows

    def decode(self, rows: np.ndarray) -> list[dict[str, Choice]]:
        """The points of an (n, d) array in [0, 1]; columns of inactive parameters are ignored."""
        points = []
        for row in np.atleast_2d(rows):
            point: dict[str, Choice] = {}
            for value, (name, distribution) in zip(row, self.parameters.items(), strict=True):
                if self.is_active(name, point):
                    unit = 0.5 if math.isnan(value) else float(value)
                    point[name] = _quantise(name, _from_unit(unit, distribution), distribution)
            points.append(point)
        return points

    def neighbours(
        self, point: Choices, rng: np.random.Generator, step: float = 0.2
    ) -> list[dict[str, Choice]]:
        """Every point one change away: each other category, and one normal step of each number.

        A change of a parent that wakes children draws those uniformly.

        Args:
            point: a canonical point.
            rng: draws the steps.
            step: standard deviation of a number's step, as a share of its range.
        """
        parents = {condition.parent for condition in self.conditions.values()}
        found = []
        for name, distribution in self.parameters.items():
            if name not in point:
                continue
            others = _other_values(point[name], distribution, rng, step)
            for value in dict.fromkeys(_quantise(name, other, distribution) for other in others):
                if value != point[name]:
                    other = {**point, name: value}
                    found.append(self.complete(other, rng) if name in parents else other)
        return found

    def complete(self, choices: Choices, rng: np.random.Generator) -> dict[str, Choice]:
        """Canonical point that keeps `choices`, which are so already, and draws what they lack."""
        result: dict[str, Choice] = {}
        for name, distribution in self.parameters.items():
            if not self.is_active(name, result):
                continue
            if name in choices:
                result[name] = choices[name]
            else:
                drawn = _from_unit(float(rng.random()), distribution)
                result[name] = _quantise(name, drawn, distribution)
        return result

    def matched(self, choices: Choices) -> dict[str, Choice]:
        """What a point of another domain says of this one: parameters of the same name.

        Numbers are moved into the range. A category that this domain lacks is left out, as is a
        parameter whose parent is; `complete` draws them.
        """
        result: dict[str, Choice] = {}
        for name, distribution in self.parameters.items():
            condition = self.conditions.get(name)
            known = condition is None or result.get(condition.parent) in condition.values
            if not known or name not in choices:
                continue
            value = choices[name]
            if isinstance(distribution, CategoricalDistribution):
                if value in distribution.choices:
                    result[name] = _quantise(name, value, distribution)
            elif not isinstance(value, str):
                low, high = _bounds(distribution)
                result[name] = _quantise(name, min(max(value, low), high), distribution)
        return result

    def join(self, other: Domain) -> Domain:
        """One domain with the parameters of both. Raises ValueError if they share a name."""
        shared = self.parameters.keys() & other.parameters.keys()
        if shared:
            raise ValueError(f"both domains have the parameters {sorted(shared)}")
        return Domain(
            {**self.parameters, **other.parameters}, {**self.conditions, **other.conditions}
        )

    def prefixed(self, prefix: str) -> Domain:
        """The same domain with `prefix` before every name."""
        return Domain(
            {prefix + name: distribution for name, distribution in self.parameters.items()},
            {
                prefix + name: Condition(prefix + condition.parent, condition.values)
                for name, condition in self.conditions.items()
            },
        )


class SearchSpace(Protocol):
    """A family of student networks; one file per space in `search_spaces/`.

    An installed package adds a space with an entry point in the group `autokd.search_spaces` that
    names a class or function which takes the options of `space:` in the study file as keyword
    arguments and returns one of these.
    """

    name: str
    draws: bool
    """Whether an architecture is one draw of a random generator, told apart by its `seed`."""

    def domain(self, task: Task, parameter_limit: int) -> Domain:
        """What may vary in students of `task` with at most `parameter_limit` parameters.

        Called once per study, in the coordinator. The choices must hold all that `build` needs.
        """
        ...

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        """The student, freshly initialised from torch's generator.

        Called in the coordinator on the `meta` device to cost a candidate, and in a worker to
        train it. Takes a float image batch (n, channels, height, width), gives logits (n, classes).
        """
        ...


@runtime_checkable
class ScoredSpace(SearchSpace, Protocol):
    """A search space that can tell without training how good a network may become."""

    def scores(self, architecture: Architecture, task: Task) -> Mapping[str, float]:
        """Zero-cost scores by name: positive, and the same names for every architecture.

        A model of the search takes their logarithms as inputs beside those of the costs, and
        learns what they say; which direction is good need not be known. Called in the coordinator,
        once for each architecture that is looked at. No name may be that of a metric.
        """
        ...


def _quantise(name: str, value: Choice, distribution: BaseDistribution) -> Choice:
    """The one spelling of a value: the category itself, the grid point, six significant digits."""
    if isinstance(distribution, CategoricalDistribution):
        if value not in distribution.choices:
            raise ValueError(f"{name}: expected one of {distribution.choices}, got {value!r}")
        return _category(distribution, distribution.choices.index(value))
    if isinstance(value, str):
        raise ValueError(f"{name}: expected a number, got {value!r}")
    low, high = _bounds(distribution)
    if not low <= value <= high:
        raise ValueError(f"{name}: expected a number from {low} to {high}, got {value}")
    if isinstance(distribution, IntDistribution):
        steps = round((value - distribution.low) / distribution.step)
        return distribution.low + distribution.step * steps
    assert isinstance(distribution, FloatDistribution)
    if distribution.step is not None:
        value = low + distribution.step * round((value - low) / distribution.step)
        digits = _GRID_DIGITS
    else:
        digits = _SIGNIFICANT_DIGITS
    # Rounding may step over an end of the range that has more digits.
    return min(max(float(f"{value:.{digits}g}"), low), high)


def _is_meant(value: Choice, distribution: BaseDistribution) -> bool:
    """Whether the distribution has a value, and not only one near it."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    if isinstance(value, bool | str):
        return False
    low, high = _bounds(distribution)
    is_whole = isinstance(distribution, IntDistribution)
    return low <= value <= high and (not is_whole or value == _quantise("", value, distribution))


def _expected(distribution: BaseDistribution) -> str:
    """The values of a distribution in words."""
    if isinstance(distribution, CategoricalDistribution):
        return f"one of {', '.join(map(repr, distribution.choices))}"
    low, high = _bounds(distribution)
    if isinstance(distribution, IntDistribution):
        steps = f" in steps of {distribution.step}" if distribution.step > 1 else ""
        return f"a whole number from {low} to {high}{steps}"
    return f"a number from {low} to {high}"


def _category(distribution: CategoricalDistribution, index: int) -> Choice:
    choice = distribution.choices[index]
    assert choice is not None
    return choice


def _bounds(distribution: BaseDistribution) -> tuple[float, float]:
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low, distribution.high


def _to_units(values: Sequence[Choice], distribution: BaseDistribution) -> np.ndarray:
    if isinstance(distribution, CategoricalDistribution):
        count = len(distribution.choices)
        return np.array([(distribution.choices.index(value) + 0.5) / count for value in values])
    low, high = _ends(distribution)
    scaled = np.array(values, dtype=float)
    scaled = np.log(scaled) if getattr(distribution, "log", False) else scaled
    return (scaled - low) / (high - low) if high > low else np.full(len(values), 0.5)


def _from_unit(unit: float, distribution: BaseDistribution) -> Choice:
    if isinstance(distribution, CategoricalDistribution):
        count = len(distribution.choices)
        return _category(distribution, min(int(unit * count), count - 1))
    low, high = _ends(distribution)
    value = low + unit * (high - low)
    value = math.exp(value) if getattr(distribution, "log", False) else value
    lowest, highest = _bounds(distribution)
    return min(max(value, lowest), highest)


def _ends(distribution: BaseDistribution) -> tuple[float, float]:
    """Ends of the range on the scale where sampling is uniform.

    A whole number owns an interval of one step around it, so that all are equally likely.
    """
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if distribution.step is not None and not distribution.log:
        low, high = low - distribution.step / 2, high + distribution.step / 2
    elif isinstance(distribution, IntDistribution):
        low, high = low - 0.5, high + 0.5
    return (math.log(low), math.log(high)) if distribution.log else (low, high)


def _other_values(
    value: Choice, distribution: BaseDistribution, rng: np.random.Generator, step: float
) -> Sequence[Choice]:
    if isinstance(distribution, CategoricalDistribution):
        others = (_category(distribution, index) for index in range(len(distribution.choices)))
        return [choice for choice in others if choice != value]
    if distribution.single():
        return []
    unit = float(_to_units([value], distribution)[0])
    moved = _from_unit(min(max(unit + step * rng.standard_normal(), 0.0), 1.0), distribution)
    if isinstance(distribution, IntDistribution):
        assert not isinstance(value, str) and not isinstance(moved, str)
        up = value + distribution.step <= distribution.high and (
            moved >= value or value - distribution.step < distribution.low
        )
        smallest = value + distribution.step if up else value - distribution.step
        return [smallest, moved]
    return [moved]


def _check_distribution(name: str, distribution: BaseDistribution) -> None:
    """Raises ValueError if a domain cannot hold the distribution."""
    if isinstance(distribution, IntDistribution | FloatDistribution):
        return
    if not isinstance(distribution, CategoricalDistribution):
        raise ValueError(
            f"{name}: expected a FloatDistribution, IntDistribution or CategoricalDistribution of "
            f"Optuna, got {distribution!r}"
        )
    choices = distribution.choices
    for choice in choices:
        if not isinstance(choice, bool | int | float | str):
            raise ValueError(
                f"{name}: expected categories that are text, numbers or booleans, got {choice!r}; "
                "give it a name ('none', say) and translate that in the objective"
            )
    if len(set(choices)) < len(choices):
        raise ValueError(
            f"{name}: expected categories that differ, got {choices}; to Python True equals 1 and "
            "1 equals 1.0, so give them names"
        )


def _check_values(name: str, condition: Condition, parent: BaseDistribution) -> None:
    """Raises ValueError if the parent never has one of the condition's values."""
    for value in condition.values:
        try:
            _quantise(condition.parent, value, parent)
        except ValueError as error:
            raise ValueError(f"condition of {name!r}: {error}") from error


def _parameters_of(trials: Iterable[FrozenTrial]) -> dict[str, BaseDistribution]:
    """All parameters that any trial asked for, in the order of first asking."""
    result: dict[str, BaseDistribution] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            known = result.get(name, distribution)
            result[name] = known if known == distribution else _cover(name, known, distribution)
    return result


def _cover(name: str, one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    """A distribution that holds the values of two with different ranges."""
    if isinstance(one, IntDistribution) and isinstance(other, IntDistribution):
        if one.log == other.log:
            return IntDistribution(min(one.low, other.low), max(one.high, other.high), one.log)
    if isinstance(one, FloatDistribution) and isinstance(other, FloatDistribution):
        if one.log == other.log:
            return FloatDistribution(min(one.low, other.low), max(one.high, other.high), one.log)
    raise ValueError(
        f"{name}: expected one kind, scale and list of categories in all trials, got {one} and "
        f"{other}; leave out the trials of one of them"
    )


def _conditions_of(
    trials: Sequence[FrozenTrial], parameters: Mapping[str, BaseDistribution]
) -> dict[str, Condition]:
    """For each parameter that not all completed trials have, the condition that explains it."""
    # A trial that did not complete may have ended before it asked for everything.
    points = [(trial.params, trial.state is State.COMPLETE) for trial in trials]
    result: dict[str, Condition] = {}
    earlier: list[str] = []
    for name, distribution in parameters.items():
        having = [point for point, _ in points if name in point]
        lacking = [point for point, whole in points if whole and name not in point]
        fewest = math.inf
        for parent in earlier if lacking else ():
            if any(parent not in point for point in having):
                continue
            awake = {point[parent] for point in having}
            asleep = {point[parent] for point in lacking if parent in point}
            values = _telling(parameters[parent], awake, asleep)
            if values and len(awake | asleep) < fewest:
                fewest = len(awake | asleep)
                result[name] = Condition(parent, values)
        if not isinstance(distribution, FloatDistribution):
            earlier.append(name)
    return result


def _telling(parent: BaseDistribution, awake: set[Any], asleep: set[Any]) -> tuple[Choice, ...]:
    """Values of the parent at which a child exists; empty if the parent does not tell.

    Args:
        parent: distribution of the parent, which is no float.
        awake: its values in trials that have the child.
        asleep: its values in trials that lack the child.
    """
    if not asleep or awake & asleep:
        return ()
    if isinstance(parent, CategoricalDistribution):
        chosen = (_category(parent, index) for index in range(len(parent.choices)))
        return tuple(choice for choice in chosen if choice in awake)
    assert isinstance(parent, IntDistribution)
    values = range(parent.low, parent.high + 1, parent.step)
    if len(values) <= _LONGEST_COUNT and min(awake) > max(asleep):
        return tuple(value for value in values if value >= min(awake))
    if len(values) <= _LONGEST_COUNT and max(awake) < min(asleep):
        return tuple(value for value in values if value <= max(awake))
    return ()
