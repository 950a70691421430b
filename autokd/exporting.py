"""From the record to a student's folder and back: which student, which weights, which split."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from autokd.assemble import load_data, load_space
from autokd.budget import Budget, Cost
from autokd.cost import measure_latency
from autokd.data import Data
from autokd.errors import NotFoundError
from autokd.evaluation import CheckpointError, restore_student
from autokd.export import (
    DESCRIPTION,
    StudentDescription,
    read_description,
    read_student,
    write_student,
)
from autokd.layers import Normalised
from autokd.multiobjective import ParetoFront
from autokd.report import final_rows, objectives_of
from autokd.space import SearchSpace
from autokd.spec import SpaceSpec, read_study
from autokd.store import Store, StudyRecord
from autokd.trial import Trial, TrialKind, TrialState

_CPU = torch.device("cpu")


def export_student(
    store: Store,
    study: str | int,
    folder: Path | str,
    *,
    trial: int | None = None,
    limits: Mapping[str, float] | None = None,
    formats: Sequence[str] = ("onnx", "safetensors"),
    data: Data | None = None,
    space: SearchSpace | None = None,
    recorded: bool = True,
) -> dict[str, Any]:
    """Writes a student of a study into a folder, verified.

    A candidate that was retrained in the final stage is exported with the weights of its seed of
    best validation accuracy, and scored on the test split; another one with the weights of its
    search trial, scored on the validation split.

    Args:
        store: holds the study.
        study: its name or number.
        folder: made if missing.
        trial: number of a trial; None for the best student.
        limits: with the best student: largest allowed figures, beside the study's own budget.
        formats: of `autokd.export.FORMATS`.
        data: in place of the spec's, for a study with data of its own.
        space: in place of the spec's, likewise.
        recorded: whether the files are to be artefacts of the study.

    Returns:
        What `student.json` holds.

    Raises:
        NotFoundError: no such study or trial, or it has no weights yet.
        NothingFeasibleError: no finished student within the limits.
        VerificationError: a file computes something else than the student.
    """
    folder = Path(folder)
    record = store.study(study)
    trials = store.trials(record.id)
    if trial is None:
        found = _best(record, trials, Budget(dict(limits or {})))
    else:
        found = store.trial(record.id, trial)
    source = _weights_of(found, trials)
    spec = read_study(record.spec)
    data = data or load_data(spec.data, spec.seed, _CPU)
    assert source.checkpoint is not None  # _weights_of gives only trials that have one
    try:
        student = restore_student(
            space or load_space(spec.space),
            source.architecture,
            data.task,
            data.mean,
            data.std,
            record.folder / source.checkpoint,
        )
    except CheckpointError as error:
        raise NotFoundError(
            f"the weights of trial {found.number} are not to be had: {error.message}",
            hint="export another trial, or search again under another name",
        ) from error
    # On this machine's CPU, where the student is verified; the teacher's is of the study's device.
    latency = measure_latency(student.network, data.task, _CPU)
    cost = dataclasses.replace(source.cost, latency_ms=latency.median_ms)
    written = write_student(
        student,
        _describe(record, found, source, cost, trials, data),
        folder,
        formats=formats,
        images=data.validation if source.kind is TrialKind.SEARCH else data.test(),
    )
    if recorded:
        _remember(store, record, found, folder, written)
    return written


def load_student(folder: Path | str, *, space: SearchSpace | None = None) -> Normalised:
    """The student in a folder that `autokd export` wrote, without the database.

    Args:
        folder: holds `student.json` and `student.safetensors`.
        space: the search space, if the student was found in one of your own.

    Returns:
        An `nn.Module` in eval mode on the CPU; takes pixels in [0, 1] of shape
        (n, channels, height, width), gives logits (n, classes).

    Raises:
        NotFoundError: the folder holds no student.
        VerificationError: a file is damaged.
        UnknownNameError: the package with its search space is not installed.
    """
    folder = Path(folder)
    if space is None:
        name = read_description(folder)["architecture"]["space"]
        space = load_space(SpaceSpec(name=name))
    return read_student(folder, space)


def _best(record: StudyRecord, trials: Sequence[Trial], limits: Budget) -> Trial:
    """The retrained student of best validation accuracy within the limits, else the front's."""
    by_number = {t.number: t for t in trials if t.kind is TrialKind.SEARCH}
    for row in final_rows(record, trials):
        found = by_number[row["trial"]]
        if not limits.violations(found.cost):
            return found
    return ParetoFront.from_trials(trials, objectives_of(record)).best(limits)


def _weights_of(trial: Trial, trials: Sequence[Trial]) -> Trial:
    """The trial whose checkpoint to ship: the best retraining of a search trial, else itself."""
    finals = [
        other
        for other in trials
        if trial.kind is TrialKind.SEARCH
        and other.kind is TrialKind.FINAL
        and other.candidate == trial.candidate
        and other.state is TrialState.COMPLETE
        and other.checkpoint is not None
    ]
    if finals:
        return max(finals, key=lambda other: (other.epochs, other.figures["accuracy"]))
    if trial.checkpoint is None or not trial.evaluations:
        raise NotFoundError(
            f"trial {trial.number} is {trial.state.value} and has no trained weights",
            hint="`autokd study show` lists the trials and how far each got",
        )
    return trial


def _describe(
    record: StudyRecord,
    found: Trial,
    source: Trial,
    cost: Cost,
    trials: Sequence[Trial],
    data: Data,
) -> StudentDescription:
    tested = source.kind is not TrialKind.SEARCH
    metrics = {"validation_accuracy": source.figures["accuracy"]}
    if tested:
        metrics |= {
            name: source.figures[name] for name in ("test_accuracy", "test_loss", "test_ece")
        }
        rows = {row["candidate"]: row for row in final_rows(record, trials)}
        # A longer search may have retrained other candidates since.
        means = rows.get(found.candidate, {})
        metrics |= {
            f"mean_{name}": means[name]
            for name in ("test_accuracy", "test_accuracy_sd", "baseline_test_accuracy")
            if name in means
        }
    return StudentDescription(
        study=record.name,
        trial=found.number,
        architecture=source.architecture,
        distillation=source.distillation,
        task=data.task,
        mean=data.mean,
        std=data.std,
        cost=cost,
        metrics=metrics,
        split="test" if tested else "validation",
        recorded_accuracy=source.figures["test_accuracy" if tested else "accuracy"],
        teacher=record.teacher or {},
        spec=record.spec,
    )


def _remember(
    store: Store, record: StudyRecord, found: Trial, folder: Path, written: Mapping[str, Any]
) -> None:
    """Records the files as artefacts of the study."""
    for file in written["files"]:
        store.add_artifact(
            record.id,
            kind="export",
            path=str((folder / file["name"]).resolve()),
            sha256=file["sha256"],
            size_bytes=file["bytes"],
            trial=found.number,
            notes={"description": str((folder / DESCRIPTION).resolve())},
        )
