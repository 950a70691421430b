"""How much of the front a model finds that knows nearly all other networks of NAS-Bench-Macro.

    python benchmarks/known_others.py --data ../shared/data

Says what can be asked of a search on `macro_front`: each network is predicted by a Gaussian process
that was told nine tenths of the table, those that the search has not met among them, but not this
one. What is left to find out is what no other network tells of it. The search then takes the
largest expected growth of the hypervolume, as `bayesian` does, and prints the volume as a share of
the true front's, and by how much the predictions are wrong.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from search_problems import Benchmark, nasbench_macro

from autokd.multiobjective import is_non_dominated
from autokd.strategies.bayesian.acquisition import log_expected_volume
from autokd.strategies.bayesian.columns import Encoder
from autokd.strategies.bayesian.gaussian_process import GaussianProcess
from autokd.strategies.bayesian.pool import Pool, all_points

_FOLDS = 10
_MARKS = (25, 50, 100, 200)


def predictions(pool: Pool, benchmark: Benchmark, losses: np.ndarray) -> np.ndarray:
    """(2, n) means and standard deviations of n losses; none was told to what predicts it."""
    encoder = Encoder(benchmark.problem.domain, pool.logs)
    columns = encoder.columns(pool.units, pool.logs)
    fold = np.random.default_rng(0).permutation(len(losses)) % _FOLDS
    told = np.empty((2, len(losses)))
    for one in range(_FOLDS):
        rest, asked = np.flatnonzero(fold != one), np.flatnonzero(fold == one)
        process = GaussianProcess(columns[rest], losses[rest])
        mean, deviation = process.predict(columns[asked])
        # What is noise to the process is part of what is to be found: the table has no other.
        told[:, asked] = mean, np.sqrt(deviation**2 + process.noise)
    return told


def search(told: np.ndarray, figures: np.ndarray, evaluations: int) -> list[int]:
    """Rows in the order in which a search asks for them, the most accurate by prediction first.

    Args:
        told: (2, n) means and standard deviations of the first loss.
        figures: (n, 2) losses as they are, standardised like the predictions.
        evaluations: how many rows.
    """
    mean, deviation = told
    rows = [int(mean.argmin())]
    reference = np.array([np.median(figures[:, 0]), figures[:, 1].max()])
    while len(rows) < evaluations:
        met = figures[rows]
        front = met[is_non_dominated(met)]
        scores = log_expected_volume(mean, deviation, figures[:, None, 1:], front, reference)
        scores[rows] = -np.inf
        rows.append(int(scores.argmax()))
    return rows


def main() -> None:
    """Prints what is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    benchmark = nasbench_macro(options.data, "front")
    problem, rng = benchmark.problem, np.random.default_rng(0)
    points = all_points(problem.domain, 10_000) or []
    pool = Pool.of(problem, [problem.candidate(point, rng) for point in points])
    truth = [benchmark.truth(candidate) for candidate in pool.candidates]
    losses = np.array([[-one["accuracy"], one["parameters"]] for one in truth])
    figures = (losses - losses.mean(axis=0)) / losses.std(axis=0)
    told = predictions(pool, benchmark, figures[:, 0])
    wrong = np.abs(told[0] - figures[:, 0]) * losses[:, 0].std()
    by, there = wrong.mean(), wrong[is_non_dominated(figures)].mean()
    print(f"wrong by {by:.2f} points of accuracy, on the front by {there:.2f}")
    rows = search(told, figures, max(_MARKS))
    for mark in _MARKS:
        print(f"volume at {mark}: {benchmark.front_volume(losses[rows[:mark]]):.4f}")


if __name__ == "__main__":
    main()
