"""What the search loop is told about students and the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from autokd.cost import measure_cost
from autokd.data import Data, TensorImages
from autokd.evaluation import StudyEvaluator, evaluate
from autokd.evaluation.evaluator import network_cost
from autokd.layers import Normalised
from autokd.space import Architecture, Domain
from autokd.spec import AugmentationSpec
from autokd.task import Task
from autokd.teacher import Teacher

torch.set_num_threads(1)

TASK = Task((1, 4, 4), classes=2)
CPU = torch.device("cpu")


class Space:
    """One linear layer; notes on which device it is built."""

    name = "fake"
    draws = False

    def __init__(self) -> None:
        self.built: list[str] = []

    def domain(self, task: Task, parameter_limit: int) -> Domain:
        return Domain({})

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        linear = nn.Linear(16, int(architecture.choices["width"]))
        self.built.append(linear.weight.device.type)
        return nn.Sequential(nn.Flatten(), linear, nn.Linear(linear.out_features, task.classes))


def split(n: int, first: int) -> TensorImages:
    pixels = (torch.arange(n * 16).reshape(n, 1, 4, 4) * 7 + first).to(torch.uint8)
    return TensorImages(pixels, torch.arange(n) % 2)


def make_data() -> Data:
    return Data(
        task=TASK,
        train=split(8, 0),
        validation=split(6, 1),
        mean=(0.5,),
        std=(0.5,),
        augmentation=AugmentationSpec(),
        fingerprint="0",
        name="fake",
        read_test=lambda: split(10, 2),
    )


def make_teacher(report: Any) -> Teacher:
    report(1, {"loss": 0.5})
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(16, 2, bias=False)
    nn.init.normal_(linear.weight, generator=generator)
    return Teacher(Normalised(nn.Sequential(nn.Flatten(), linear), (0.5,), (0.5,)))


def student(width: int) -> Architecture:
    return Architecture("fake", {"width": width})


def test_a_student_is_costed_once_and_never_given_memory() -> None:
    space = Space()
    evaluator = StudyEvaluator(space, make_data(), make_teacher, CPU, latency=False)
    cost = evaluator.cost(student(3))
    assert cost == evaluator.cost(student(3))
    assert cost.parameters == 16 * 3 + 3 + 3 * 2 + 2
    assert cost.latency_ms is None
    assert evaluator.cost(student(4)).parameters > cost.parameters
    assert space.built == ["meta", "meta"]


def test_latency_is_measured_on_request_beside_the_exact_figures() -> None:
    plain = StudyEvaluator(Space(), make_data(), make_teacher, CPU, latency=False).cost(student(3))
    timed = StudyEvaluator(Space(), make_data(), make_teacher, CPU, latency=True).cost(student(3))
    assert timed.latency_ms is not None and timed.latency_ms > 0
    assert {**timed.figures(), "latency_ms": 0} == {**plain.figures(), "latency_ms": 0}


def test_the_teacher_is_made_reported_costed_and_scored() -> None:
    data, told = make_data(), []

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        told.append((epoch, metrics))

    evaluator = StudyEvaluator(Space(), data, make_teacher, CPU, latency=False)
    figures = evaluator.prepare(report)
    assert told == [(1, {"loss": 0.5})]
    network = make_teacher(report).network
    assert isinstance(network, Normalised)
    cost = measure_cost(network.network, TASK).figures()
    assert {name: figures[name] for name in cost} == cost
    scores, _ = evaluate(network, data.validation, TASK.classes)
    assert {name: figures[name] for name in scores} == scores
    assert figures.keys() == {*cost, *scores, "latency_ms"}
    tested = evaluator.test_teacher()
    expected, _ = evaluate(network, data.test(), TASK.classes)
    assert tested == {f"test_{name}": value for name, value in expected.items()}


def test_a_teacher_that_repeats_grey_images_is_costed_with_the_channels_it_takes() -> None:
    colour = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Flatten(), nn.Linear(16, TASK.classes))
    network = Normalised(colour, [0.5] * 3, [1.0] * 3)
    assert network_cost(network, make_data(), CPU).macs == 16 * 3 + 16 * TASK.classes


def test_a_teacher_must_be_prepared_before_it_is_tested() -> None:
    evaluator = StudyEvaluator(Space(), make_data(), make_teacher, CPU, latency=False)
    with pytest.raises(RuntimeError, match="prepare"):
        evaluator.test_teacher()
