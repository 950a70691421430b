"""What a study file means, said without training: sizes, budgets, feasible share, time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import nn

from autokd.assemble import (
    Given,
    Parts,
    asks_for_latency,
    make_problem,
    make_strategy,
    threads_of_worker,
    worker_count,
)
from autokd.budget import Cost, excess_in_words
from autokd.evaluation import StudyEvaluator
from autokd.seeding import rng_for
from autokd.space import Architecture
from autokd.spec import StudySpec
from autokd.strategies.halving import hyperband_sizes

_WARM_UP, _TIMED = 2, 5
"""Steps of training on random images, to estimate how long an epoch takes."""

_TIMED_IMAGES, _TIMED_PIXELS, _TIMED_SECONDS = 256, 2**22, 2.0
"""Images of such a step and pixels of them at most (more take longer in proportion); no step begins
after so long."""

_SAMPLING_SECONDS = 10.0
"""No sample is begun after so long; large graphs take a second each."""

_TIMED_SAMPLES = 25
"""Students whose latency is measured, where the study asks for it."""

_BESIDE_TRAINING = 1.35
"""Time that an epoch takes beside its training steps, validation mostly, as a factor."""


def check_study(
    spec: StudySpec,
    *,
    samples: int = 200,
    given: Given = Given(),
    report: Callable[[int], None] = lambda sampled: None,
) -> dict[str, Any]:
    """Samples the space and measures the teacher, without training either.

    Args:
        spec: the study.
        samples: architectures to sample, uniformly from the space's domain; at most 25 if the
            study asks for their latency, which takes time to measure, and fewer if they take long.
        given: objects in place of names.
        report: is told how many have been sampled, after each.

    Returns:
        `teacher`, `smallest`, `median`, `largest` (figures by name; students by parameters),
        `budget` (absolute), `feasible_share` in [0, 1], `samples` (how many it were), `nearest`
        (what the least violating sample violates, if none is feasible), `estimated_seconds` and
        `teacher_seconds`, `workers`.
    """
    parts = Parts.of(spec, given)
    # What they are made of is not needed; that they can be made is.
    make_strategy(spec, make_problem(spec, parts, lambda architecture: parts.teacher_cost))
    latency = asks_for_latency(spec)
    samples = min(samples, _TIMED_SAMPLES) if latency else samples
    sampled = []
    start = time.monotonic()
    for pair in _samples(parts, spec.seed, samples, latency=latency):
        sampled.append(pair)
        report(len(sampled))
        if time.monotonic() - start > _SAMPLING_SECONDS:
            break
    costs = sorted((cost for _, cost in sampled), key=lambda cost: cost.parameters)
    violations = [parts.budget.violations(cost) for cost in costs]
    feasible = [pair for pair in sampled if not parts.budget.violations(pair[1])]
    typical = (feasible or sampled)[0][0]
    teacher_seconds = _teacher_seconds(spec, parts, given)
    return {
        "study": spec.name,
        "teacher": parts.teacher_cost.figures(),
        "smallest": costs[0].figures(),
        "median": costs[len(costs) // 2].figures(),
        "largest": costs[-1].figures(),
        "budget": dict(parts.budget.limits),
        "feasible_share": len(feasible) / len(sampled),
        "samples": len(sampled),
        "nearest": None if feasible else _nearest(violations),
        "workers": worker_count(spec, parts.device),
        "teacher_seconds": round(teacher_seconds, 1),
        "estimated_seconds": round(teacher_seconds + _student_seconds(spec, parts, typical), 1),
    }


def _samples(
    parts: Parts, seed: int, samples: int, *, latency: bool
) -> Iterator[tuple[Architecture, Cost]]:
    rng = rng_for(seed, 0, "check")
    # The evaluator of the search itself, which needs no teacher for this.
    evaluator = StudyEvaluator(parts.space, parts.data, _no_teacher, parts.device, latency=latency)
    for choices in parts.domain.sample(rng, samples):
        draw = int(rng.integers(2**31)) if parts.space.draws else 0
        architecture = Architecture(parts.space.name, choices, draw)
        yield architecture, evaluator.cost(architecture)


def _no_teacher(report: object) -> NoReturn:
    raise AssertionError("a check trains no teacher")


def _nearest(violations: Sequence[Mapping[str, float]]) -> str:
    """The smallest violation that was found, in words."""
    least = min(violations, key=lambda violation: max(violation.values()))
    return f"the nearest has {excess_in_words(least)}"


def _student_seconds(spec: StudySpec, parts: Parts, typical: Architecture) -> float:
    """Search and final stage with all workers busy, from a few timed steps of one."""
    workers = worker_count(spec, parts.device)
    with torch.random.fork_rng(devices=[]):
        student = parts.space.build(typical, parts.data.task)
    steps = -(-len(parts.data.train) // spec.training.batch_size)
    with _threads(threads_of_worker(workers)):
        step = _seconds_per_step(student, spec.training.batch_size, parts)
    epoch = _BESIDE_TRAINING * steps * step / workers
    search = epoch * _search_epochs(spec)
    return min(search, spec.limits.seconds or search) + epoch * _final_epochs(spec)


def _teacher_seconds(spec: StudySpec, parts: Parts, given: Given) -> float:
    if spec.teacher.weights is not None or given.teacher is not None:
        return 0.0
    network = parts.teacher.to_empty(device="cpu")
    for tensor in network.state_dict().values():
        tensor.fill_(0.01)  # what lay in memory may be numbers that are slow to compute with
    steps = -(-len(parts.data.train) // spec.teacher.training.batch_size)
    step = _seconds_per_step(network, spec.teacher.training.batch_size, parts)
    return steps * step * spec.teacher.epochs


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """As many threads of torch as a worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds_per_step(network: nn.Module, batch_size: int, parts: Parts) -> float:
    """Median wall time of a forward and backward pass on random images."""
    batch_size = min(batch_size, len(parts.data.train))
    pixels = math.prod(parts.data.task.input_shape[1:])
    timed = max(1, min(batch_size, _TIMED_IMAGES, _TIMED_PIXELS // pixels))
    network = network.to(parts.device).train()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(timed, *parts.data.task.input_shape, generator=generator)
    labels = torch.randint(parts.data.task.classes, (timed,), generator=generator)
    images, labels = images.to(parts.device), labels.to(parts.device)

    def step() -> None:
        F.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]  # torch
        if parts.device.type == "cuda":
            torch.cuda.synchronize()

    seconds = [_timed(step)]
    while len(seconds) < _WARM_UP + _TIMED and sum(seconds) < _TIMED_SECONDS:
        seconds.append(_timed(step))
    return statistics.median(seconds) * batch_size / timed


def _timed(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _search_epochs(spec: StudySpec) -> float:
    """Epochs of a search in which one of eta trials passes each rung of its bracket."""
    rungs, eta = spec.fidelity.rungs, spec.fidelity.eta
    sizes = hyperband_sizes(len(rungs), eta)[: spec.fidelity.brackets]
    epochs = 0.0
    for first, size in enumerate(sizes):
        share, before = size / sum(sizes), 0
        for rung in rungs[first:]:
            epochs += share * (rung - before)
            share, before = share / eta, rung
    total = epochs * spec.limits.trials
    return min(total, spec.limits.epochs) if spec.limits.epochs else total


def _final_epochs(spec: StudySpec) -> int:
    """Epochs of the final stage, with the teacher and without."""
    final = spec.final
    return 2 * final.top * final.seeds * final.epochs if final else 0
