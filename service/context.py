"""What routes are given: the record, the settings, and the process that knows networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from anyio import to_thread
from fastapi import Depends, Path, Request

from autokd.errors import NotFoundError
from autokd.inspector import Inspector
from autokd.store import Store, StudyRecord
from service.names import Kind, id_of, is_id, is_name, number_of
from service.record import Studies
from service.settings import Settings

_SHOWN = 40

# Asynchronous, though they wait for nothing: FastAPI takes other functions to a thread, at a price.


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


async def _studies(request: Request) -> Studies:
    studies: Studies = request.app.state.studies
    return studies


Result = TypeVar("Result")


async def inspected(request: Request, ask: Callable[[Inspector], Result]) -> Result:
    """What the inspector says to a question; who waits for it keeps no thread from others."""
    inspector: Inspector = request.app.state.inspector
    return await to_thread.run_sync(ask, inspector, limiter=request.app.state.inspecting)


SettingsOf = Annotated[Settings, Depends(_settings)]
StoreOf = Annotated[Store, Depends(_store)]
StudiesOf = Annotated[Studies, Depends(_studies)]


def study_named(store: Store, text: str, *, deleted: bool = False) -> StudyRecord:
    """The study of an id or a name.

    Args:
        store: the record.
        text: `std_12` or `digits`.
        deleted: whether it may be one that was deleted, which has an id only.

    Raises:
        NotFoundError: there is none.
    """
    if not is_id(text) and not is_name(text):
        raise NotFoundError(f"expected the name or id of a study, got {text[:_SHOWN]!a}")
    if is_id(text):
        study = store.study(number_of(Kind.STUDY, text))
        if study.deleted is not None and not deleted:
            raise _deleted(study)
        return study
    try:
        return store.study(text)
    except NotFoundError:
        gone = store.deleted_study(text)
        if gone is None:
            raise
        raise _deleted(gone) from None


def _deleted(study: StudyRecord) -> NotFoundError:
    """The error of asking for a study that can be brought back, which has an id only."""
    return NotFoundError(
        f"study {study.name!r} was deleted on {study.deleted:%Y-%m-%d}",
        hint=f"POST …/studies/{id_of(Kind.STUDY, study.id)}:undelete brings it back, or `autokd "
        f"study undelete {study.id}`",
    )


def _study(
    store: StoreOf,
    study: Annotated[str, Path(description="Id or name.", examples=["digits"], max_length=200)],
) -> StudyRecord:
    return study_named(store, study)


def _any_study(
    store: StoreOf,
    study: Annotated[str, Path(description="Id or name.", examples=["std_12"], max_length=200)],
) -> StudyRecord:
    return study_named(store, study, deleted=True)


StudyOf = Annotated[StudyRecord, Depends(_study)]
"""The study in a path."""

AnyStudyOf = Annotated[StudyRecord, Depends(_any_study)]
"""The study in a path, which may be one that was deleted."""
