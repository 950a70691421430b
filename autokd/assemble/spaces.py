"""Search spaces by their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from autokd.errors import (
    Mistake,
    SpecError,
    UnknownNameError,
    did_you_mean,
)
from autokd.space import Condition, SearchSpace
from autokd.spec import (
    SpaceSpec,
    installed_spaces,
)
from autokd.task import Task


def load_space(spec: SpaceSpec) -> SearchSpace:
    """The search space that a spec names, with its options.

    Raises:
        UnknownNameError: no installed package has it.
        SpecError: it has no such option, or not with such a value.
    """
    spaces = installed_spaces()
    if spec.name == "custom":
        wrong = Mistake(
            "space.name",
            "expected an installed space, or an object with 'custom'; got 'custom' alone",
            "pass space=... to autokd.assemble_study",
        )
        raise SpecError("the study", [wrong])
    if spec.name not in spaces:
        raise UnknownNameError("search space", spec.name, spaces)
    make: Callable[..., SearchSpace] = spaces[spec.name].load()
    known = inspect.signature(make).parameters
    unknown = [
        Mistake(f"space.{name}", f"{spec.name} has no such option", did_you_mean(name, known))
        for name in spec.options
        if name not in known
    ]
    takes_any = any(option.kind is option.VAR_KEYWORD for option in known.values())
    if unknown and not takes_any:
        raise SpecError("the study", unknown)
    return make(**spec.options)


def describe_space(name: str) -> dict[str, Any]:
    """What varies in an installed space, for a task of 32x32 colour images and 10 classes.

    Returns:
        `name`, `summary` (first line of its documentation), `parameters` (`name`, `range` and
        `condition` of each that has a choice) and `options` (what the study file may set beside the
        name: `name` and `default` of each).
    """
    space = load_space(SpaceSpec(name=name))
    domain = space.domain(Task((3, 32, 32), 10), parameter_limit=100_000)
    return {
        "name": name,
        "summary": (space.__doc__ or name).strip().splitlines()[0],
        "parameters": [
            {
                "name": parameter,
                "range": _range(distribution),
                "condition": _condition(domain.conditions.get(parameter)),
            }
            for parameter, distribution in domain.parameters.items()
            if not distribution.single()
        ],
        "options": [
            {"name": option.name, "default": option.default}
            for option in inspect.signature(installed_spaces()[name].load()).parameters.values()
        ],
    }


def _range(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    step = f" in steps of {distribution.step:g}" if distribution.step not in (None, 1) else ""
    scale = ", log scale" if distribution.log else ""
    return f"{distribution.low:g} to {distribution.high:g}{step}{scale}"


def _condition(condition: Condition | None) -> str:
    if condition is None:
        return ""
    values = condition.values
    first, last = values[0], values[-1]
    if isinstance(first, int) and isinstance(last, int) and len(values) > 2:
        if values == tuple(range(first, last + 1)):
            return f"{condition.parent} is {first} to {last}"
    return f"{condition.parent} is {', '.join(map(str, values))}"
