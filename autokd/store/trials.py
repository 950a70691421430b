"""Trials and candidates in the record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from autokd.budget import Cost
from autokd.errors import ConflictError
from autokd.space import Architecture, Choices
from autokd.store.database import Database
from autokd.store.journal import log
from autokd.store.lookup import find_study, find_trial, lock_study, next_candidate
from autokd.store.rows import CandidateRow, MetricRow, TrialRow
from autokd.trial import (
    ASKED,
    FIRST_FINAL_NUMBER,
    CalibrationBin,
    Evaluation,
    Failure,
    FailureClass,
    Trial,
    TrialKind,
    TrialState,
)

_MOVES = {
    TrialState.QUEUED: {TrialState.RUNNING, TrialState.FAILED},
    TrialState.RUNNING: {
        TrialState.QUEUED,
        TrialState.PAUSED,
        TrialState.COMPLETE,
        TrialState.FAILED,
    },
    TrialState.PAUSED: {TrialState.QUEUED, TrialState.FAILED},
    TrialState.FAILED: {TrialState.QUEUED},
}

# Columns and not rows: thousands of trials are read at once, and a mapped row costs twice as much.
_TRIAL = select(
    TrialRow.number,
    TrialRow.kind,
    CandidateRow.number.label("candidate"),
    TrialRow.cost,
    TrialRow.repeat,
    TrialRow.state,
    TrialRow.epochs,
    TrialRow.evaluations,
    TrialRow.failure_class,
    TrialRow.failure_message,
    TrialRow.checkpoint,
    TrialRow.notes,
    CandidateRow.architecture,
    CandidateRow.distillation,
).join(CandidateRow, CandidateRow.id == TrialRow.candidate_id)


class Trials(Database):
    """Add, find and promote trials."""

    def add_trial(
        self,
        study_id: int,
        *,
        kind: TrialKind,
        architecture: Architecture,
        distillation: Choices,
        cost: Cost,
        repeat: int,
        state: TrialState,
        epochs: int,
        notes: Mapping[str, Any] | None = None,
    ) -> Trial:
        """Record a new trial, with the next number of the study.

        Its candidate is the one of the same architecture and distillation, or a new one.

        Raises:
            NotFoundError: no such study.
            ConflictError: a trial does not begin in that state.
        """
        if state not in (TrialState.QUEUED, TrialState.INFEASIBLE):
            raise ConflictError(f"a trial begins queued or infeasible, got {state}")
        with self._write() as session:
            lock_study(session, study_id)
            row = TrialRow(
                study_id=study_id,
                candidate_id=_candidate(session, study_id, architecture, distillation).id,
                number=_next_trial_number(session, study_id, kind),
                kind=kind,
                cost=asdict(cost),
                repeat=repeat,
                state=state,
                epochs=epochs,
                trained=0,
                evaluations=[],
                notes=dict(notes or {}),
            )
            log_trial(session, row)
            session.add(row)
            return read_trial(session, row)

    def trials(
        self, study_id: int, kind: TrialKind | None = None, *, changed_after: int = 0
    ) -> list[Trial]:
        """Trials of a study, by number.

        Args:
            study_id: the study.
            kind: only those of one kind.
            changed_after: only those that an event of the study with a higher number changed.

        Raises:
            NotFoundError: no such study.
        """
        query = _TRIAL.where(TrialRow.study_id == study_id).order_by(TrialRow.number)
        if kind is not None:
            query = query.where(TrialRow.kind == kind)
        if changed_after:
            query = query.where(TrialRow.changed > changed_after)
        with self._read() as session:
            find_study(session, study_id)
            return [_trial(row) for row in session.execute(query)]

    def trial(self, study_id: int, number: int) -> Trial:
        """One trial. Raises NotFoundError."""
        with self._read() as session:
            return read_trial(session, find_trial(session, study_id, number))

    def promote(self, study_id: int, number: int, epochs: int) -> Trial:
        """Queue a paused trial again, up to the rung that ends at `epochs`.

        Raises:
            NotFoundError: no such study or trial.
            ConflictError: it is not paused, or already that far.
        """
        with self._write() as session:
            lock_study(session, study_id)
            row = find_trial(session, study_id, number)
            if row.state is not TrialState.PAUSED:
                raise ConflictError(f"trial {number} is {row.state}; only a paused one is promoted")
            if epochs <= row.epochs:
                raise ConflictError(
                    f"trial {number} has finished {row.epochs} epochs; expected more, got {epochs}"
                )
            row.epochs = epochs
            move(session, row, TrialState.QUEUED)
            return read_trial(session, row)

    def cancel_trial(self, study_id: int, number: int) -> Trial:
        """Fail a trial that is queued or paused, since somebody wants it so.

        Raises:
            NotFoundError: no such study or trial.
            ConflictError: it runs or has ended.
        """
        with self._write() as session:
            lock_study(session, study_id)
            row = find_trial(session, study_id, number)
            if row.state not in (TrialState.QUEUED, TrialState.PAUSED):
                raise ConflictError(
                    f"trial {number} is {row.state}; only one that waits can be cancelled"
                )
            row.failure_class = FailureClass.CANCELLED
            row.failure_message = "cancelled"
            move(session, row, TrialState.FAILED, failure_class=row.failure_class)
            return read_trial(session, row)

    def retry_trial(self, study_id: int, number: int) -> Trial:
        """Queue a failed trial again, to go on from the checkpoint that it has.

        Raises:
            NotFoundError: no such study or trial.
            ConflictError: it has not failed.
        """
        with self._write() as session:
            lock_study(session, study_id)
            row = find_trial(session, study_id, number)
            if row.state is not TrialState.FAILED:
                raise ConflictError(f"trial {number} is {row.state}; only a failed one is retried")
            row.failure_class = row.failure_message = None
            row.notes = {**row.notes, ASKED: True}
            move(session, row, TrialState.QUEUED)
            return read_trial(session, row)

    def epochs_trained(self, study_id: int) -> int:
        """Epochs of training over all search trials; a repeated epoch counts once."""
        with self._read() as session:
            find_study(session, study_id)
            total = select(func.coalesce(func.sum(TrialRow.trained), 0)).where(
                TrialRow.study_id == study_id, TrialRow.kind == TrialKind.SEARCH
            )
            return int(session.scalars(total).one())

    def epochs_recorded(self, study_id: int, number: int) -> int:
        """How far a trial was trained, as far as is recorded. Raises NotFoundError."""
        with self._read() as session:
            return find_trial(session, study_id, number).trained

    def learning_curve(self, study_id: int, number: int) -> dict[str, list[tuple[int, float]]]:
        """For each metric its (epochs since initialisation, value) pairs, ascending."""
        curves: dict[str, list[tuple[int, float]]] = {}
        with self._read() as session:
            trial = find_trial(session, study_id, number)
            points = select(MetricRow.name, MetricRow.epoch, MetricRow.value).where(
                MetricRow.trial_id == trial.id
            )
            for name, epoch, value in session.execute(
                points.order_by(MetricRow.name, MetricRow.epoch)
            ):
                curves.setdefault(name, []).append((epoch, value))
        return curves

    def calibration(self, study_id: int, number: int) -> dict[str, tuple[CalibrationBin, ...]]:
        """By split the bins of a trial's newest evaluation; none before it and in older records.

        Raises:
            NotFoundError: no such study or trial.
        """
        with self._read() as session:
            splits = find_trial(session, study_id, number).calibration or {}
            return {
                split: tuple(CalibrationBin(*each) for each in bins)
                for split, bins in splits.items()
            }


def move(session: Session, row: TrialRow, state: TrialState, **details: Any) -> None:
    """Take a trial of a locked study to another state, and record that with the details.

    Raises:
        ConflictError: the drawing in `autokd.trial` has no such move.
    """
    if state not in _MOVES.get(row.state, ()):
        raise ConflictError(f"trial {row.number} is {row.state}; it can not become {state}")
    row.state = state
    log_trial(session, row, **details)


def log_trial(session: Session, row: TrialRow, **details: Any) -> None:
    """Record the state of a trial as an event."""
    data = {"trial": row.number, "kind": row.kind, "state": row.state, "epochs": row.epochs}
    row.changed = log(session, row.study_id, "trial", {**data, **details}).number


def read_trial(session: Session, row: TrialRow) -> Trial:
    """The value of a row, with the changes of this transaction."""
    session.flush()
    return _trial(session.execute(_TRIAL.where(TrialRow.id == row.id)).one())


def _next_trial_number(session: Session, study_id: int, kind: TrialKind) -> int:
    """The search counts from 0, the final stage from `FIRST_FINAL_NUMBER`."""
    searched = kind is TrialKind.SEARCH
    of_stage = TrialRow.kind == TrialKind.SEARCH if searched else TrialRow.kind != TrialKind.SEARCH
    highest = session.scalar(
        select(func.max(TrialRow.number)).where(TrialRow.study_id == study_id, of_stage)
    )
    if highest is None:
        return 0 if searched else FIRST_FINAL_NUMBER
    return int(highest) + 1


def _candidate(
    session: Session, study_id: int, architecture: Architecture, distillation: Choices
) -> CandidateRow:
    """The row of a candidate, found by its key or made."""
    settings = json.dumps(dict(distillation), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(f"{architecture.key}\n{settings}".encode()).hexdigest()
    row = session.scalar(
        select(CandidateRow).where(CandidateRow.study_id == study_id, CandidateRow.hash == digest)
    )
    if row is None:
        row = CandidateRow(
            study_id=study_id,
            number=next_candidate(session, study_id),
            hash=digest,
            architecture=architecture.to_json(),
            distillation=dict(distillation),
        )
        session.add(row)
        session.flush()
    return row


def _trial(row: Any) -> Trial:
    """The value of one row of `_TRIAL`."""
    failure = None
    if row.failure_class is not None:
        failure = Failure(row.failure_class, row.failure_message or "")
    return Trial(
        number=row.number,
        kind=row.kind,
        candidate=row.candidate,
        architecture=Architecture.from_json(row.architecture),
        distillation=row.distillation,
        cost=Cost(**row.cost),
        repeat=row.repeat,
        state=row.state,
        epochs=row.epochs,
        evaluations=tuple(Evaluation(**evaluation) for evaluation in row.evaluations),
        failure=failure,
        checkpoint=row.checkpoint,
        notes=row.notes,
    )
