"""What the search loop asks of the learning side: what a student costs, how good the teacher is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from autokd.budget import Cost
from autokd.cost import measure_cost, measure_latency
from autokd.evaluation.metrics import evaluate
from autokd.layers import bare

if TYPE_CHECKING:
    from autokd.data import Data, ImageSet
    from autokd.space import Architecture, SearchSpace
    from autokd.teacher import Teacher

Report = Callable[[int, Mapping[str, float]], None]


class StudyEvaluator:
    """Costs students, and makes and scores the teacher; lives in the coordinator.

    Args:
        space: builds the students.
        data: of the study.
        make_teacher: trains the teacher or loads it; called at most once.
        device: where latencies are measured.
        latency: whether students' latency is measured: only when a budget or an objective asks,
            since it takes far longer than the exact figures.
    """

    def __init__(
        self,
        space: SearchSpace,
        data: Data,
        make_teacher: Callable[[Report], Teacher],
        device: torch.device,
        *,
        latency: bool,
    ) -> None:
        self._space = space
        self._data = data
        self._make_teacher = make_teacher
        self._device = device
        self._latency = latency
        self._teacher: Teacher | None = None
        self._costs: dict[str, Cost] = {}

    def cost(self, architecture: Architecture) -> Cost:
        """The student's cost, without training; remembered per architecture."""
        cost = self._costs.get(architecture.key)
        if cost is None:
            cost = self._measure(architecture)
            self._costs[architecture.key] = cost
        return cost

    def prepare(self, report: Report) -> dict[str, float]:
        """Trains or loads the teacher.

        Returns:
            Its cost (latency included) and its `accuracy`, `loss` and `ece` on the validation
            split.
        """
        self._teacher = self._make_teacher(report)
        cost = network_cost(self._teacher.network, self._data, self._device)
        scores = self._scores(self._data.validation)
        return {**cost.figures(), **scores}

    def content(self) -> dict[str, str]:
        """Fingerprints of the data and the teacher. After `prepare` only."""
        if self._teacher is None:
            raise RuntimeError("the teacher is known after prepare() only")
        return {"data": self._data.fingerprint, "teacher": self._teacher.fingerprint}

    def test_teacher(self) -> dict[str, float]:
        """The teacher's `test_accuracy`, `test_loss` and `test_ece`. After `prepare` only."""
        scores = self._scores(self._data.test())
        return {f"test_{name}": value for name, value in scores.items()}

    def _scores(self, images: ImageSet) -> dict[str, float]:
        if self._teacher is None:
            raise RuntimeError("the teacher is scored after prepare() only")
        network = self._teacher.network.to(self._device)
        scores, _ = evaluate(network, images, self._data.task.classes)
        return scores

    def _measure(self, architecture: Architecture) -> Cost:
        with torch.device("meta"):
            network = self._space.build(architecture, self._data.task)
        cost = measure_cost(network, self._data.task)
        if not self._latency:
            return cost
        with torch.random.fork_rng(devices=[]):
            real = self._space.build(architecture, self._data.task)
        latency = measure_latency(real, self._data.task, self._device)
        return replace(cost, latency_ms=latency.median_ms)


def network_cost(network: nn.Module, data: Data, device: torch.device) -> Cost:
    """Cost and latency of a whole network, without its normalisation."""
    inner, task = bare(network, data.task)
    latency = measure_latency(inner, task, device)
    return replace(measure_cost(inner, task), latency_ms=latency.median_ms)
