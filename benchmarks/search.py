"""How soon search strategies find the best, as a Markdown table and as JSON.

    python benchmarks/search.py --data ../shared/data
    python benchmarks/search.py --problems macro_accuracy,conditional --strategies random,mine:Make
    python benchmarks/search.py --problems mine:table --data my/tables
    python benchmarks/search.py --workers 8 --json figures.json

A strategy of one's own is named `module:factory`; the factory takes a `Problem` and returns a
`Strategy`. So is a problem of one's own; its factory takes the folder `--data` and returns a
`Benchmark`, which `search_problems.tabulated` makes of a table. Modules are looked for in the
current folder, too. `optuna:<Class>` is a sampler of Optuna as its users have it, without our
filter: a proposal over the budget and a repetition count as evaluations like any other, and it is
told the violations as Optuna's constraints.

Every figure is the median over the seeds, in brackets the quartiles. Found: evaluations until a
candidate among the best was evaluated (for NAS-Bench-Macro the top 0.1 % within the budget, for
functions within half a point of the optimum, for `digits` the best three), and the share of seeds
that found one. Regret: how far the best so far is from the optimum. Volume: hypervolume as a share
of the true front's.
"""

from __future__ import annotations

import argparse
import heapq
import importlib
import json
import multiprocessing
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from search_functions import cliffs, conditional, staged, two_unknown
from search_problems import EPOCHS, Benchmark, digits, nasbench_macro

from autokd.errors import AutokdError
from autokd.multiobjective import losses
from autokd.seeding import rng_for
from autokd.space import Choice
from autokd.strategies import (
    BayesianSearch,
    BOHBSearch,
    Candidate,
    OptunaSearch,
    Problem,
    RandomSearch,
    RegularizedEvolution,
    SpaceExhausted,
    Strategy,
)
from autokd.strategies.cma import CMAES
from autokd.strategies.trade import TRADE
from autokd.trial import Evaluation, Suggestion, Trial, TrialKind, TrialState

MARKS = (25, 50, 100)
"""Evaluations after which regret and volume are taken, and after the last."""

PROBLEMS: dict[str, Callable[[Path], Benchmark]] = {
    **{
        f"macro_{kind}": partial(nasbench_macro, kind=kind)
        for kind in ("accuracy", "noisy", "percentile_30", "percentile_5", "front")
    },
    "conditional": lambda data: conditional(),
    "cliffs": lambda data: cliffs(),
    "staged": lambda data: staged(),
    "two_unknown": lambda data: two_unknown(),
    "digits": lambda data: digits(),
}


class OptunaAlone:
    """A sampler of Optuna as its users have it; remembers its own study, unlike our strategies."""

    def __init__(self, problem: Problem, sampler: str, seed: int) -> None:
        make = getattr(optuna.samplers, sampler)
        self._problem = problem
        self._study = optuna.create_study(
            sampler=make(seed=seed),
            directions=[objective.direction for objective in problem.objectives],
        )
        self._asked: dict[int, optuna.Trial] = {}

    def suggest(self, trials: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """See `Strategy`; tells the study what has ended since the last call."""
        for trial in trials:
            if trial.number in self._asked and trial.state is not TrialState.RUNNING:
                self._tell(self._asked.pop(trial.number), trial)
        asked = self._study.ask()
        point: dict[str, Choice] = {}
        for name, distribution in self._problem.domain.parameters.items():
            if self._problem.domain.is_active(name, point):
                point[name] = _ask(asked, name, distribution)
        self._asked[len(trials)] = asked
        candidate = self._problem.candidate(self._problem.domain.canonical(point), rng)
        return Suggestion(candidate.architecture, candidate.distillation)

    def _tell(self, asked: optuna.Trial, trial: Trial) -> None:
        excess = self._problem.violations(trial.architecture)
        for name in self._problem.limits:
            asked.set_constraint(name, excess.get(name, -1.0))
        figures = trial.figures
        self._study.tell(asked, [o.value(figures) for o in self._problem.objectives])


def _ask(asked: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case optuna.distributions.CategoricalDistribution():
            return asked.suggest_categorical(name, distribution.choices)
        case optuna.distributions.IntDistribution():
            ends = distribution.low, distribution.high
            return asked.suggest_int(name, *ends, step=distribution.step, log=distribution.log)
        case _:
            assert isinstance(distribution, optuna.distributions.FloatDistribution)
            return asked.suggest_float(
                name, distribution.low, distribution.high, log=distribution.log
            )


def marks_of(evaluations: int) -> list[int]:
    """Evaluations after which a search of so many is scored."""
    return [mark for mark in MARKS if mark < evaluations] + [evaluations]


def make_problem(name: str, data: Path) -> Benchmark:
    """The problem of a name on the command line."""
    if ":" in name:
        problem: Benchmark = _factory(name)(data)
        return problem
    return PROBLEMS[name](data)


def _factory(name: str) -> Callable[..., Any]:
    module, _, factory = name.partition(":")
    if "" not in sys.path:  # the current folder
        sys.path.append("")
    made: Callable[..., Any] = getattr(importlib.import_module(module), factory)
    return made


def make_strategy(
    name: str, benchmark: Benchmark, seed: int, earlier: Sequence[Sequence[Trial]] = ()
) -> Strategy:
    """The strategy of a name on the command line; `bayesian`, if there are earlier searches."""
    problem = benchmark.problem
    if earlier:
        return BayesianSearch(problem, earlier=earlier)
    if name.startswith("optuna:"):
        return OptunaAlone(problem, name.removeprefix("optuna:"), seed)
    if ":" in name:
        strategy: Strategy = _factory(name)(problem)
        return strategy
    return STRATEGIES[name](problem) if name in STRATEGIES else OptunaSearch(problem, name)


def _smac(problem: Problem) -> Strategy:
    from autokd.strategies.smac_search import SMACSearch  # its library is optional

    return SMACSearch(problem)


def _ax(problem: Problem) -> Strategy:
    from autokd.strategies.ax_search import AxSearch  # its library is optional

    return AxSearch(problem)


STRATEGIES: dict[str, Callable[[Problem], Strategy]] = {
    "bayesian": BayesianSearch,
    "trade": TRADE,
    "autokd": BOHBSearch,
    "autokd_gp": lambda problem: BayesianSearch(replace(problem, figures=lambda architecture: {})),
    "regularized_evolution": RegularizedEvolution,
    "cmaes": CMAES,
    "smac": _smac,
    "ax": _ax,
    "random": RandomSearch,
}
"""Beside these there are Optuna's samplers."""


@dataclass(frozen=True)
class Play:
    """One strategy on one problem with one seed.

    Attributes:
        found: evaluations until the target was reached, or None.
        regret: at each of `marks_of`.
        volume: likewise; empty with one objective.
        seconds: of each proposal.
        repeats: proposals that had been made before.
        feasible: share of the proposals within the budget.
    """

    problem: str
    strategy: str
    seed: int
    found: int | None
    regret: tuple[float, ...]
    volume: tuple[float, ...]
    seconds: tuple[float, ...]
    repeats: int
    feasible: float


def play(
    problem: str,
    strategy: str,
    seed: int,
    *,
    data: Path,
    evaluations: int,
    workers: int,
    earlier: str = "",
    affordable: int | None = None,
) -> Play:
    """Plays one search: `workers` evaluations at a time, of random duration if there are many.

    A proposal may ask what `affordable` architectures cost; by default as many as it likes.
    """
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    benchmark = make_problem(problem, data)
    if affordable is not None:
        asked = replace(benchmark.problem, affordable=affordable)
        benchmark = replace(benchmark, problem=asked)
    records = [earlier_search(earlier, data, seed)] if earlier else []
    player = make_strategy(strategy, benchmark, seed, records)
    noise, durations = rng_for(seed, 0, "noise"), rng_for(seed, 0, "durations")
    trials: list[Trial] = []
    ended: list[int] = []
    under_way: list[tuple[float, int]] = []
    seconds, now = [], 0.0
    exhausted = False
    while len(ended) < evaluations:
        while len(under_way) < workers and len(trials) < evaluations and not exhausted:
            begun = time.perf_counter()
            try:
                suggestion = player.suggest(trials, rng_for(seed, len(trials), "suggest"))
            except SpaceExhausted:
                exhausted = True
                break
            seconds.append(time.perf_counter() - begun)
            trials.append(_trial(benchmark, len(trials), suggestion))
            heapq.heappush(under_way, (now + durations.gamma(4), len(trials) - 1))
        if not under_way:
            break
        now, number = heapq.heappop(under_way)
        candidate = Candidate(trials[number].architecture, trials[number].distillation)
        told = Evaluation(EPOCHS, dict(benchmark.observe(candidate, noise)))
        trials[number] = replace(trials[number], state=TrialState.COMPLETE, evaluations=(told,))
        ended.append(number)
    told_of = [trials[number] for number in ended]
    return _score(benchmark, strategy, seed, told_of, seconds, marks_of(evaluations))


def earlier_search(name: str, data: Path, seed: int) -> list[Trial]:
    """60 random candidates of another problem; with `opposite:` before it, the worst told best."""
    benchmark = make_problem(name.removeprefix("opposite:"), data)
    sign = -1 if name.startswith("opposite:") else 1
    rng, noise = rng_for(seed, 0, "earlier"), rng_for(seed, 0, "earlier noise")
    trials: list[Trial] = []
    for number in range(60):
        trial = _trial(benchmark, number, RandomSearch(benchmark.problem).suggest(trials, rng))
        candidate = Candidate(trial.architecture, trial.distillation)
        told = {
            metric: sign * value for metric, value in benchmark.observe(candidate, noise).items()
        }
        ended = replace(trial, state=TrialState.COMPLETE, evaluations=(Evaluation(EPOCHS, told),))
        trials.append(ended)
    return trials


def _trial(benchmark: Benchmark, number: int, suggestion: Suggestion) -> Trial:
    return Trial(
        number=number,
        kind=TrialKind.SEARCH,
        candidate=number,
        architecture=suggestion.architecture,
        distillation=suggestion.distillation,
        cost=benchmark.cost(suggestion.architecture),
        repeat=0,
        state=TrialState.RUNNING,
        epochs=EPOCHS,
        notes=suggestion.notes,
    )


def _score(
    benchmark: Benchmark,
    strategy: str,
    seed: int,
    trials: list[Trial],
    seconds: list[float],
    marks: list[int],
) -> Play:
    problem = benchmark.problem
    candidates = [Candidate(trial.architecture, trial.distillation) for trial in trials]
    feasible = [not problem.violations(candidate.architecture) for candidate in candidates]
    table = losses(problem.objectives, map(benchmark.truth, candidates))
    table[~np.array(feasible)] = np.inf
    first = np.minimum.accumulate(table[:, 0])
    metric = problem.objectives[0].metric
    known = [{metric: benchmark.target}, {metric: benchmark.best}]
    target, best = losses(problem.objectives[:1], known)[:, 0]
    hits = np.flatnonzero(first <= target)
    # A space that was exhausted before has nothing left to gain.
    marks = [min(mark, len(trials)) for mark in marks]
    several = len(problem.objectives) > 1
    return Play(
        problem=benchmark.name,
        strategy=strategy,
        seed=seed,
        found=int(hits[0]) + 1 if len(hits) else None,
        regret=tuple(float(first[mark - 1] - best) for mark in marks),
        volume=tuple(benchmark.front_volume(table[:mark]) for mark in marks) if several else (),
        seconds=tuple(seconds),
        repeats=len(candidates) - len({candidate.key for candidate in candidates}),
        feasible=sum(feasible) / len(feasible),
    )


# Tables


def _middle(values: Sequence[float], digits: int = 2) -> str:
    """The median and, in brackets, the quartiles; values that are missing are infinite."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method="nearest")
    texts = ["-" if np.isinf(x) else f"{x:.{digits}f}" for x in (middle, low, high)]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"


def row(plays: Sequence[Play]) -> list[str]:
    """The table's row of one strategy on one problem."""
    found = [play.found or np.inf for play in plays]
    rate = sum(play.found is not None for play in plays) / len(plays)
    values = [play.volume or play.regret for play in plays]
    fine = bool(plays[0].volume) or plays[0].problem == "digits"
    at_marks = [_middle(column, 3 if fine else 2) for column in zip(*values, strict=True)]
    every = [one for play in plays for one in play.seconds]
    return [
        plays[0].strategy,
        "" if plays[0].volume else f"{_middle(found, 0)} ({rate:.2f})",
        *at_marks,
        f"{statistics.median(every):.3f}",
        f"{max(every):.2f}",
        f"{statistics.mean(play.repeats for play in plays):.1f}",
        f"{statistics.mean(play.feasible for play in plays):.2f}",
    ]


def heading(problem: str, several: bool, evaluations: int) -> str:
    """The head of a problem's table."""
    name = "volume" if several else "regret"
    columns = ["strategy", "found (rate)"]
    columns += [f"{name} at {mark}" for mark in marks_of(evaluations)]
    columns += ["s per proposal", "slowest", "repeats", "feasible"]
    line = "| " + " | ".join(columns) + " |"
    return f"\n### {problem}\n\n{line}\n|{'---|' * len(columns)}"


def main() -> None:
    """Plays all searches and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--problems",
        default=",".join(PROBLEMS),
        help="names, or module:factory; default: %(default)s",
    )
    parser.add_argument(
        "--strategies",
        default="bayesian,trade,autokd,random,tpe,optuna:TPESampler,optuna:GPSampler",
        help="names of study files, module:factory or optuna:Class; default: %(default)s",
    )
    parser.add_argument("--seeds", type=_count, default=20, help="searches; default: %(default)s")
    parser.add_argument("--first-seed", type=int, default=0, help="fresh ones for a last check")
    parser.add_argument(
        "--evaluations", type=_count, default=100, help="of a search; default: %(default)s"
    )
    parser.add_argument("--workers", type=_count, default=1, help="evaluations at a time")
    parser.add_argument(
        "--affordable",
        type=_count,
        help="costs that a proposal may ask, 16 in a study; default: as many as it likes",
    )
    parser.add_argument(
        "--earlier", default="", help="problem of which `bayesian` knows 60 random candidates"
    )
    parser.add_argument(
        "--processes",
        type=_count,
        default=multiprocessing.cpu_count(),
        help="searches at a time; default: one for each core",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("../shared/data"),
        help="folder of the tables; default: %(default)s",
    )
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    _check(options, parser)
    run = partial(
        play,
        data=options.data,
        evaluations=options.evaluations,
        workers=options.workers,
        earlier=options.earlier,
        affordable=options.affordable,
    )
    print(
        f"{options.seeds} seeds, {options.evaluations} evaluations, {options.workers} at a time; "
        f"Python {platform.python_version()}, Optuna {optuna.__version__}"
    )
    every: list[Play] = []
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(options.processes) as pool:
        for problem in options.problems.split(","):
            for index, strategy in enumerate(options.strategies.split(",")):
                seeds = range(options.first_seed, options.first_seed + options.seeds)
                jobs = [(problem, strategy, seed) for seed in seeds]
                plays = pool.starmap(run, jobs, chunksize=1)
                if index == 0:
                    several = bool(plays[0].volume)
                    print(heading(problem, several, options.evaluations))
                print("| " + " | ".join(row(plays)) + " |")
                sys.stdout.flush()
                every += plays
                if options.json:
                    options.json.write_text(json.dumps([asdict(play) for play in every]))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _check(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Says what cannot be had before anything is played."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if options.earlier and options.strategies != "bayesian":
        parser.error(f"--earlier: expected --strategies bayesian, got {options.strategies}")
    earlier = [options.earlier.removeprefix("opposite:")] if options.earlier else []
    for problem in [*options.problems.split(","), *earlier]:
        if ":" not in problem and problem not in PROBLEMS:
            known = ", ".join(PROBLEMS)
            parser.error(f"expected module:factory, or problems among {known}; got {problem!r}")
        try:
            benchmark = make_problem(problem, options.data)
        except OSError as error:
            parser.error(f"--data: expected the folder of the tables: {error}")
        except (AttributeError, ImportError, ValueError) as error:
            parser.error(f"problem {problem!r}: {error}")
        if not isinstance(benchmark, Benchmark):
            parser.error(f"problem {problem!r}: expected a Benchmark, got {benchmark!r}")
        for strategy in options.strategies.split(","):
            try:
                made = make_strategy(strategy, benchmark, 0)
            except (AutokdError, AttributeError, ImportError, TypeError, ValueError) as error:
                ours = ", ".join(STRATEGIES)
                parser.error(
                    f"strategy {strategy!r}: expected {ours}, a sampler of Optuna, optuna:Class or "
                    f"module:factory; {error}"
                )
            if not callable(getattr(made, "suggest", None)):
                parser.error(f"strategy {strategy!r}: expected a Strategy, got {made!r}")


if __name__ == "__main__":
    main()
