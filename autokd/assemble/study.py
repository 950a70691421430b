"""A study file becomes a study that can run."""

from __future__ import annotations

import functools
from pathlib import Path

from torch import nn

from autokd.assemble.parts import Given, Parts, asks_for_latency
from autokd.assemble.search import earlier_trials, make_fidelity, make_problem, make_strategy
from autokd.assemble.workers import make_executor, make_teacher
from autokd.data import Data
from autokd.evaluation import StudyEvaluator
from autokd.space import SearchSpace
from autokd.spec import StudySpec
from autokd.store import Store, StudyRecord
from autokd.study import Observer, Study, recorded_study


def assemble_study(
    spec: StudySpec,
    *,
    storage: str | Path = "autokd.db",
    files: Path | None = None,
    teacher: nn.Module | None = None,
    data: Data | None = None,
    space: SearchSpace | None = None,
    observe: Observer | None = None,
    record: StudyRecord | None = None,
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
        record: the study in the record, where it is known; else it is found by its name, or made.

    Raises:
        ConflictError: the record has another study of this name.
        SpecError: something that the spec names is not to be had, or does not fit; lists all.
    """
    given = Given(teacher, data, space)
    parts = Parts.of(spec, given)
    store = Store.open(str(storage), files=files)
    earlier = earlier_trials(spec, store)
    record = record or recorded_study(store, spec)
    evaluator = StudyEvaluator(
        parts.space,
        parts.data,
        functools.partial(make_teacher, spec, parts.data, store.files, parts.device, given),
        parts.device,
        latency=asks_for_latency(spec),
    )
    problem = make_problem(spec, parts, evaluator.cost)
    return Study(
        record,
        store,
        strategy=make_strategy(spec, problem, earlier),
        fidelity=make_fidelity(spec.fidelity, problem),
        objectives=parts.objectives,
        budget=parts.budget,
        teacher_cost=parts.teacher_cost,
        spec=spec,
        evaluator=evaluator,
        make_executor=functools.partial(make_executor, spec, store.files, given, parts.device),
        admit=problem.admit,
        observe=observe,
    )
