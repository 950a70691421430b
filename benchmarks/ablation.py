"""What each ingredient of `bayesian` brings: it is left out, one at a time.

    python benchmarks/ablation.py --data ../shared/data

Prints the tables of `search.py` for the whole strategy and for each that lacks something. Every
one is played by a process of its own, since what is left out is replaced in the modules.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autokd.strategies import BayesianSearch, Problem
from autokd.strategies.bayesian import columns, gaussian_process, model, search, targets


def whole(problem: Problem) -> BayesianSearch:
    """Nothing is left out."""
    return BayesianSearch(problem)


def ranks(problem: Problem) -> BayesianSearch:
    """Targets are values from the start."""
    _targets(lambda losses, objectives: targets.without_gaps(losses))
    return BayesianSearch(problem)


def values(problem: Problem) -> BayesianSearch:
    """Targets are half ranks to the end."""
    _targets(lambda losses, objectives: targets.part_rank(losses))
    return BayesianSearch(problem)


def closed_gaps(problem: Problem) -> BayesianSearch:
    """The values of many trials keep the gaps between them."""
    _targets(
        lambda losses, objectives: targets.part_rank(
            losses, share=0.5 if targets.are_few(len(losses), objectives) else 1.0
        )
    )
    return BayesianSearch(problem)


def _targets(scaled: Callable[[np.ndarray, int], np.ndarray]) -> None:
    # mypy does not count a name that a module imports as one of its own.
    model.scaled = scaled  # type: ignore[attr-defined,assignment]


def features(problem: Problem) -> BayesianSearch:
    """The model does not see what is known of a candidate's cost."""
    plain = columns.Encoder.columns

    def blind(self: columns.Encoder, units: np.ndarray, logs: np.ndarray) -> columns.Columns:
        return replace(plain(self, units, logs), features=np.empty((len(units), 0)))

    columns.Encoder.columns = blind  # type: ignore[method-assign]
    return BayesianSearch(problem)


_PRIOR = gaussian_process.Prior()


def _prior(**fields: Any) -> None:
    gaussian_process.Prior = lambda: replace(_PRIOR, **fields)  # type: ignore[misc,assignment]


def linear_part(problem: Problem) -> BayesianSearch:
    """The kernel has no linear part in the known costs."""
    _prior(slope=(-12.0, 1e-3))
    return BayesianSearch(problem)


def sum_of_kernels(problem: Problem) -> BayesianSearch:
    """The kernel is the product over the columns alone."""
    _prior(mean_share=(-12.0, 1e-3))
    return BayesianSearch(problem)


def product_of_kernels(problem: Problem) -> BayesianSearch:
    """The kernel is the sum over the columns alone."""
    _prior(mean_share=(12.0, 1e-3))
    return BayesianSearch(problem)


def scaled_priors(problem: Problem) -> BayesianSearch:
    """The priors of lengths and weights do not grow with the dimension."""
    varying = sum(not one.single() for one in problem.domain.parameters.values())
    any_point = problem.domain.sample(np.random.default_rng(0))[0]
    candidate = problem.candidate(any_point, np.random.default_rng(0))
    half = np.log(varying + len(problem.figures(candidate.architecture))) / 2
    (length, of_lengths), (weight, of_weights) = _PRIOR.length, _PRIOR.category_weight
    _prior(length=(length - half, of_lengths), category_weight=(weight + half, of_weights))
    return BayesianSearch(problem)


def common_part(problem: Problem) -> BayesianSearch:
    """Weights and lengths have nothing in common a priori; each is as uncertain as before."""
    (length, of_lengths), (weight, of_weights) = _PRIOR.length, _PRIOR.category_weight
    _prior(
        shared=0.0,
        length=(length, math.hypot(of_lengths, _PRIOR.shared)),
        category_weight=(weight, math.hypot(of_weights, _PRIOR.shared)),
    )
    return BayesianSearch(problem)


def learned_noise(problem: Problem) -> BayesianSearch:
    """The noise is fixed at a thousandth of the variance."""
    _prior(noise=(np.log(1e-3), 1e-3))
    return BayesianSearch(problem)


def averaging(problem: Problem) -> BayesianSearch:
    """There is one process from the start, with the most probable hyper-parameters."""

    def most_probable(
        columns: columns.Columns, rest: np.ndarray, count: int, rng: np.random.Generator
    ) -> list[gaussian_process.GaussianProcess]:
        return [gaussian_process.GaussianProcess(columns, rest)]

    gaussian_process.GaussianProcess.drawn = most_probable  # type: ignore[method-assign,assignment]
    return BayesianSearch(problem)


def hill_climbing(problem: Problem) -> BayesianSearch:
    """The best of the surroundings is taken as it is."""
    search._CLIMBS = 0
    return BayesianSearch(problem)


INGREDIENTS = (
    ranks,
    values,
    closed_gaps,
    features,
    linear_part,
    sum_of_kernels,
    product_of_kernels,
    scaled_priors,
    common_part,
    learned_noise,
    averaging,
    hill_climbing,
)


def main() -> None:
    """Plays the searches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", default="macro_noisy,macro_percentile_5,conditional")
    parser.add_argument("--seeds", default="20")
    parser.add_argument("--first-seed", default="0")
    parser.add_argument("--evaluations", default="50")
    parser.add_argument("--processes", default="2")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--without", default=",".join(one.__name__ for one in INGREDIENTS))
    options = parser.parse_args()
    for name in ("whole", *options.without.split(",")):
        print(f"\n## {'whole' if name == 'whole' else 'without ' + name}", flush=True)
        script = Path(__file__).with_name("search.py")
        chosen = {
            "problems": options.problems,
            "strategies": f"ablation:{name}",
            "seeds": options.seeds,
            "first-seed": options.first_seed,
            "evaluations": options.evaluations,
            "processes": options.processes,
            "data": options.data,
        }
        arguments = [text for key, value in chosen.items() for text in (f"--{key}", value)]
        subprocess.run([sys.executable, str(script), *arguments], check=True)


if __name__ == "__main__":
    main()
