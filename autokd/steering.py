"""What the owner of a study may ask of it, whoever passes it on: a command, or a request.

A wish is written into the record and kept by the coordinator; nothing here waits for it.
"""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Mapping
from typing import Any

from autokd.errors import ConflictError, Mistake, NotFoundError, SpecError
from autokd.files import bytes_in
from autokd.spec import BayesianSpec, StudySpec, read_study
from autokd.store import Store, StudyRecord
from autokd.trial import StudyState, StudyWish

_LOG = logging.getLogger(__name__)

_PARTICIPLES = {
    StudyWish.PAUSE: "paused",
    StudyWish.STOP: "stopped",
    StudyWish.CANCEL: "cancelled",
}

_ENDS = {StudyWish.STOP: 1, StudyWish.CANCEL: 2}
"""Wishes that end a study, and how soon: till it is resumed it can only be ended sooner."""


def queue(
    store: Store,
    spec: StudySpec,
    *,
    labels: Mapping[str, str] | None = None,
    paused: bool = False,
    owner: int | None = None,
) -> StudyRecord:
    """Has a coordinator run a new study; or wait with it, until it is wanted to run.

    Args:
        store: the record.
        spec: what is to be searched.
        labels: words of its owner, by name.
        paused: whether it waits.
        owner: id of the token that it is created with.

    Raises:
        ConflictError: there is a study of that name.
        SpecError: it is to learn from a study that is not there.
    """
    earlier_studies(spec, store)
    return store.create_study(
        spec.name,
        spec.model_dump(mode="json"),
        wish=StudyWish.PAUSE if paused else StudyWish.RUN,
        labels=labels,
        owner=owner,
    )


def earlier_studies(spec: StudySpec, store: Store) -> list[StudyRecord]:
    """The studies that a study is to learn from.

    One that has begun goes on without those that were deleted since.

    Raises:
        SpecError: some are not in the record; says which.
    """
    found, mistakes = [], []
    names = spec.strategy.warm_start if isinstance(spec.strategy, BayesianSpec) else ()
    for index, name in enumerate(names):
        try:
            found.append(store.study(name))
        except NotFoundError as error:
            path = f"strategy.warm_start.{index}"
            mistakes.append(Mistake(path, error.message, error.hint))
    if mistakes and not _has_begun(store, spec.name):
        raise SpecError("the study", mistakes)
    for mistake in mistakes:
        _LOG.warning("study %s goes on without it: %s", spec.name, mistake.message)
    return found


def _has_begun(store: Store, name: str) -> bool:
    try:
        return bool(store.trials(store.study(name).id))
    except NotFoundError:
        return False


def steer(store: Store, study: StudyRecord, wish: StudyWish) -> StudyRecord:
    """Has a coordinator run, pause, stop or cancel a study.

    Raises:
        ConflictError: as the study stands, that can not be had.
    """
    # Checked as it stands then: it may have ended, or somebody may have wished otherwise by now.
    return store.change_study(study.id, wish=wish, check=lambda now: _check(now, wish))


def _check(study: StudyRecord, wish: StudyWish) -> None:
    """Raises ConflictError if a study can not be had so."""
    if wish is StudyWish.RUN:
        if study.wish is None and study.state is StudyState.COMPLETED:
            raise ConflictError(
                f"study {study.name!r} is completed", hint="extend it, to go on with larger limits"
            )
        if study.wish is StudyWish.STOP:
            raise ConflictError(
                f"study {study.name!r} is stopping", hint="when it has ended, extend it"
            )
    elif study.wish is None and study.state is StudyState.RUNNING:
        raise ConflictError(
            f"study {study.name!r} is run by no coordinator, so it can not be {_PARTICIPLES[wish]}",
            hint="Ctrl-C stops an `autokd search`; `autokd study resume` hands a study that was "
            "interrupted to a coordinator",
        )
    elif study.wish is None or _ENDS.get(study.wish, 0) > _ENDS.get(wish, 0):
        raise ConflictError(
            f"study {study.name!r} is {study.status}; only one that is queued, paused or running "
            f"can be {_PARTICIPLES[wish]}"
        )


def extend(store: Store, study: StudyRecord, limits: Mapping[str, Any]) -> StudyRecord:
    """Has a coordinator go on with a study within other limits, also when it has ended.

    Args:
        store: the record.
        study: as it has it.
        limits: those of the spec that change.

    Raises:
        SpecError: they are no limits.
        ConflictError: one is smaller than it was.
    """
    spec = read_study(with_limits(study.spec, limits))
    for name in limits:
        before, now = study.spec["limits"].get(name), getattr(spec.limits, name)
        if name != "converged" and now is not None and now < (before or 0):
            raise ConflictError(
                f"expected limits.{name} of at least {before}, which study {study.name!r} has; "
                f"got {now}",
                hint="a change of its limits, without extending it, may also lower them",
            )
    return store.change_study(study.id, spec=spec.model_dump(mode="json"), wish=StudyWish.RUN)


def purge(store: Store, study: StudyRecord) -> int:
    """Removes a deleted study for good; gives the bytes that this freed.

    Raises:
        ConflictError: it is not deleted.
    """
    if study.deleted is None:
        raise ConflictError(f"study {study.name!r} is not deleted", hint="delete it first")
    before = bytes_in(study.folder)
    folder = store.delete_study(study.id)
    shutil.rmtree(folder, ignore_errors=True)
    return before - bytes_in(folder)


def with_limits(spec: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    """A spec as data, with some of its limits changed."""
    return {**spec, "limits": {**spec["limits"], **limits}}


def with_changes(spec: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A spec as data, with other values at some dotted paths (`limits.trials`).

    Raises:
        SpecError: a path leads nowhere.
    """
    changed = copy.deepcopy(dict(spec))
    for path, value in changes.items():
        _put(changed, path, value)
    return changed


def _put(content: dict[str, Any], path: str, value: Any) -> None:
    """Changes the field at a dotted path, whose parents are there or are made."""
    *parents, last = path.split(".")
    place: Any = content
    for part in parents:
        if isinstance(place, dict):
            place[part] = place.get(part) or {}
        place = place[_key(place, part, path)]
    place[_key(place, last, path)] = value


def _key(place: Any, part: str, path: str) -> Any:
    """What stands for one part of a path in the data that it leads through."""
    if isinstance(place, dict):
        return part
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return int(part)
    raise SpecError("the study", [Mistake(path, "there is no such field")])
