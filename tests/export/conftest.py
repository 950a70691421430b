"""A student that costs nothing to make, and what is known of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import nn

from autokd.budget import Cost
from autokd.data import TensorImages
from autokd.export import StudentDescription
from autokd.layers import Normalised
from autokd.space import Architecture, Choices, Domain
from autokd.spec import read_study
from autokd.task import Task

TASK = Task((1, 6, 6), 3)


class Space:
    """One convolution of `width` channels, with the batch normalisation that exporters fold."""

    name = "fake"
    draws = False

    def domain(self, task: Task, parameter_limit: int) -> Domain:
        return Domain({})

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        width = int(architecture.choices["width"])
        return nn.Sequential(
            nn.Conv2d(1, width, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * width, task.classes),
        )


@dataclasses.dataclass(frozen=True)
class Example:
    """A student with its description and the split that it is scored on."""

    space: Space
    student: Normalised
    description: StudentDescription
    images: TensorImages


@pytest.fixture
def images() -> TensorImages:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (40, *TASK.input_shape), generator=generator)
    return TensorImages(pixels.to(torch.uint8), torch.arange(40) % 3)


@pytest.fixture
def example(images: TensorImages) -> Example:
    space = Space()
    choices: Choices = {"width": 4}
    architecture = Architecture("fake", choices, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        student = Normalised(space.build(architecture, TASK), (0.5,), (0.25,))
        # Running statistics that differ from the initial ones, as after training.
        student.train()(torch.rand(64, *TASK.input_shape))
    student.eval()
    with torch.no_grad():
        predicted = student(images.images.float() / 255).argmax(1)
    accuracy = float((predicted == images.labels).float().mean())
    description = StudentDescription(
        study="made-up",
        trial=7,
        architecture=architecture,
        distillation={"kd.weight": 0.5},
        task=TASK,
        mean=(0.5,),
        std=(0.25,),
        cost=Cost(95, 400, 700, 600),
        metrics={"validation_accuracy": 0.4, "test_accuracy": accuracy},
        split="test",
        recorded_accuracy=accuracy,
        teacher={"parameters": 1000, "accuracy": 0.9, "test_accuracy": 0.88},
        spec=read_study(
            {
                "name": "made-up",
                "data": {"name": "digits"},
                "teacher": {"model": "resnet20"},
                "space": {"name": "hierarchical_graph"},
                "distillation": {"losses": [{"name": "kd"}]},
                "fidelity": {"min_epochs": 1, "max_epochs": 9},
            }
        ).model_dump(mode="json"),
    )
    return Example(space, student, description, images)


Change = Callable[..., StudentDescription]


@pytest.fixture
def described(example: Example) -> Change:
    """The example's description with other fields."""
    return lambda **fields: dataclasses.replace(example.description, **fields)
