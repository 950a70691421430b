"""AutoKD's search: BOHB over what generates an architecture and how it is taught."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from optuna.distributions import CategoricalDistribution

from autokd.multiobjective import best_first, losses
from autokd.strategies.base import Candidate, Problem
from autokd.strategies.density import KernelDensity
from autokd.strategies.feasible import CandidateFinder
from autokd.trial import Suggestion, Trial, TrialKind, TrialState

_GOOD_PERCENT = 15
_SAMPLES = 64
_RANDOM_SHARE = 1 / 3
_WIDENING = 3.0
_LEAST_BANDWIDTH = 1e-3


class BOHBSearch:
    """Draws what is much more likely among the good trials than among the rest.

    Two densities are fitted to the trials that finished one rung: l to the best 15 %, g to the
    rest. 64 points are drawn from l with the bandwidths of numbers widened by 3, and the one with
    the largest l / g is proposed; one proposal in 3 is uniform instead, and all are until there is
    a model. A number has a truncated Gaussian kernel, a category that of Aitchison and Aitken, with
    rule-of-thumb bandwidths of at least 0.001; see `KernelDensity`. An inactive parameter takes the
    value of another trial of its set, drawn at random, so that it tells nothing.

    The rung is the highest with enough trials: both sets need more than d of them, for d parameters
    that have a choice, so the best 15 % are at least d + 1 and the first model comes after
    2 (d + 1) trials. A trial counts at all rungs that it finished. One that failed, or has an
    objective that is NaN, is worse than all others; a failed one counts at the rung at which it
    failed and at those below.

    The domain is AutoKD's: the parameters of the architecture, which in a space of random graphs
    are those of the generator, together with those of the distillation. There a proposal is one new
    draw of a generator, and what is learned of it is learned of the family of its draws.

    Where trials start and which of them train on is not decided here: see `SuccessiveHalving`,
    with as many brackets as there are rungs for what BOHB does.

    Args:
        problem: what is searched.

    References:
        S. Falkner, A. Klein and F. Hutter, "BOHB: robust and efficient hyperparameter optimization
        at scale", ICML 2018; the constants are those of the authors' code, HpBandSter. R. Henha
        Eyono, F. M. Carlucci, P. M. Esperança, B. Ru and P. Torr, "AutoKD: automatic knowledge
        distillation into a student architecture family", arXiv 2111.03555, 2021: architectures and
        distillation searched together by Bayesian optimisation; that it is BOHB, we infer from the
        work it builds on: B. Ru, P. M. Esperança and F. M. Carlucci, "Neural architecture generator
        optimization", NeurIPS 2020.

        Deviations. Of the 64 points those over budget and those in the record are dropped, since
        both are known. With several objectives the best trials are those of the first
        non-dominated ranks, then those with most room around them. The kernel of a number is
        truncated in l and g too, not only where points are drawn; l and g are compared as
        logarithms, without a floor. The bandwidth of a category does not depend on the order of the
        categories. Brackets are asynchronous.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._domain = problem.domain
        distributions = list(self._domain.parameters.values())
        self._varied = np.flatnonzero([not one.single() for one in distributions])
        self._categories = np.array(
            [
                len(one.choices) if isinstance(one, CategoricalDistribution) else 0
                for one in distributions
            ],
            dtype=int,
        )[self._varied]

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`."""
        search = sorted(
            (trial for trial in trials if trial.kind is TrialKind.SEARCH),
            key=lambda trial: trial.number,
        )
        finder = CandidateFinder(self._problem, search, rng)
        candidate = finder.first(self._sampled(search, rng))
        return Suggestion(candidate.architecture, candidate.distillation)

    def _sampled(self, search: Sequence[Trial], rng: np.random.Generator) -> Iterator[Candidate]:
        """Candidates drawn from the model, the best first; none if it is not its turn."""
        if rng.random() < _RANDOM_SHARE or (sets := self._sets(search)) is None:
            return
        good, rest = (
            KernelDensity(_imputed(self._encoded(one), rng), self._categories, _LEAST_BANDWIDTH)
            for one in sets
        )
        sampled = good.sample(_SAMPLES, rng, _WIDENING)
        ratio = good.log_density(sampled) - rest.log_density(sampled)
        rows = np.full((_SAMPLES, len(self._domain.parameters)), 0.5)
        rows[:, self._varied] = sampled[np.argsort(-ratio, kind="stable")]
        for row in rows[: self._problem.affordable]:
            yield self._problem.candidate(self._domain.decode(row)[0], rng)

    def _sets(self, search: Sequence[Trial]) -> tuple[list[Trial], list[Trial]] | None:
        """The good trials and the rest, at the highest rung at which both are enough."""
        enough = len(self._varied) + 1
        for rung in reversed(self._problem.rungs):
            ended = [trial for trial in search if _ended(trial, rung)]
            figures = (
                {} if trial.state is TrialState.FAILED else trial.figures_at(rung) or {}
                for trial in ended
            )
            order = best_first(losses(self._problem.objectives, figures))
            size = max(enough, len(ended) * _GOOD_PERCENT // 100)
            if len(order) >= size and len(ended) - size >= enough:
                good = set(order[:size].tolist())
                rest = [trial for i, trial in enumerate(ended) if i not in good]
                return [ended[i] for i in sorted(good)], rest
        return None

    def _encoded(self, trials: Sequence[Trial]) -> np.ndarray:
        """(n, d) values of the parameters that have a choice, NaN where inactive."""
        rows = self._domain.encode(
            self._problem.join(trial.architecture.choices, trial.distillation) for trial in trials
        )
        return rows[:, self._varied]


def _ended(trial: Trial, rung: int) -> bool:
    """Whether the trial finished the rung, or failed at it or later."""
    if trial.state is TrialState.FAILED:
        return trial.epochs >= rung
    return any(evaluation.epochs == rung for evaluation in trial.evaluations)


def _imputed(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The rows with every NaN filled in.

    Of the rows that have the first missing value of a row, one drawn at random gives it all that it
    has of the missing ones, so that siblings stay together. What no row has is drawn uniformly.
    """
    result = rows.copy()
    for row in result:
        while (missing := np.isnan(row)).any():
            first = int(missing.argmax())
            donors = np.flatnonzero(~np.isnan(rows[:, first]))
            if len(donors):
                row[missing] = rows[rng.choice(donors), missing]
            else:
                row[first] = rng.random()
    return result
