"""Studies on a server: launched, steered and read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from autokd.client.connection import Connection
from autokd.client.models import (
    Candidate,
    Check,
    Front,
    Operation,
    Row,
    Study,
    StudyDetail,
    Trial,
    TrialDetail,
)
from autokd.errors import SpecError

if TYPE_CHECKING:
    from autokd.spec import StudySpec

    Spec: TypeAlias = str | Path | Mapping[str, Any] | StudySpec

_CHECK_SECONDS = 300.0


def path_of(study: str | int | Study) -> str:
    """The path of a study: by name, by id, or as the server told of it."""
    match study:
        case Study():
            name = study.id
        case int() if not isinstance(study, bool):
            name = f"std_{study}"  # the number that commands call it by
        case str():
            name = study
        case _:
            raise TypeError(f"expected the name, id or number of a study, got {study!r}")
    return f"studies/{quote(name, safe='')}"


class Studies:
    """The studies of a server; each is named by its name, its id (`std_12` or 12) or its `Study`.

    All methods raise AccessError if the token is not known or may not do it, and
    ServerUnreachableError if the server does not answer. Those that take a study raise
    NotFoundError if there is none.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        spec: Spec,
        *,
        labels: Mapping[str, str] | None = None,
        paused: bool = False,
    ) -> Study:
        """Queues a study.

        Args:
            spec: a study file: its path, its fields, or what `autokd.read_study` gave. Files that
                it names are those of the server: names of image folders, ids of uploads.
            labels: words of yours, by name.
            paused: whether it waits until it is resumed.

        Raises:
            SpecError: the study is wrong; says all mistakes.
            ConflictError: there is a study of that name, or the token may have no more.
        """
        body = {"spec": content_of(spec), "labels": dict(labels or {}), "paused": paused}
        return self._connection.ask(Study, "POST", "studies", body=body)

    def check(self, spec: Spec) -> Check:
        """Says what a study means, without training. Raises SpecError as `create` does."""
        return self._connection.ask(
            Check,
            "POST",
            "studies",
            params={"validate_only": True},
            body={"spec": content_of(spec)},
            timeout=_CHECK_SECONDS,
            waits=(),  # it may take minutes, and would take them again
        )

    def list(
        self,
        *,
        state: str | Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        q: str | None = None,
        deleted: bool = False,
        order_by: str | None = None,
    ) -> Iterator[Study]:
        """All studies, newest first.

        Args:
            state: only those in this state, or in one of these.
            labels: only those that have all of these.
            q: only those with this in their name.
            deleted: those that were deleted, in place of the others.
            order_by: `created`, `updated` or `name`; with a `-` before it the largest first.
        """
        params = {
            "state": state,
            "label": [f"{name}:{value}" for name, value in (labels or {}).items()] or None,
            "q": q,
            "deleted": deleted,
            "order_by": order_by,
        }
        return self._connection.items(Study, "studies", params)

    def read(self, study: str | int | Study) -> StudyDetail:
        """A study with its file, its front and its retrained students."""
        return self._connection.read(StudyDetail, path_of(study))

    def change(
        self,
        study: str | int | Study,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> Study:
        """Changes its name, all of its labels, or some of its limits.

        Raises:
            ConflictError: another study has the name.
            SpecError: they are no limits.
        """
        given = {"name": name, "labels": labels, "limits": limits}
        body = {field: value for field, value in given.items() if value is not None}
        return self._connection.ask(Study, "PATCH", path_of(study), body=body)

    def pause(self, study: str | int | Study) -> Study:
        """Stops training after the running epochs. Raises ConflictError if it has ended."""
        return self._have(study, "pause")

    def resume(self, study: str | int | Study) -> Study:
        """Goes on with a study that was paused, cancelled or interrupted, or that failed."""
        return self._have(study, "resume")

    def stop(self, study: str | int | Study) -> Study:
        """Ends the search: the best are retrained, and the study is completed.

        Raises:
            ConflictError: it has ended.
        """
        return self._have(study, "stop")

    def cancel(self, study: str | int | Study) -> Study:
        """Ends all training now. Raises ConflictError if it has ended."""
        return self._have(study, "cancel")

    def extend(self, study: str | int | Study, **limits: float) -> Study:
        """Goes on within larger limits: `extend("digits", trials=80)`; also when it has ended.

        Raises:
            SpecError: they are no limits.
        """
        return self._have(study, "extend", {"limits": limits})

    def clone(
        self,
        study: str | int | Study,
        name: str,
        changes: Mapping[str, Any] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        paused: bool = False,
    ) -> Study:
        """Queues a new study from the file of this one.

        Args:
            study: the one to begin with.
            name: of the new one.
            changes: other values by dotted path: `{"limits.trials": 80}`.
            labels: of the new one.
            paused: whether it waits until it is resumed.

        Raises:
            SpecError: it would be wrong; says all mistakes.
            ConflictError: there is a study of that name.
        """
        body = {
            "name": name,
            "changes": dict(changes or {}),
            "labels": dict(labels or {}),
            "paused": paused,
        }
        return self._have(study, "clone", body)

    def delete(self, study: str | int | Study) -> Study:
        """Deletes it so that `undelete` brings it back. Raises ConflictError if it runs."""
        return self._connection.ask(Study, "DELETE", path_of(study))

    def undelete(self, study: str | int | Study) -> Study:
        """Brings a deleted study back, which has an id only. Raises ConflictError."""
        return self._have(study, "undelete")

    def purge(self, study: str | int | Study) -> Operation:
        """Removes a deleted study for good; the response of the operation has the freed `bytes`.

        Raises:
            ConflictError: it is not deleted.
        """
        return self._connection.ask(Operation, "POST", f"{path_of(study)}:purge")

    def front(
        self,
        study: str | int | Study,
        *,
        x: str | None = None,
        y: str | None = None,
        rung: int | None = None,
        max_parameters: str | None = None,
        max_memory: str | None = None,
        max_macs: str | None = None,
        max_weight: str | None = None,
    ) -> Front:
        """The Pareto front over two figures, of the students within limits.

        Args:
            study: whose.
            x: a figure; None: that of the study's own front.
            y: another.
            rung: compare after so many epochs.
            max_parameters: like `20k`.
            max_memory: peak memory of activations, like `64KiB`.
            max_macs: like `2M`.
            max_weight: bytes of weights, like `100KiB`.
        """
        params = {
            "x": x,
            "y": y,
            "rung": rung,
            "max_parameters": max_parameters,
            "max_memory": max_memory,
            "max_macs": max_macs,
            "max_weight": max_weight,
        }
        return self._connection.read(Front, f"{path_of(study)}/front", params=params)

    def best(
        self,
        study: str | int | Study,
        *,
        max_parameters: str | None = None,
        max_memory: str | None = None,
        max_macs: str | None = None,
        max_weight: str | None = None,
    ) -> Row:
        """The student of best first objective within limits, written as those of `front`.

        Raises:
            NothingFeasibleError: there is none.
        """
        params = {
            "max_parameters": max_parameters,
            "max_memory": max_memory,
            "max_macs": max_macs,
            "max_weight": max_weight,
        }
        return self._connection.read(Row, f"{path_of(study)}/best", params=params)

    def trials(
        self,
        study: str | int | Study,
        *,
        kind: str | Sequence[str] | None = None,
        state: str | Sequence[str] | None = None,
    ) -> Iterator[Trial]:
        """All trials by number, of some kinds or states if given."""
        params = {"kind": kind, "state": state}
        return self._connection.items(Trial, f"{path_of(study)}/trials", params)

    def trial(self, study: str | int | Study, number: int) -> TrialDetail:
        """One trial with its attempts."""
        return self._connection.read(TrialDetail, f"{path_of(study)}/trials/{number:d}")

    def candidates(
        self, study: str | int | Study, *, filter: str | None = None, order_by: str | None = None
    ) -> Iterator[Candidate]:
        """All candidates, or those that a filter lets through.

        Args:
            study: whose.
            filter: conditions with commas between: `parameters<=20k,state=complete|paused`.
            order_by: figures with commas between: `-accuracy,parameters`.

        Raises:
            FilterError: it is no filter.
            UnknownNameError: no candidate has such a figure.
        """
        params = {"filter": filter, "order_by": order_by}
        return self._connection.items(Candidate, f"{path_of(study)}/candidates", params)

    def report(self, study: str | int | Study) -> dict[str, Any]:
        """The result as `autokd front --json` prints it."""
        return self._connection.read(dict[str, Any], f"{path_of(study)}/report.json")

    def _have(
        self, study: str | int | Study, verb: str, body: Mapping[str, Any] | None = None
    ) -> Study:
        return self._connection.ask(Study, "POST", f"{path_of(study)}:{verb}", body=body)


def content_of(spec: Spec) -> Mapping[str, Any]:
    """The fields of a study file that its writer gave; the server fills in the others.

    Raises:
        SpecError: the file can not be read, or holds what is no study.
    """
    from autokd.spec import StudySpec, read_study
    from autokd.spec.plain import plain

    if isinstance(spec, Mapping):
        # The server says what is wrong with it: it knows its search spaces, data and uploads.
        content, mistakes = plain(spec)
        if mistakes:
            raise SpecError("the study", mistakes)
        return dict(content)
    read = spec if isinstance(spec, StudySpec) else read_study(spec)
    return read.model_dump(mode="json", exclude_unset=True)
