"""Attempts in the record: leases of workers on trials, fenced by tokens.

An attempt is committed before a worker hears of it, so that a crash in between leaves a lease to
take back and not a worker that nobody knows. A write that carries the token of an attempt that no
longer runs raises StaleTokenError and changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, func, insert, select
from sqlalchemy.orm import Session

from autokd.errors import ConflictError
from autokd.store.database import Database
from autokd.store.journal import log
from autokd.store.lookup import find_study, find_trial, lock_attempt, lock_study
from autokd.store.records import AttemptRecord
from autokd.store.rows import AttemptRow, MetricRow, TrialRow
from autokd.store.trials import move, read_trial
from autokd.trial import AttemptState, Evaluation, Failure, Trial, TrialState


class Attempts(Database):
    """Begin, renew and end attempts, and record what they report."""

    def start_attempt(
        self, study_id: int, trial_number: int, *, lease_seconds: float
    ) -> AttemptRecord:
        """Lease a queued trial to a worker; the trial runs from now on.

        Raises:
            NotFoundError: no such study or trial.
            ConflictError: the trial is not queued.
        """
        now = datetime.now(UTC)
        with self._write() as session:
            lock_study(session, study_id)
            trial = find_trial(session, study_id, trial_number)
            earlier = select(func.count()).where(AttemptRow.trial_id == trial.id)
            row = AttemptRow(
                trial_id=trial.id,
                n=session.scalars(earlier).one() + 1,
                token=uuid.uuid4().hex,
                state=AttemptState.RUNNING,
                lease_until=now + timedelta(seconds=lease_seconds),
                started=now,
                message="",
            )
            move(session, trial, TrialState.RUNNING, attempt=row.n)
            session.add(row)
            session.flush()
            return _attempt(row, trial.number)

    def renew(self, attempt_id: int, token: str, lease_seconds: float) -> AttemptRecord:
        """Extend a lease to `lease_seconds` from now. Raises StaleTokenError."""
        with self._write() as session:
            row, trial = lock_attempt(session, attempt_id, token)
            row.lease_until = datetime.now(UTC) + timedelta(seconds=lease_seconds)
            return _attempt(row, trial.number)

    def record_epoch(
        self, attempt_id: int, token: str, epoch: int, metrics: Mapping[str, float]
    ) -> None:
        """Record the figures of one epoch.

        An epoch that is repeated replaces what was recorded of it, and is no event.

        Args:
            attempt_id: a running attempt.
            token: its token.
            epoch: epochs of training since initialisation, this one included (1 is the first).
            metrics: its figures by name.

        Raises:
            StaleTokenError: the attempt no longer runs.
        """
        with self._write() as session:
            _, trial = lock_attempt(session, attempt_id, token)
            session.execute(
                delete(MetricRow).where(MetricRow.trial_id == trial.id, MetricRow.epoch == epoch)
            )
            if metrics:
                session.execute(
                    insert(MetricRow),
                    [
                        {"trial_id": trial.id, "epoch": epoch, "name": name, "value": float(value)}
                        for name, value in metrics.items()
                    ],
                )
            if epoch > trial.trained:
                trial.trained = epoch
                data = {"trial": trial.number, "epoch": epoch, "metrics": dict(metrics)}
                log(session, trial.study_id, "epoch", data)

    def finish_attempt(
        self,
        attempt_id: int,
        token: str,
        evaluation: Evaluation,
        checkpoint: str | None,
        state: TrialState,
    ) -> Trial:
        """End an attempt that reached the end of its rung.

        Args:
            attempt_id: a running attempt.
            token: its token.
            evaluation: figures at the end of the rung.
            checkpoint: path relative to the study's folder, to continue from if promoted.
            state: PAUSED below the last rung, COMPLETE on it.

        Raises:
            StaleTokenError: the attempt no longer runs.
            ConflictError: it was not leased up to these epochs, or the state is another.
        """
        if state not in (TrialState.PAUSED, TrialState.COMPLETE):
            raise ConflictError(f"a finished rung leaves a trial paused or complete, got {state}")
        with self._write() as session:
            row, trial = lock_attempt(session, attempt_id, token)
            if evaluation.epochs != trial.epochs:
                raise ConflictError(
                    f"trial {trial.number}: expected an evaluation after {trial.epochs} epochs, "
                    f"got one after {evaluation.epochs}"
                )
            metrics = {name: float(value) for name, value in evaluation.metrics.items()}
            newest = {"epochs": evaluation.epochs, "metrics": metrics}
            trial.evaluations = [*trial.evaluations, newest]
            trial.calibration = {
                split: [astuple(each) for each in bins]
                for split, bins in evaluation.calibration.items()
            }
            trial.trained = max(trial.trained, evaluation.epochs)
            trial.checkpoint = checkpoint
            _end(row, AttemptState.DONE)
            move(session, trial, state, attempt=row.n, metrics=metrics)
            return read_trial(session, trial)

    def fail_attempt(self, attempt_id: int, token: str, failure: Failure) -> Trial:
        """End an attempt and fail its trial. Raises StaleTokenError."""
        with self._write() as session:
            row, trial = lock_attempt(session, attempt_id, token)
            trial.failure_class = failure.failure_class
            trial.failure_message = failure.message
            _end(row, AttemptState.FAILED, failure.message)
            reason = {"failure_class": failure.failure_class, "message": failure.message}
            move(session, trial, TrialState.FAILED, attempt=row.n, **reason)
            return read_trial(session, trial)

    def release_attempt(
        self,
        attempt_id: int,
        token: str,
        state: AttemptState,
        checkpoint: str | None,
        message: str = "",
    ) -> Trial:
        """End an attempt that did not get to its end, and queue its trial again.

        Args:
            attempt_id: a running attempt.
            token: its token.
            state: LOST or STOPPED.
            checkpoint: path relative to the study's folder, to continue from; None if the attempt
                left none, and then the trial continues from the one it had.
            message: why.

        Raises:
            StaleTokenError: the attempt no longer runs.
            ConflictError: the state is another.
        """
        if state not in (AttemptState.LOST, AttemptState.STOPPED):
            raise ConflictError(f"an attempt is released lost or stopped, got {state}")
        with self._write() as session:
            row, trial = lock_attempt(session, attempt_id, token)
            trial.checkpoint = checkpoint or trial.checkpoint
            _end(row, state, message)
            move(session, trial, TrialState.QUEUED, attempt=row.n, attempt_state=state)
            return read_trial(session, trial)

    def running_attempts(self, study_id: int) -> list[AttemptRecord]:
        """The attempts that run, as far as the record knows, oldest first."""
        with self._read() as session:
            find_study(session, study_id)
            running = _ATTEMPT.where(AttemptRow.state == AttemptState.RUNNING)
            return _attempts(session, running.where(TrialRow.study_id == study_id))

    def attempts(self, study_id: int, number: int | None = None) -> list[AttemptRecord]:
        """All attempts of a trial, or of all trials of a study, oldest first.

        Raises:
            NotFoundError: no such study or trial.
        """
        query = _ATTEMPT.where(TrialRow.study_id == study_id)
        with self._read() as session:
            if number is None:
                find_study(session, study_id)
            else:
                trial = find_trial(session, study_id, number)
                query = query.where(AttemptRow.trial_id == trial.id)
            return _attempts(session, query)


# Columns and not rows: thousands are read at once, and a mapped row costs three times as much.
_ATTEMPT = (
    select(
        AttemptRow.id,
        AttemptRow.token,
        TrialRow.number.label("trial"),
        AttemptRow.n,
        AttemptRow.state,
        AttemptRow.lease_until,
        AttemptRow.started,
        AttemptRow.ended,
        AttemptRow.message,
    )
    .join(TrialRow, TrialRow.id == AttemptRow.trial_id)
    .order_by(AttemptRow.id)
)


def _attempts(session: Session, query: Select[*tuple[Any, ...]]) -> list[AttemptRecord]:
    """Those that a query finds, whose columns are the fields of the record, in their order."""
    return [AttemptRecord(*row) for row in session.execute(query)]


def _end(row: AttemptRow, state: AttemptState, message: str = "") -> None:
    row.state = state
    row.ended = datetime.now(UTC)
    row.message = message


def _attempt(row: AttemptRow, trial: int) -> AttemptRecord:
    return AttemptRecord(
        id=row.id,
        token=row.token,
        trial=trial,
        n=row.n,
        state=row.state,
        lease_until=row.lease_until,
        started=row.started,
        ended=row.ended,
        message=row.message,
    )
