"""Studies on a server, as the same values that a database gives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from autokd.cli.output import figure, say
from autokd.cli.records import Happened, Standing
from autokd.client import Client, Study
from autokd.errors import AutokdError, ConflictError, NotFoundError, SpecError
from autokd.spec import TORCHVISION_SETS, StudySpec, read_study

if TYPE_CHECKING:
    from autokd.client import Trial as ToldTrial
    from autokd.store import StudyRecord
    from autokd.trial import StudyState, StudyWish, Trial

_UPLOAD = re.compile(r"upl_[1-9][0-9]*")
_DONE = "completed"
_UNDER_WAY = frozenset({"queued", "running", "stopping"})


class RemoteRecords:
    """The studies that a server has.

    Args:
        client: asks it.
        options: what a command needs to find it.
    """

    def __init__(self, client: Client, options: str) -> None:
        self._client = client
        self.options = options

    def studies(self, *, deleted: bool = False) -> list[Standing]:
        """All studies, oldest first; those that were deleted, if asked."""
        found = self._client.studies.list(deleted=deleted, order_by="created")
        return [_standing(study) for study in found]

    def study(self, name: str) -> Standing:
        """The study that a person means: by name, else by number. Raises NotFoundError."""
        try:
            found = self._client.studies.read(name)
        except NotFoundError:
            if not name.isdecimal():
                raise
            found = self._client.studies.read(f"std_{name}")
        if found.deleted is not None:
            raise NotFoundError(
                f"study {found.name!r} was deleted",
                hint=f"`autokd study undelete {_number(found)}{self.options}` brings it back",
            )
        return _standing(found)

    def again(self, study: Standing) -> Standing:
        """How it stands now."""
        return _standing(self._client.studies.read(_id(study)))

    def record(self, study: Standing) -> StudyRecord:
        """The study as a store would have it; its files are the server's."""
        from autokd.store import StudyRecord
        from autokd.trial import StopReason

        told = self._client.studies.read(_id(study))
        state, wish = _state_of(told.state)
        return StudyRecord(
            id=study.id,
            name=told.name,
            spec=told.spec,
            state=state,
            stop_reason=StopReason(told.stop_reason) if told.stop_reason else None,
            created=told.created,
            seconds=told.seconds,
            teacher=told.teacher or None,
            folder=Path(),
            wish=wish,
            error=told.error,
            labels=told.labels,
            owner=None,
            updated=told.updated,
            deleted=told.deleted,
            version=0,
            events=0,
        )

    def create(self, spec: StudySpec, labels: Mapping[str, str], *, paused: bool) -> Standing:
        """Queues a study for a coordinator. Raises ConflictError if there is one of its name."""
        return self._create(self._sendable(spec), labels, paused=paused)

    def launch(self, spec: StudySpec) -> tuple[Standing, bool]:
        """Has a study run: a new one, or the same one on, with the limits of the spec.

        Returns:
            How it stands, and whether anything was left to ask for.

        Raises:
            ConflictError: the server has another study of its name.
        """
        content = self._sendable(spec)
        try:
            known = self._client.studies.read(spec.name)
        except NotFoundError:
            return self._create(content, {}, paused=False), True
        limits = _changed_limits(content, known.spec)
        if limits:
            return _standing(self._client.studies.extend(known.id, **limits)), True
        if known.state in _UNDER_WAY:
            return _standing(known), True
        if known.state == _DONE:
            return _standing(known), False
        return _standing(self._client.studies.resume(known.id)), True

    def steer(self, study: Standing, wish: StudyWish) -> Standing:
        """Has a coordinator run, pause, stop or cancel it. Raises ConflictError."""
        studies = self._client.studies
        verbs = {
            "run": studies.resume,
            "pause": studies.pause,
            "stop": studies.stop,
            "cancel": studies.cancel,
        }
        return _standing(verbs[wish.value](_id(study)))

    def extend(self, study: Standing, limits: Mapping[str, float]) -> Standing:
        """Has a coordinator go on with it within other limits. Raises SpecError."""
        return _standing(self._client.studies.extend(_id(study), **limits))

    def clone(
        self,
        study: Standing,
        name: str,
        changes: Mapping[str, Any],
        labels: Mapping[str, str],
        *,
        paused: bool,
    ) -> Standing:
        """Queues a new study like it, with other values at some dotted paths."""
        return _standing(
            self._client.studies.clone(_id(study), name, changes, labels=labels, paused=paused)
        )

    def delete(self, study: Standing) -> None:
        """Deletes it, so that it can be brought back. Raises ConflictError if it runs."""
        self._client.studies.delete(_id(study))

    def undelete(self, study: Standing) -> Standing:
        """Brings it back. Raises ConflictError if another has its name by now."""
        return _standing(self._client.studies.undelete(_id(study)))

    def purge(self, study: Standing) -> int:
        """Removes it for good, and says how many bytes that freed."""
        asked = self._client.studies.purge(_id(study))
        ended = self._client.operations.wait(asked.id)
        return int((ended.response or {})["bytes"])

    def check(self, spec: StudySpec) -> dict[str, Any]:
        """What a spec means on the server, without training."""
        return self._client.studies.check(self._sendable(spec)).model_dump()

    def summary(self, study: Standing) -> dict[str, Any]:
        """Its result, as `autokd front --json` prints it."""
        return {**self._client.studies.report(_id(study)), "state": self.again(study).status}

    def trials(self, record: StudyRecord) -> list[Trial]:
        """All its trials."""
        told = self._client.studies.trials(f"std_{record.id}")
        return [_trial(each, record) for each in told]

    def trial(self, record: StudyRecord, number: int) -> Trial:
        """One of them. Raises NotFoundError."""
        return _trial(self._client.studies.trial(f"std_{record.id}", number), record)

    def attempts(self, record: StudyRecord, number: int) -> list[dict[str, Any]]:
        """The attempts of a trial: `n`, `state` and the address of its `log`."""
        told = self._client.studies.trial(f"std_{record.id}", number)
        logs = f"{self._client.url}/api/v1/studies/std_{record.id}/trials/{number}/logs"
        return [
            {"n": each.n, "state": each.state, "log": f"{logs}?attempt={each.n}"}
            for each in told.attempts
        ]

    def log(self, record: StudyRecord, number: int, attempt: Mapping[str, Any]) -> str:
        """The log of one of them."""
        return "".join(self._client.logs(f"std_{record.id}", number, attempt=attempt["n"]))

    def export(
        self,
        study: Standing,
        folder: Path,
        *,
        trial: int | None,
        limits: Mapping[str, float],
        formats: Sequence[str],
    ) -> dict[str, Any]:
        """Writes a student that the server has verified; gives what `student.json` holds."""
        say("the server writes and verifies the student")
        export = self._client.export(
            _id(study),
            folder,
            trial=trial,
            max_parameters=_size(limits.get("parameters")),
            max_memory=_size(limits.get("peak_activation_bytes")),
            formats=formats,
        )
        return export.student

    def events(self, study: Standing) -> AbstractContextManager[Iterator[Happened]]:
        """What happens to it from now on, without an end."""
        return self._client.events(study=_id(study))

    def _create(
        self, content: Mapping[str, Any], labels: Mapping[str, str], *, paused: bool
    ) -> Standing:
        return _standing(self._client.studies.create(content, labels=labels, paused=paused))

    def _sendable(self, spec: StudySpec) -> dict[str, Any]:
        """A spec without places on this machine: its files are sent, and named by their ids."""
        content = spec.model_dump(mode="json", exclude_unset=True)
        data, teacher = content["data"], content["teacher"]
        if data["name"] == "npz":
            data["path"] = self._sent(data["path"], "data")
        elif data["name"] in TORCHVISION_SETS:
            for field in {"root", "download"} & data.keys():
                say(f"data.{field} is left out: the server has its own")
                del data[field]
        if teacher.get("weights"):
            teacher["weights"] = self._sent(teacher["weights"], "teacher")
        return content

    def _sent(self, path: str, kind: Literal["teacher", "data"]) -> str:
        """The id of a file of this machine on the server, which gets it unless it has it."""
        if _UPLOAD.fullmatch(path):
            return path
        file = Path(path)
        if file.is_file():
            size = figure("file_bytes", file.stat().st_size)
            say(f"sending {path} ({size}) to {self._client.url}, unless it is there already")
        return self._client.uploads.send(file, kind).id


def _changed_limits(content: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The limits in which a spec differs from that of a study that it is to be the same as.

    Raises:
        ConflictError: it differs in more.
    """
    name = content["name"]
    try:
        wanted, recorded = read_study(content), read_study(known)
    except SpecError as error:
        raise ConflictError(f"the server has a study {name!r} already", hint=_ANOTHER) from error
    differs = [
        field
        for field, value in {**wanted.identity, "final": wanted.final}.items()
        if {**recorded.identity, "final": recorded.final}.get(field) != value
    ]
    if differs:
        raise ConflictError(
            f"the server has another study {name!r}: it differs in {', '.join(differs)}",
            hint=_ANOTHER,
        )
    before = recorded.limits.model_dump(mode="json")
    return {
        limit: value
        for limit, value in wanted.limits.model_dump(mode="json").items()
        if value != before[limit]
    }


_ANOTHER = "give the new study another name, or delete the old one with `autokd study delete`"


def _id(study: Standing) -> str:
    return f"std_{study.id}"


def _number(study: Study) -> int:
    number = study.id.removeprefix("std_")
    if not number.isdecimal():
        raise AutokdError(f"expected the id of a study, got {study.id!r}")
    return int(number)


def _standing(study: Study) -> Standing:
    return Standing(
        id=_number(study),
        name=study.name,
        status=study.state,
        stop_reason=study.stop_reason,
        error=study.error,
        created=study.created,
        seconds=study.seconds,
    )


def _size(limit: float | None) -> str | None:
    return None if limit is None else f"{limit:.0f}"


def _state_of(status: str) -> tuple[StudyState, StudyWish | None]:
    """The state and the wish that people call so."""
    from autokd.trial import StudyState, StudyWish

    if status in StudyState.__members__.values():
        return StudyState(status), None
    for wish in StudyWish:
        for state in (StudyState.RUNNING, StudyState.STOPPED):
            if wish.status(state) == status:
                return state, wish
    return StudyState.RUNNING, None  # interrupted


def _trial(told: ToldTrial, record: StudyRecord) -> Trial:
    """A trial as the record has it, but for its checkpoint, its draw and its seed."""
    from autokd.budget import Cost
    from autokd.space import Architecture
    from autokd.trial import Evaluation, Failure, FailureClass, Trial, TrialKind, TrialState

    figures = told.figures
    failure = told.failure
    return Trial(
        number=told.number,
        kind=TrialKind(told.kind),
        candidate=told.candidate,
        architecture=Architecture(record.spec["space"]["name"], told.choices),
        distillation=told.distillation,
        cost=Cost(
            parameters=int(figures["parameters"] or 0),
            weight_bytes=int(figures["weight_bytes"] or 0),
            peak_activation_bytes=int(figures["peak_activation_bytes"] or 0),
            macs=int(figures["macs"] or 0),
            latency_ms=figures.get("latency_ms"),
        ),
        repeat=told.repeat,
        state=TrialState(told.state),
        epochs=told.epochs,
        evaluations=tuple(
            Evaluation(
                each.epochs,
                {name: value for name, value in each.metrics.items() if value is not None},
            )
            for each in told.evaluations
        ),
        failure=Failure(FailureClass(failure.class_), failure.message) if failure else None,
        notes=told.notes,
    )
