"""Which choices matter: the importance of each for a figure of the students."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from autokd.analysis.filtering import kind_of
from autokd.analysis.front import metrics_of, objective_of
from autokd.errors import UnknownNameError
from autokd.report import objectives_of, rungs_of
from autokd.space import Choice, Domain
from autokd.store import StudyRecord
from autokd.trial import Trial, TrialKind

_NO_TIME = datetime(1970, 1, 1)
_METHODS = ("ped_anova", "fanova")
_FEWEST = 10
"""From fewer trials nothing can be said."""

_BEST_SHARE = 0.1
_FEWEST_BEST = 5
"""PED-ANOVA asks what the best tenth has in common; of fewer trials than this it is noise."""

_MOST_FOR_FANOVA = 300
"""Its forest is walked in Python: 10,000 trials would take minutes."""

_LOG_FROM = 100
"""Positive numbers whose largest is so many times the smallest are compared by their logarithm."""


def importances(
    record: StudyRecord,
    trials: Sequence[Trial],
    metric: str | None = None,
    method: str = "ped_anova",
) -> dict[str, Any]:
    """How much each choice matters for a figure, as JSON data.

    All values are those at one rung, the highest that enough trials have finished. What may vary
    is not known here, so the range of a choice is that of its recorded values; a choice that never
    varied is left out.

    Args:
        record: the study.
        trials: all its trials; only those of the search count.
        metric: a figure of the students; None for the first objective.
        method: `ped_anova` (what the best have in common that others lack; choices that not all
            students have included) or `fanova` (which share of the variance each choice explains;
            only choices that all students have, and 300 trials at most).

    Returns:
        `metric`, `method`, the number of `trials` and the `rung` they stand at, and `importances`
        by `choices.NAME` and `distillation.NAME`, the largest first: shares that sum to 1, all 0 if
        nothing matters, none for fewer than 10 trials.

    Raises:
        UnknownNameError: no such figure or method.

    References:
        S. Watanabe, A. Bansal and F. Hutter, "PED-ANOVA: efficiently quantifying hyperparameter
        importance in arbitrary subspaces", IJCAI 2023. F. Hutter, H. Hoos and K. Leyton-Brown, "An
        efficient approach for assessing hyperparameter importance", ICML 2014. Both as Optuna has
        them; with fewer than 50 trials the best are more than a tenth here.
    """
    # They take a second to import.
    from autokd.strategies.base import Problem
    from autokd.strategies.observations import Observations

    if method not in _METHODS:
        raise UnknownNameError("method", method, _METHODS)
    objective = objective_of(record, metric or objectives_of(record)[0].metric)
    if objective.metric not in metrics_of(record, trials):
        raise UnknownNameError("figure", objective.metric, metrics_of(record, trials))
    parameters = _parameters(trials)
    observations = Observations.of(
        Problem(
            space="",
            draws=False,
            architecture=Domain(parameters),
            distillation=Domain({}),
            objectives=(objective,),
            violations=lambda architecture: {},
            rungs=rungs_of(record),
        ),
        trials,
    )
    losses = observations.losses[:, 0]
    known = np.flatnonzero(np.isfinite(losses))
    if method == "fanova" and len(known) > _MOST_FOR_FANOVA:
        known = known[np.linspace(0, len(known) - 1, _MOST_FOR_FANOVA).astype(int)]
    points = [_point(observations.trials[index], parameters) for index in known]
    return {
        "metric": objective.metric,
        "method": method,
        "trials": len(known),
        "rung": observations.rung,
        "importances": _shares(parameters, points, losses[known].tolist(), method),
    }


def _shares(
    parameters: Mapping[str, BaseDistribution],
    points: Sequence[Mapping[str, Choice]],
    losses: Sequence[float],
    method: str,
) -> dict[str, float]:
    """What Optuna says of an in-memory study of these points and losses, as shares."""
    import optuna
    from optuna.importance import (
        BaseImportanceEvaluator,
        FanovaImportanceEvaluator,
        PedAnovaImportanceEvaluator,
        get_param_importances,
    )

    from autokd.strategies.optuna_search import Told, quiet

    if len(points) < _FEWEST:
        return {}
    if len(set(losses)) == 1:
        return dict.fromkeys(sorted(parameters), 0.0)
    best = max(_BEST_SHARE, _FEWEST_BEST / len(points))
    evaluator: BaseImportanceEvaluator = (
        PedAnovaImportanceEvaluator(target_quantile=best)
        if method == "ped_anova"
        else FanovaImportanceEvaluator(seed=0)
    )
    with quiet():
        study = optuna.create_study(direction="minimize")
        study.add_trials(
            Told(
                number=number,
                trial_id=number,
                state=optuna.trial.TrialState.COMPLETE,
                value=loss,
                datetime_start=_NO_TIME,
                datetime_complete=_NO_TIME,
                params=dict(point),
                distributions={name: parameters[name] for name in point},
                user_attrs={},
                system_attrs={},
                intermediate_values={},
            )
            for number, (point, loss) in enumerate(zip(points, losses, strict=True))
        )
        found = get_param_importances(study, evaluator=evaluator, normalize=False)
    total = sum(found.values()) or 1.0
    largest_first = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return {name: float(value / total) for name, value in largest_first}


def _point(trial: Trial, parameters: Mapping[str, BaseDistribution]) -> dict[str, Choice]:
    """The choices of a trial that ever varied, in the spelling of their distributions."""
    return {
        name: str(value) if isinstance(parameters[name], CategoricalDistribution) else value
        for name, value in _choices(trial).items()
        if name in parameters
    }


def _parameters(trials: Iterable[Trial]) -> dict[str, BaseDistribution]:
    """A distribution that holds the recorded values of each choice that ever varied."""
    values: dict[str, set[Choice]] = defaultdict(set)
    for trial in trials:
        if trial.kind is TrialKind.SEARCH:
            for name, value in _choices(trial).items():
                values[name].add(value)
    return {name: _distribution(seen) for name, seen in values.items() if len(seen) > 1}


def _choices(trial: Trial) -> dict[str, Choice]:
    return {
        **{f"choices.{name}": value for name, value in trial.architecture.choices.items()},
        **{f"distillation.{name}": value for name, value in trial.distillation.items()},
    }


def _distribution(values: set[Choice]) -> BaseDistribution:
    if kind_of(values) != "number":
        return CategoricalDistribution(sorted(map(str, values)))
    low, high = min(map(float, values)), max(map(float, values))
    log = low > 0 and high >= _LOG_FROM * low
    if any(isinstance(value, float) for value in values):
        return FloatDistribution(low, high, log=log)
    return IntDistribution(int(low), int(high), log=log)
