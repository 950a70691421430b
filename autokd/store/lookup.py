"""Finding and locking rows.

A writing transaction first locks its study's row, so that the writers of one study follow each
other: numbers have no gaps and a check still holds when its change is made. (In SQLite a writing
transaction has the whole database for itself anyway.)
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from autokd.errors import NotFoundError, StaleTokenError, did_you_mean
from autokd.store.rows import AttemptRow, CandidateRow, StudyRow, TrialRow
from autokd.trial import AttemptState

ENDED = "~"
"""Stands in the recorded name of a deleted study, and in no other: the name is free again."""


def find_study(session: Session, name_or_id: str | int) -> StudyRow:
    """The row of a study. Raises NotFoundError if there is none."""
    column = StudyRow.name if isinstance(name_or_id, str) else StudyRow.id
    row = session.scalar(select(StudyRow).where(column == name_or_id))
    if row is None:
        raise _no_study(session, name_or_id)
    return row


def find_deleted(session: Session, name: str) -> StudyRow | None:
    """The row of the study that was deleted last of those that had this name."""
    return session.scalar(
        select(StudyRow)
        .where(
            StudyRow.deleted.is_not(None),
            StudyRow.name.startswith(f"{name}{ENDED}", autoescape=True),
        )
        .order_by(StudyRow.deleted.desc(), StudyRow.id.desc())
        .limit(1)
    )


def lock_study(session: Session, study_id: int) -> StudyRow:
    """The row of a study, locked until the transaction ends. Raises NotFoundError."""
    row = session.scalar(select(StudyRow).where(StudyRow.id == study_id).with_for_update())
    if row is None:
        raise _no_study(session, study_id)
    return row


def find_trial(session: Session, study_id: int, number: int) -> TrialRow:
    """The row of a trial. Raises NotFoundError if there is none, or no such study."""
    row = session.scalar(
        select(TrialRow).where(TrialRow.study_id == study_id, TrialRow.number == number)
    )
    if row is None:
        name = find_study(session, study_id).name
        raise NotFoundError(
            f"study {name!r} has no trial {number}", hint=f"`autokd study show {name}` lists them"
        )
    return row


def lock_attempt(session: Session, attempt_id: int, token: str) -> tuple[AttemptRow, TrialRow]:
    """A running attempt and its trial, with their study locked.

    Raises:
        StaleTokenError: the attempt has ended, or the token is not its own.
    """
    session.execute(
        select(StudyRow.id)
        .join(TrialRow, TrialRow.study_id == StudyRow.id)
        .join(AttemptRow, AttemptRow.trial_id == TrialRow.id)
        .where(AttemptRow.id == attempt_id)
        .with_for_update(of=StudyRow)
    )
    found = session.execute(
        select(AttemptRow, TrialRow)
        .join(TrialRow, TrialRow.id == AttemptRow.trial_id)
        .where(AttemptRow.id == attempt_id)
    ).one_or_none()
    if found is None:
        raise StaleTokenError(f"attempt {attempt_id} is not in the record")
    attempt, trial = found
    if attempt.token != token or attempt.state is not AttemptState.RUNNING:
        raise StaleTokenError(
            f"attempt {attempt.n} of trial {trial.number} may not write: expected a running "
            f"attempt and its token, got {'its' if attempt.token == token else 'another'} token "
            f"and an attempt that is {attempt.state}",
            hint="end this worker: its trial was given to another, or has ended",
        )
    return attempt, trial


def next_candidate(session: Session, study_id: int) -> int:
    """One above the highest number of a study's candidates; 0 if there is none."""
    numbers = select(func.max(CandidateRow.number)).where(CandidateRow.study_id == study_id)
    highest = session.scalar(numbers)
    return 0 if highest is None else highest + 1


def _no_study(session: Session, name_or_id: str | int) -> NotFoundError:
    deleted = find_deleted(session, name_or_id) if isinstance(name_or_id, str) else None
    if deleted is not None and deleted.deleted is not None:
        return NotFoundError(
            f"study {name_or_id!r} was deleted on {deleted.deleted:%Y-%m-%d}",
            hint=f"`autokd study undelete {deleted.id}` brings it back",
        )
    names = session.scalars(select(StudyRow.name).where(StudyRow.deleted.is_(None))).all()
    return NotFoundError(
        f"there is no study {name_or_id!r}",
        hint=did_you_mean(str(name_or_id), names)
        or "`autokd study list` shows all, and with --deleted those that were deleted",
    )
