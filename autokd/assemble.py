"""Names become objects here, and nowhere else: from a study file to a study that can run."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from torch import nn

from autokd import data as data_sets
from autokd.budget import Budget, Cost
from autokd.cost import measure_cost, measure_latency
from autokd.data import Augmentation, Data
from autokd.distillation import DistillationLoss, KDLoss, OfflineDistillation
from autokd.errors import (
    DataError,
    Mistake,
    SpecError,
    TeacherError,
    UnknownNameError,
    did_you_mean,
)
from autokd.evaluation import StudentRunner, StudyEvaluator
from autokd.executors import Executor, LocalExecutor
from autokd.layers import Normalised
from autokd.multiobjective import Objective
from autokd.space import Architecture, Choices, Condition, Domain, SearchSpace
from autokd.spec import (
    AutoKDSpec,
    AxSpec,
    BayesianSpec,
    CmaEsSpec,
    CustomDataSpec,
    DataSpec,
    DigitsSpec,
    DistillationSpec,
    EvolutionSpec,
    FidelitySpec,
    ImageFolderSpec,
    NpzSpec,
    NumberRange,
    OptunaSpec,
    RandomSpec,
    SMACSpec,
    SpaceSpec,
    StudySpec,
    TorchvisionSpec,
    TradeSpec,
    installed_spaces,
)
from autokd.store import Store
from autokd.strategies import (
    BayesianSearch,
    BOHBSearch,
    Fidelity,
    GainPerEpoch,
    OptunaSearch,
    Problem,
    RandomSearch,
    RegularizedEvolution,
    Strategy,
    SuccessiveHalving,
)
from autokd.strategies.optuna_search import hub_sampler
from autokd.study import Observer, Study, recorded_study
from autokd.task import Task
from autokd.teacher import (
    Teacher,
    TeacherOutputs,
    build_teacher_network,
    loaded_teacher,
    outputs_key,
    trained_teacher,
)
from autokd.trial import Trial, TrialKind

_GRACE_SECONDS = 600
"""A worker that is asked to stop may finish its epoch; a second Ctrl-C does not wait for it."""

_AFFORDABLE_COSTS = 16
"""A network is built for each, which takes some 20 ms."""

_LOSSES: Mapping[str, type[DistillationLoss]] = {"kd": KDLoss}


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


def assemble_study(
    spec: StudySpec,
    *,
    storage: str | Path = "autokd.db",
    files: Path | None = None,
    teacher: nn.Module | None = None,
    data: Data | None = None,
    space: SearchSpace | None = None,
    observe: Observer | None = None,
) -> Study:
    """The study that a spec describes: the recorded one of that name, or a new one.

    Args:
        spec: what `autokd.read_study` gave.
        storage: database, a path or an SQLAlchemy URL; made if it is missing.
        files: folder for checkpoints, logs and caches; by default beside the database.
        teacher: your own, in place of `teacher.model`: a module that takes pixels in [0, 1] and
            gives logits. Put a network that expects normalised images into
            `autokd.layers.Normalised`. It is frozen in place.
        data: your own, in place of `data`; see `autokd.data.from_arrays`.
        space: your own, in place of `space.name`.
        observe: called after each thing that happens.

    Raises:
        ConflictError: the record has another study of this name.
        DataError, TeacherError, UnknownNameError: something the spec names is not to be had.
    """
    given = Given(teacher, data, space)
    parts = Parts.of(spec, given)
    store = Store.open(str(storage), files=files)
    record = recorded_study(store, spec)
    evaluator = StudyEvaluator(
        parts.space,
        parts.data,
        functools.partial(make_teacher, spec, parts.data, store.files, parts.device, given),
        parts.device,
        latency=asks_for_latency(spec),
    )
    return Study(
        record,
        store,
        strategy=make_strategy(spec, parts, evaluator.cost, _earlier_trials(spec, store)),
        fidelity=_fidelity(spec.fidelity, parts.objectives),
        objectives=parts.objectives,
        budget=parts.budget,
        spec=spec,
        evaluator=evaluator,
        make_executor=functools.partial(_executor, spec, store.files, given, parts.device),
        observe=observe,
    )


@dataclass(frozen=True)
class Parts:
    """What the names in a spec stand for, as far as it can be known without training.

    Attributes:
        device: where students train.
        data: the three splits, on the device.
        space: builds the students.
        domain: what varies in them.
        teacher: the teacher's network, untrained unless it was given.
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
        """The parts of a spec."""
        device = _device(spec)
        data = (given.data or load_data(spec.data, spec.seed, device)).to(device)
        space = given.space or load_space(spec.space)
        if spec.final is not None and spec.final.draws and not space.draws:
            wrong = Mistake(
                "final.draws", f"expected 0: {space.name} is no generator that is drawn"
            )
            raise SpecError("the study", [wrong])
        teacher = given.teacher or _bare_teacher(spec, data)
        bare = teacher.network if isinstance(teacher, Normalised) else teacher
        cost = measure_cost(bare, data.task)
        if asks_for_latency(spec):
            cost = replace(cost, latency_ms=_latency(spec, given, data, device))
        budget = _budget(spec, cost)
        limit = int(budget.limits.get("parameters", cost.parameters))
        return cls(
            device=device,
            data=data,
            space=space,
            domain=space.domain(data.task, limit),
            teacher=bare,
            teacher_cost=cost,
            budget=budget,
            objectives=tuple(Objective(axis.metric, axis.direction) for axis in spec.objectives),
        )


def _bare_teacher(spec: StudySpec, data: Data) -> nn.Module:
    if spec.teacher.model == "custom":
        raise TeacherError(
            "teacher.model is 'custom', and no teacher was given",
            hint="pass teacher=... to autokd.assemble_study",
        )
    # Its weights come later, if at all: what it costs follows from its shape.
    with torch.device("meta"):
        return build_teacher_network(spec.teacher.model, data.task)


def _latency(spec: StudySpec, given: Given, data: Data, device: torch.device) -> float:
    """The teacher's, in milliseconds; what its weights are makes no difference."""
    teacher = given.teacher or build_teacher_network(spec.teacher.model, data.task)
    bare = teacher.network if isinstance(teacher, Normalised) else teacher
    return measure_latency(bare, data.task, device).median_ms


def _budget(spec: StudySpec, teacher: Cost) -> Budget:
    figures = teacher.figures()
    limits = {}
    for name in type(spec.budget).model_fields:
        quantity = getattr(spec.budget, name)
        if quantity is not None:
            limits[name] = quantity.resolve(figures.get(name, 0.0))
    return Budget(limits)


def asks_for_latency(spec: StudySpec) -> bool:
    """Whether the budget or an objective names the latency, which takes time to measure."""
    return spec.budget.latency_ms is not None or any(
        objective.metric == "latency_ms" for objective in spec.objectives
    )


def _device(spec: StudySpec) -> torch.device:
    wanted = spec.execution.device
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        wrong = Mistake("execution.device", "expected a GPU; torch sees none", "use auto or cpu")
        raise SpecError("the study", [wrong])
    return torch.device(wanted)


# Data, space, distillation, strategy


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


def load_space(spec: SpaceSpec) -> SearchSpace:
    """The search space that a spec names, with its options.

    Raises:
        UnknownNameError: no installed package has it.
        SpecError: it has no such option, or not with such a value.
    """
    spaces = installed_spaces()
    if spec.name == "custom":
        wrong = Mistake(
            "space.name",
            "expected an installed space, or an object with 'custom'; got 'custom' alone",
            "pass space=... to autokd.assemble_study",
        )
        raise SpecError("the study", [wrong])
    if spec.name not in spaces:
        raise UnknownNameError("search space", spec.name, spaces)
    make: Callable[..., SearchSpace] = spaces[spec.name].load()
    known = inspect.signature(make).parameters
    unknown = [
        Mistake(f"space.{name}", f"{spec.name} has no such option", did_you_mean(name, known))
        for name in spec.options
        if name not in known
    ]
    takes_any = any(option.kind is option.VAR_KEYWORD for option in known.values())
    if unknown and not takes_any:
        raise SpecError("the study", unknown)
    return make(**spec.options)


def describe_space(name: str) -> dict[str, Any]:
    """What varies in an installed space, for a task of 32x32 colour images and 10 classes.

    Returns:
        `name`, `summary` (first line of its documentation), `parameters` (`name`, `range` and
        `condition` of each that has a choice) and `options` (what the study file may set beside the
        name: `name` and `default` of each).
    """
    space = load_space(SpaceSpec(name=name))
    domain = space.domain(Task((3, 32, 32), 10), parameter_limit=100_000)
    return {
        "name": name,
        "summary": (space.__doc__ or name).strip().splitlines()[0],
        "parameters": [
            {
                "name": parameter,
                "range": _range(distribution),
                "condition": _condition(domain.conditions.get(parameter)),
            }
            for parameter, distribution in domain.parameters.items()
            if not distribution.single()
        ],
        "options": [
            {"name": option.name, "default": option.default}
            for option in inspect.signature(installed_spaces()[name].load()).parameters.values()
        ],
    }


def _range(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    step = f" in steps of {distribution.step:g}" if distribution.step not in (None, 1) else ""
    scale = ", log scale" if distribution.log else ""
    return f"{distribution.low:g} to {distribution.high:g}{step}{scale}"


def _condition(condition: Condition | None) -> str:
    if condition is None:
        return ""
    values = condition.values
    first, last = values[0], values[-1]
    if isinstance(first, int) and isinstance(last, int) and len(values) > 2:
        if values == tuple(range(first, last + 1)):
            return f"{condition.parent} is {first} to {last}"
    return f"{condition.parent} is {', '.join(map(str, values))}"


def distillation_domain(spec: DistillationSpec) -> Domain:
    """What is searched of the distillation: `loss.parameter` for every range in the spec."""
    return Domain(
        {
            f"{loss.name}.{field}": FloatDistribution(value.low, value.high, log=value.log)
            for loss in spec.losses
            for field, value in loss
            if isinstance(value, NumberRange)
        }
    )


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


def _fidelity(spec: FidelitySpec, objectives: Sequence[Objective]) -> Fidelity:
    if spec.promotion == "gain":
        return GainPerEpoch(spec.rungs, spec.eta, objectives)
    return SuccessiveHalving(spec.rungs, spec.eta, objectives, spec.brackets)


def _earlier_trials(spec: StudySpec, store: Store) -> list[list[Trial]]:
    """The records of the studies that a strategy is to learn from. Raises NotFoundError."""
    if not isinstance(spec.strategy, BayesianSpec):
        return []
    return [
        store.trials(store.study(name).id, TrialKind.SEARCH) for name in spec.strategy.warm_start
    ]


def make_strategy(
    spec: StudySpec,
    parts: Parts,
    cost: Callable[[Architecture], Cost],
    earlier: Sequence[Sequence[Trial]] = (),
) -> Strategy:
    """The strategy that a spec names.

    Args:
        spec: the study.
        parts: what its names stand for.
        cost: of a student; exact and cheap.
        earlier: records of the studies that it names for a warm start.

    Raises:
        SpecError, UnknownNameError: there is no such sampler, or not with these options.
    """
    problem = Problem(
        space=parts.space.name,
        draws=parts.space.draws,
        architecture=parts.domain,
        distillation=distillation_domain(spec.distillation),
        objectives=parts.objectives,
        violations=lambda architecture: parts.budget.violations(cost(architecture)),
        rungs=spec.fidelity.rungs,
        figures=lambda architecture: cost(architecture).figures(),
        affordable=_AFFORDABLE_COSTS,
    )
    match spec.strategy:
        case BayesianSpec(initial=initial):
            return BayesianSearch(problem, initial=initial, earlier=earlier)
        case TradeSpec(acquisition=acquisition):
            from autokd.strategies.trade import TRADE  # BoTorch takes seconds to load

            return TRADE(problem, acquisition)
        case AutoKDSpec(name="autokd"):
            return BOHBSearch(problem)
        case AutoKDSpec():
            return BayesianSearch(replace(problem, figures=lambda architecture: {}))
        case EvolutionSpec(population=population, sample=sample):
            return RegularizedEvolution(problem, population, sample)
        case CmaEsSpec(population=population):
            from autokd.strategies.cma import CMAES  # only this one needs its library

            return CMAES(problem, population)
        case SMACSpec(initial=initial):
            from autokd.strategies.smac_search import SMACSearch  # its library is optional

            return SMACSearch(problem, initial)
        case AxSpec(initial=initial):
            from autokd.strategies.ax_search import AxSearch  # its library is optional

            return AxSearch(problem, initial)
        case OptunaSpec(hub=str(package), sampler=sampler, options=options):
            return OptunaSearch(problem, hub_sampler(package, sampler), options)
        case OptunaSpec(name=name, sampler=sampler, options=options):
            return OptunaSearch(problem, sampler or name, options)
        case RandomSpec():
            return RandomSearch(problem)


# Teacher and workers


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
    device = _device(spec)
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


def _executor(spec: StudySpec, files: Path, given: Given, device: torch.device) -> Executor:
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
