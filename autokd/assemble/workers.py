"""What a worker process needs to train students, and how many of them there are."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from autokd.assemble.parts import Given, device_of, load_data
from autokd.assemble.spaces import load_space
from autokd.data import Augmentation, Data
from autokd.distillation import DistillationLoss, KDLoss, OfflineDistillation
from autokd.evaluation import StudentRunner
from autokd.executors import Executor, LocalExecutor
from autokd.space import Choices
from autokd.spec import (
    DistillationSpec,
    NumberRange,
    StudySpec,
)
from autokd.teacher import (
    Teacher,
    TeacherOutputs,
    build_teacher_network,
    loaded_teacher,
    outputs_key,
    trained_teacher,
)

_GRACE_SECONDS = 600
"""A worker that is asked to stop may finish its epoch; a second Ctrl-C does not wait for it."""


_LOSSES: Mapping[str, type[DistillationLoss]] = {"kd": KDLoss}


def make_scheme(
    spec: DistillationSpec, label_smoothing: float, choices: Choices
) -> OfflineDistillation:
    """The distillation of one candidate.

    Args:
        spec: fixed numbers and ranges.
        label_smoothing: of the task's loss.
        choices: a value for each range, by `loss.parameter`.
    """
    losses = []
    for loss in spec.losses:
        values = {
            field: choices[f"{loss.name}.{field}"] if isinstance(value, NumberRange) else value
            for field, value in loss
            if field != "name"
        }
        weight = float(values.pop("weight"))
        losses.append((loss.name, weight, _LOSSES[loss.name](**values)))
    return OfflineDistillation(losses, spec.task_weight, label_smoothing)


def make_teacher(
    spec: StudySpec,
    data: Data,
    files: Path,
    device: torch.device,
    given: Given,
    report: Callable[[int, Mapping[str, float]], None] | None = None,
) -> Teacher:
    """The teacher: given, loaded from its weights, trained, or taken from the cache."""
    if given.teacher is not None:
        return Teacher(given.teacher.to(device))
    build = functools.partial(build_teacher_network, spec.teacher.model, data.task)
    if spec.teacher.weights is not None:
        return loaded_teacher(build, data, spec.teacher, device)
    return trained_teacher(build, data, spec.teacher, spec.seed, files / "teachers", device, report)


def make_runner(spec: StudySpec, files: Path, given: Given) -> StudentRunner:
    """What a worker process runs attempts with; called once in each worker."""
    device = device_of(spec)
    data = (given.data or load_data(spec.data, spec.seed, device)).to(device)
    teacher = make_teacher(spec, data, files, device, given)
    key = outputs_key(teacher.fingerprint, data.fingerprint, data.augmentation, spec.seed)
    outputs = TeacherOutputs(
        teacher,
        data.train,
        Augmentation(data.augmentation, len(data.train), spec.seed),
        files / "teacher-outputs" / key,
        spec.distillation.teach_once.memory_limit.amount,
        device,
        classes=data.task.classes,
    )
    return StudentRunner(
        given.space or load_space(spec.space),
        data,
        functools.partial(make_scheme, spec.distillation, spec.training.label_smoothing),
        spec.training,
        outputs,
        device,
        spec.seed,
    )


def make_executor(spec: StudySpec, files: Path, given: Given, device: torch.device) -> Executor:
    """Starts the workers."""
    workers = worker_count(spec, device)
    return LocalExecutor(
        functools.partial(make_runner, spec, files, given),
        workers,
        lease_seconds=spec.execution.lease_seconds,
        threads=threads_of_worker(workers),
        grace_seconds=_GRACE_SECONDS,
    )


def worker_count(spec: StudySpec, device: torch.device) -> int:
    """Workers side by side: as the spec says, else one per core, or one for the GPU."""
    return spec.execution.workers or (1 if device.type == "cuda" else _cores())


def threads_of_worker(workers: int) -> int:
    """Threads of one worker: as OMP_NUM_THREADS says, else an equal share of the cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else max(1, _cores() // workers)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
