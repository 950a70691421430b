"""What the names in a study file stand for, as far as it can be known without training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from autokd import data as data_sets
from autokd.assemble.spaces import load_space
from autokd.budget import Budget, Cost
from autokd.cost import measure_cost, measure_latency
from autokd.data import Data
from autokd.errors import (
    DataError,
    Mistake,
    Mistakes,
    SpecError,
    TeacherError,
)
from autokd.layers import bare
from autokd.multiobjective import Objective
from autokd.space import Domain, SearchSpace
from autokd.spec import (
    CustomDataSpec,
    DataSpec,
    DigitsSpec,
    ImageFolderSpec,
    NpzSpec,
    OptunaSpec,
    StudySpec,
    TorchvisionSpec,
)
from autokd.strategies.optuna_search import sampler_class
from autokd.task import Task
from autokd.teacher import (
    build_teacher_network,
    input_channels,
    normalised_teacher,
    read_weights,
)

_MOST_PARAMETERS = 10**9
"""Of a student, whatever its budget says: larger ones are not even built to be costed."""

_ANY_TASK = Task((3, 224, 224), 10)


@dataclass(frozen=True)
class Given:
    """Objects that a Python caller brings in place of names; they travel to the workers.

    Attributes:
        teacher: takes pixels in [0, 1] (see `autokd.layers.Normalised`), gives logits.
        data: training, validation and test images.
        space: the search space.
    """

    teacher: nn.Module | None = None
    data: Data | None = None
    space: SearchSpace | None = None


@dataclass(frozen=True)
class Parts:
    """What the names in a spec stand for, as far as it can be known without training.

    Attributes:
        device: where students train.
        data: the three splits, on the device.
        space: builds the students.
        domain: what varies in them.
        teacher: the teacher's network with its normalisation, without values unless it was given.
        teacher_cost: with its latency only if the study asks for it.
        budget: in absolute numbers.
        objectives: axes of the front.
    """

    device: torch.device
    data: Data
    space: SearchSpace
    domain: Domain
    teacher: nn.Module
    teacher_cost: Cost
    budget: Budget
    objectives: tuple[Objective, ...]

    @classmethod
    def of(cls, spec: StudySpec, given: Given = Given()) -> Parts:
        """The parts of a spec.

        Raises:
            SpecError: something that the spec names is not to be had, or does not fit; lists all.
        """
        mistakes = Mistakes()
        device, data, space, teacher = torch.device("cpu"), given.data, given.space, given.teacher
        with mistakes.at("execution.device"):
            device = device_of(spec)
        with mistakes.at(_place_of(spec.data)):
            data = (data or load_data(spec.data, spec.seed, device)).to(device)
        with mistakes.at("space.name"):
            space = space or load_space(spec.space)
            _refuse_draws(spec, space)
        with mistakes.at("teacher.model"):
            if teacher is None:
                teacher = _teacher_network(spec, data, torch.device("meta"))
        if spec.teacher.weights is not None and given.teacher is None:
            fits = bare(teacher, data.task)[0] if data and teacher is not None else None
            with mistakes.at("teacher.weights"):
                read_weights(spec.teacher.weights, fits)
        if isinstance(spec.strategy, OptunaSpec) and spec.strategy.hub is None:
            with mistakes.at("strategy.sampler"):
                sampler_class(spec.strategy.sampler or spec.strategy.name)
        mistakes.report()
        cost = measure_cost(*bare(teacher, data.task))
        if asks_for_latency(spec):
            cost = replace(cost, latency_ms=_latency(spec, given, data, device))
        budget = _budget(spec, cost)
        return cls(
            device=device,
            data=data,
            space=space,
            domain=space.domain(data.task, parameter_limit(spec, cost)),
            teacher=teacher,
            teacher_cost=cost,
            budget=budget,
            objectives=tuple(Objective(axis.metric, axis.direction) for axis in spec.objectives),
        )


def _refuse_draws(spec: StudySpec, space: SearchSpace) -> None:
    if spec.final is not None and spec.final.draws and not space.draws:
        wrong = Mistake("final.draws", f"expected 0: {space.name} is no generator that is drawn")
        raise SpecError("the study", [wrong])


def _place_of(data: DataSpec) -> str:
    """Path of the field that says where the images lie, or else what they are."""
    return "data." + next(field for field in ("path", "root", "name") if hasattr(data, field))


def _teacher_network(spec: StudySpec, data: Data | None, device: torch.device) -> nn.Module:
    """Its weights come later, if at all: what it costs follows from its shape.

    Without data it is made for images that any network can take: its name is known or not.
    """
    if spec.teacher.model == "custom":
        raise TeacherError(
            "teacher.model is 'custom', and no teacher was given",
            hint="pass teacher=... to autokd.assemble_study",
        )
    with device:
        if data is None:
            return build_teacher_network(spec.teacher.model, _ANY_TASK)
        network = build_teacher_network(spec.teacher.model, data.task)
        return normalised_teacher(network, spec.teacher, data)


def teacher_cost(spec: StudySpec, task: Task) -> Cost | None:
    """What the teacher of a spec costs on a task, from its shape alone; None if it is custom.

    Raises:
        UnknownNameError, TeacherError: there is no such network, or not for such images.
    """
    if spec.teacher.model == "custom":
        return None
    with torch.device("meta"):
        network = build_teacher_network(spec.teacher.model, task)
    channels = input_channels(spec.teacher.model, task)
    return measure_cost(network, replace(task, input_shape=(channels, *task.input_shape[1:])))


def _latency(spec: StudySpec, given: Given, data: Data, device: torch.device) -> float:
    """The teacher's, in milliseconds; what its weights are makes no difference."""
    teacher = given.teacher or _teacher_network(spec, data, torch.device("cpu"))
    return measure_latency(*bare(teacher, data.task), device).median_ms


def _budget(spec: StudySpec, teacher: Cost) -> Budget:
    figures = teacher.figures()
    limits = {}
    for name in type(spec.budget).model_fields:
        quantity = getattr(spec.budget, name)
        if quantity is not None:
            limits[name] = quantity.resolve(figures.get(name, 0.0))
    return Budget(limits)


def parameter_limit(spec: StudySpec, teacher: Cost) -> int:
    """How many parameters the space makes use of: those of the budget, or else the teacher's."""
    limit = spec.budget.parameters
    most = limit.resolve(teacher.parameters) if limit is not None else teacher.parameters
    return int(min(most, _MOST_PARAMETERS))


def asks_for_latency(spec: StudySpec) -> bool:
    """Whether the budget or an objective names the latency, which takes time to measure."""
    return spec.budget.latency_ms is not None or any(
        objective.metric == "latency_ms" for objective in spec.objectives
    )


def device_of(spec: StudySpec) -> torch.device:
    """Where students train. Raises SpecError if there is no GPU and one is wanted."""
    wanted = spec.execution.device
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        wrong = Mistake("execution.device", "expected a GPU; torch sees none", "use auto or cpu")
        raise SpecError("the study", [wrong])
    return torch.device(wanted)


def load_data(spec: DataSpec, seed: int, device: torch.device) -> Data:
    """The data set that a spec names, split by the study's seed, on a device."""
    common: dict[str, Any] = {
        "validation": spec.validation,
        "seed": seed,
        "augmentation": spec.augmentation,
        "train_limit": spec.train_limit,
        "device": device,
        "memory_limit": int(spec.memory_limit.amount),
    }
    match spec:
        case DigitsSpec():
            return data_sets.digits(**common)
        case NpzSpec():
            return data_sets.npz(spec.path, **common)
        case ImageFolderSpec():
            return data_sets.image_folder(spec.root, spec.image_size, **common)
        case TorchvisionSpec():
            return data_sets.torchvision_set(
                spec.name,
                spec.root,
                download=spec.download,
                image_size=spec.image_size,
                **common,
            )
        case CustomDataSpec():
            raise DataError(
                "data.name is 'custom', and no data was given",
                hint="pass data=... to autokd.assemble_study",
            )
