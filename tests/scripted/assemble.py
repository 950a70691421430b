"""Stands in for `autokd.assemble`: a study whose epochs take some milliseconds and no torch.

What happens is written in the study's name: `deadly` kills its own process whenever it begins, and
`stumbling` its first time only; in `failing` the second trial fails until it is retried.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autokd.budget import Budget, Cost
from autokd.executors import LocalExecutor, Report
from autokd.files import write_atomically
from autokd.space import Architecture
from autokd.trial import CHECKPOINT, Attempt, Evaluation, FailureClass, TrialFailed

if TYPE_CHECKING:
    from autokd.space import Domain
    from autokd.spec import StudySpec
    from autokd.store import StudyRecord
    from autokd.study import Study
    from autokd.trial import Suggestion

_EPOCH_SECONDS = float(os.environ.get("AUTOKD_SCRIPTED_EPOCH_SECONDS", "0.02"))


class Runner:
    """Trains as `StudentRunner` does, as far as the record can tell."""

    def __init__(self, name: str) -> None:
        self._name = name

    def run(self, attempt: Attempt, report: Report) -> Evaluation:
        """From the checkpoint to the end of the rung."""
        if "failing" in self._name and attempt.trial == 1 and attempt.folder.name == "attempt-1":
            raise TrialFailed(FailureClass.NAN, "the loss is not finite")
        epoch = json.loads(attempt.checkpoint.read_text()) if attempt.checkpoint else 0
        for known in range(attempt.recorded + 1, epoch + 1):
            report(known, _metrics(attempt, known))
        while epoch < attempt.epochs:
            time.sleep(_EPOCH_SECONDS)  # training: it takes time, and no processor
            epoch += 1
            _save(attempt, epoch)
            report(epoch, _metrics(attempt, epoch))
        _save(attempt, epoch)
        return Evaluation(epoch, _metrics(attempt, epoch))


def _save(attempt: Attempt, epoch: int) -> None:
    write_atomically(attempt.folder / CHECKPOINT, [json.dumps(epoch).encode()])


def _metrics(attempt: Attempt, epoch: int) -> dict[str, float]:
    """Rises with epochs; what else there is follows from the student and its seed."""
    key = f"{attempt.architecture.key} {attempt.seed}"
    noise = hashlib.sha256(key.encode()).digest()[0] / 255
    return {"accuracy": 0.5 + 0.4 * noise * (1 - 0.9**epoch), "loss": 2.0 * 0.9**epoch}


class Evaluator:
    """Sizes follow from the width; the teacher has 10,000 parameters."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder

    def cost(self, architecture: Architecture) -> Cost:
        """Without building anything."""
        parameters = 1 + round(999 * float(architecture.choices["width"]))
        return Cost(parameters, 4 * parameters, 100, 10 * parameters)

    def prepare(self, report: Callable[[int, Mapping[str, float]], None]) -> dict[str, float]:
        """The teacher is there already."""
        been_here = self._folder / "been_here"
        if "deadly" in self._name or ("stumbling" in self._name and not been_here.exists()):
            been_here.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"accuracy": 0.95}

    def content(self) -> dict[str, str]:
        """Never changes."""
        return {"data": "none", "teacher": "none"}

    def test_teacher(self) -> dict[str, float]:
        """Its accuracy on the test split."""
        return {"test_accuracy": 0.94}


def admit_candidate(
    spec: StudySpec, task_of: Callable[[object], object], request: Mapping[str, object]
) -> Suggestion:
    """The candidate that somebody names."""
    from autokd.space import Domain
    from autokd.strategies import named_candidate

    return named_candidate(request, "scripted", _domain(), Domain({}), draws=False)


def _domain() -> Domain:
    from optuna.distributions import FloatDistribution

    from autokd.space import Domain

    return Domain({"width": FloatDistribution(0, 1)})


def assemble_study(
    spec: StudySpec,
    *,
    storage: str | Path,
    files: Path | None = None,
    record: StudyRecord | None = None,
) -> Study:
    """The study that a spec describes, but for what it trains."""
    from autokd.multiobjective import Objective
    from autokd.space import Domain
    from autokd.store import Store
    from autokd.strategies import Problem, RandomSearch, SuccessiveHalving
    from autokd.study import Study, recorded_study

    store = Store.open(str(storage), create=False, files=files)
    record = record or recorded_study(store, spec)
    evaluator = Evaluator(spec.name, record.folder)
    budget = Budget({"parameters": 900})  # one in ten is over it
    objectives = tuple(Objective(axis.metric, axis.direction) for axis in spec.objectives)
    problem = Problem(
        space="scripted",
        draws=False,
        architecture=_domain(),
        distillation=Domain({}),
        objectives=objectives,
        violations=lambda architecture: {},  # so that what is over the budget is recorded, too
        rungs=spec.fidelity.rungs,
    )

    return Study(
        record,
        store,
        strategy=RandomSearch(problem),
        fidelity=SuccessiveHalving(spec.fidelity.rungs, spec.fidelity.eta, objectives),
        objectives=objectives,
        budget=budget,
        teacher_cost=Cost(10_000, 40_000, 500, 100_000),
        spec=spec,
        evaluator=evaluator,
        make_executor=lambda: LocalExecutor(
            functools.partial(Runner, spec.name),
            spec.execution.workers or 1,
            lease_seconds=spec.execution.lease_seconds,
            threads=1,
        ),
        admit=problem.admit,
    )
