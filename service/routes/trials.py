"""Trials: how far each got, its learning curves, its logs."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi import Path as PathParameter
from pydantic import Field

from autokd.analysis import down_sample
from autokd.errors import ConflictError, NotFoundError
from autokd.executors import LOG
from autokd.report import epochs_done
from autokd.store import AttemptRecord, Store, StudyRecord
from autokd.trial import Trial, TrialKind, TrialState
from service.access import Caller, Launcher, Reader, within_quota
from service.context import StoreOf, StudiesOf, StudyOf
from service.logs import printable
from service.names import Kind, id_of
from service.once import OnceRoute
from service.paging import PagingOf
from service.problems import RESPONSES
from service.redaction import redact
from service.schemas import Choice, Figures, Moment, Operation, Page, Told
from service.showing import operation_json

router = APIRouter(tags=["trials"], responses=RESPONSES, route_class=OnceRoute)

TrialNumber = Annotated[int, PathParameter(ge=0, le=2**31 - 1, description="Number of the trial.")]

_MOST_LOG_BYTES = 2**20


class TrialEvaluation(Told):
    """Figures at the end of a rung."""

    epochs: int
    metrics: Figures


class TrialFailure(Told):
    """Why a trial failed."""

    class_: str = Field(alias="class")
    message: str


class TrialSummary(Told):
    """One evaluation of a candidate."""

    number: int
    kind: str
    candidate: int
    state: str
    repeat: int
    epochs: int = Field(description="Where the current rung ends.")
    epochs_done: int
    figures: Figures
    evaluations: list[TrialEvaluation]
    failure: TrialFailure | None
    choices: dict[str, Choice]
    distillation: dict[str, Choice]
    notes: dict[str, Any]


class AttemptSummary(Told):
    """One lease of a worker on a trial."""

    n: int
    state: str
    started: Moment
    ended: Moment | None
    message: str


class CalibrationBin(Told):
    """Predictions of about one confidence."""

    count: int
    confidence: float = Field(description="Their mean confidence.")
    accuracy: float = Field(description="Share of right ones.")


class TrialDetail(TrialSummary):
    """A trial with its attempts, and how well calibrated its student is."""

    attempts: list[AttemptSummary]
    calibration: dict[str, list[CalibrationBin]] = Field(
        description="At the end of the highest finished rung, by split: `validation`, and `test` "
        "in the final stage; empty where it was not kept."
    )


class LearningCurves(Told):
    """The figures of a trial's epochs."""

    trial: int
    metrics: dict[str, list[tuple[float, float | None]]] = Field(
        description="For each metric its (epoch, value) pairs."
    )


class Log(Told):
    """A part of an attempt's log."""

    trial: int
    attempt: int
    size: int = Field(description="Bytes of the whole log.")
    offset: int = Field(description="Of this part, in bytes.")
    next_offset: int = Field(description="Of the next part.")
    text: str
    ended: bool = Field(description="Whether nothing more will come.")


@router.get("/studies/{study}/trials", response_model=Page[TrialSummary])
def list_trials(
    _caller: Reader,
    study: StudyOf,
    studies: StudiesOf,
    paging: PagingOf,
    kind: Annotated[list[TrialKind] | None, Query()] = None,
    state: Annotated[list[TrialState] | None, Query()] = None,
    newest_first: bool = False,
) -> Any:
    """Lists trials by number."""

    def page(trials: list[Trial]) -> dict[str, Any]:
        found = [
            trial
            for trial in trials
            if (not kind or trial.kind in kind) and (not state or trial.state in state)
        ]
        return paging.page(found[::-1] if newest_first else found, trial_json)

    return studies.document(study, paging, Page[TrialSummary], page)


@router.get("/studies/{study}/trials/{number}", response_model=TrialDetail)
def read_trial(_caller: Reader, study: StudyOf, number: TrialNumber, store: StoreOf) -> Any:
    """Reads a trial with its attempts, and how well calibrated its student is."""
    trial = store.trial(study.id, number)
    attempts = store.attempts(study.id, number)
    calibration = store.calibration(study.id, number)
    return {
        **trial_json(trial),
        "attempts": [
            {
                "n": each.n,
                "state": each.state,
                "started": each.started,
                "ended": each.ended,
                "message": each.message,
            }
            for each in attempts
        ],
        "calibration": {
            split: [asdict(each) for each in bins] for split, bins in calibration.items()
        },
    }


@router.get("/studies/{study}/trials/{number}/metrics", response_model=LearningCurves)
def read_metrics(
    _caller: Reader,
    study: StudyOf,
    number: TrialNumber,
    store: StoreOf,
    max_points: Annotated[
        int, Query(ge=3, le=10_000, description="Of each curve; longer ones are thinned out.")
    ] = 200,
) -> Any:
    """Reads the learning curves of a trial."""
    curves = store.learning_curve(study.id, number)
    return {
        "trial": number,
        "metrics": {name: down_sample(points, max_points) for name, points in curves.items()},
    }


@router.get("/studies/{study}/trials/{number}/logs", response_model=Log)
def read_log(
    _caller: Reader,
    study: StudyOf,
    number: TrialNumber,
    store: StoreOf,
    attempt: Annotated[int | None, Query(ge=1, description="Left out: the newest.")] = None,
    offset: Annotated[int | None, Query(ge=0, le=2**62, description="In bytes.")] = None,
    tail: Annotated[
        int | None,
        Query(ge=1, le=_MOST_LOG_BYTES, description="The last bytes, in place of both."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST_LOG_BYTES, description="In bytes.")] = 65536,
) -> Any:
    """Reads a part of a log: from an offset, or its end."""
    found = _attempt(store, study, number, attempt)
    if found is None:
        return _no_log(number)
    path = study.folder / found.folder / LOG
    size = path.stat().st_size if path.exists() else 0
    start = max(0, size - tail) if tail is not None else min(offset or 0, size)
    content = _part(path, start, tail or limit) if size else b""
    return {
        "trial": number,
        "attempt": found.n,
        "size": size,
        "offset": start,
        "next_offset": start + len(content),
        "text": printable(redact(content.decode(errors="replace"))),
        "ended": found.ended is not None and start + len(content) >= size,
    }


@router.post("/studies/{study}/trials/{number}:retry", status_code=202, response_model=Operation)
def retry_trial(
    caller: Launcher, study: StudyOf, number: TrialNumber, store: StoreOf, response: Response
) -> Any:
    """Queues a failed trial again; a study that has ended goes on to run it."""
    trial = store.trial(study.id, number)
    if trial.state is not TrialState.FAILED:
        raise ConflictError(f"trial {number} is {trial.state}; only a failed one is retried")
    return ask("retry", study, {"trial": number}, store, caller, response)


@router.post("/studies/{study}/trials/{number}:cancel", status_code=202, response_model=Operation)
def cancel_trial(
    caller: Launcher, study: StudyOf, number: TrialNumber, store: StoreOf, response: Response
) -> Any:
    """Ends a trial that runs or waits; the study goes on without it."""
    trial = store.trial(study.id, number)
    if trial.state not in (TrialState.RUNNING, TrialState.QUEUED, TrialState.PAUSED):
        raise ConflictError(f"trial {number} is {trial.state}; there is nothing to cancel")
    return ask("cancel_trial", study, {"trial": number}, store, caller, response)


def ask(
    kind: str,
    study: StudyRecord,
    request: dict[str, Any],
    store: Store,
    caller: Caller,
    response: Response,
) -> dict[str, Any]:
    """Queues an operation on a study, which goes on for it; says where to look for its end.

    Raises:
        Refusal: the caller has as many studies under way as they may.
    """
    with within_quota(caller, store) as run:
        if study.wish is None:
            run.add(study.id)
        operation = store.add_operation(kind, study.id, request, caller.id)
    response.headers["Location"] = f"/api/v1/operations/{id_of(Kind.OPERATION, operation.id)}"
    return operation_json(operation)


def trial_json(trial: Trial) -> dict[str, Any]:
    """A `TrialSummary`."""
    failure = trial.failure
    return {
        "number": trial.number,
        "kind": trial.kind,
        "candidate": trial.candidate,
        "state": trial.state,
        "repeat": trial.repeat,
        "epochs": trial.epochs,
        "epochs_done": epochs_done(trial),
        "figures": trial.figures,
        "evaluations": [
            {"epochs": each.epochs, "metrics": each.metrics} for each in trial.evaluations
        ],
        "failure": (
            {"class": failure.failure_class, "message": redact(failure.message)}
            if failure
            else None
        ),
        "choices": trial.architecture.choices,
        "distillation": trial.distillation,
        "notes": trial.notes,
    }


def _attempt(store: Store, study: StudyRecord, number: int, n: int | None) -> AttemptRecord | None:
    attempts = store.attempts(study.id, number)
    if n is None:
        return attempts[-1] if attempts else None
    found = next((each for each in attempts if each.n == n), None)
    if found is None:
        raise NotFoundError(f"trial {number} has no attempt {n}; it has {len(attempts)}")
    return found


def _no_log(number: int) -> dict[str, Any]:
    return {
        "trial": number,
        "attempt": 0,
        "size": 0,
        "offset": 0,
        "next_offset": 0,
        "text": "",
        "ended": False,
    }


def _part(path: Path, start: int, limit: int) -> bytes:
    """Whole characters of a file from a byte on."""
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(limit)
        at_end = file.tell() == os.fstat(file.fileno()).st_size
    if at_end:
        return content
    # The last character may be cut; it comes with the next part.
    for cut in range(1, min(4, len(content))):
        if content[-cut] & 0b1100_0000 == 0b1100_0000:
            return content[:-cut]
        if content[-cut] < 0b1000_0000:
            break
    return content
