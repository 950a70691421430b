"""Where studies are kept, as the commands see it: a database of this machine, or a server."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from autokd.cli.output import DEFAULT_STORAGE
from autokd.errors import ConflictError, NotFoundError, did_you_mean

if TYPE_CHECKING:
    from autokd.cli.local import LocalRecords
    from autokd.cli.remote import RemoteRecords
    from autokd.spec import StudySpec
    from autokd.store import StudyRecord
    from autokd.trial import StudyWish, Trial

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="AUTOKD_SERVER",
        metavar="URL",
        help="Ask a server of autokd, in place of a database.",
    ),
]


@dataclass(frozen=True)
class Standing:
    """How a study stands.

    Attributes:
        id: its number.
        name: its name.
        status: what people call its state; see the drawing in `autokd.trial`.
        stop_reason: why its search ended, if it did.
        error: why it failed, if it did.
        created: when, in UTC.
        seconds: wall time spent searching.
    """

    id: int
    name: str
    status: str
    stop_reason: str | None
    error: str | None
    created: datetime
    seconds: float

    def as_data(self) -> dict[str, Any]:
        """As `autokd study list --json` shows it."""
        return {
            "id": self.id,
            "study": self.name,
            "state": self.status,
            "stop_reason": self.stop_reason,
            "created": self.created.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
        }


class Happened(Protocol):
    """Something that was recorded: a change of a `study` or `trial`, or an `epoch`."""

    @property
    def kind(self) -> str:
        """Which of these."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """What changed."""
        ...


class Records(Protocol):
    """Studies, wherever they are. All methods raise the errors that commands end with."""

    @property
    def options(self) -> str:
        """What a command needs to find the same studies: empty, or ` --server URL`."""
        ...

    def studies(self, *, deleted: bool = False) -> list[Standing]:
        """All studies, oldest first; those that were deleted, if asked."""
        ...

    def study(self, name: str) -> Standing:
        """The study that a person means: by name, else by number. Raises NotFoundError."""
        ...

    def again(self, study: Standing) -> Standing:
        """How it stands now."""
        ...

    def record(self, study: Standing) -> StudyRecord:
        """The study with its spec and its teacher's figures."""
        ...

    def create(self, spec: StudySpec, labels: Mapping[str, str], *, paused: bool) -> Standing:
        """Queues a study for a coordinator. Raises ConflictError if there is one of its name."""
        ...

    def steer(self, study: Standing, wish: StudyWish) -> Standing:
        """Has a coordinator run, pause, stop or cancel it. Raises ConflictError."""
        ...

    def extend(self, study: Standing, limits: Mapping[str, float]) -> Standing:
        """Has a coordinator go on with it within other limits. Raises SpecError."""
        ...

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
        ...

    def delete(self, study: Standing) -> None:
        """Deletes it, so that it can be brought back. Raises ConflictError if it runs."""
        ...

    def undelete(self, study: Standing) -> Standing:
        """Brings it back. Raises ConflictError if another has its name by now."""
        ...

    def purge(self, study: Standing) -> int:
        """Removes it for good, and says how many bytes that freed."""
        ...

    def summary(self, study: Standing) -> dict[str, Any]:
        """Its result, as `autokd front --json` prints it."""
        ...

    def trials(self, record: StudyRecord) -> list[Trial]:
        """All its trials."""
        ...

    def trial(self, record: StudyRecord, number: int) -> Trial:
        """One of them. Raises NotFoundError."""
        ...

    def attempts(self, record: StudyRecord, number: int) -> list[dict[str, Any]]:
        """The attempts of a trial: `n`, `state` and where its `log` is."""
        ...

    def log(self, record: StudyRecord, number: int, attempt: Mapping[str, Any]) -> str:
        """The log of one of them."""
        ...

    def export(
        self,
        study: Standing,
        folder: Path,
        *,
        trial: int | None,
        limits: Mapping[str, float],
        formats: Sequence[str],
    ) -> dict[str, Any]:
        """Writes a student, verified; gives what `student.json` holds."""
        ...

    def events(self, study: Standing) -> AbstractContextManager[Iterator[Happened]]:
        """What happens to it from now on, without an end."""
        ...


@contextmanager
def open_records(
    context: typer.Context, storage: str, server: str | None, *, create: bool = False
) -> Iterator[Records]:
    """The studies that a command is meant for.

    Args:
        context: of the command.
        storage: its option.
        server: its option.
        create: whether a database that is not there may be made.
    """
    url = server_of(context, server)
    opened = local_records(storage, create=create) if url is None else remote_records(url)
    with opened as records:
        yield records


def server_of(context: typer.Context, server: str | None) -> str | None:
    """The server that a command is meant for; None: a database of this machine.

    Raises:
        typer.BadParameter: both were asked for.
    """
    root = context.find_root()
    url: str | None = server or root.params.get("server")
    if url and is_given(context, "storage"):
        if is_given(context, "server") or is_given(root, "server"):
            raise typer.BadParameter("expected --storage or --server, got both")
        return None  # what is on the command line counts for more than what is in the environment
    return url or None


class _Context(Protocol):
    def get_parameter_source(self, name: str, /) -> Enum | None: ...


def is_given(context: _Context, option: str) -> bool:
    """Whether an option is on the command line, not in the environment or left out."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


@contextmanager
def local_records(storage: str, *, create: bool = False) -> Iterator[LocalRecords]:
    """The studies in a database."""
    from autokd.cli.local import LocalRecords
    from autokd.store import Store

    with Store.open(storage, create=create) as store:
        yield LocalRecords(store, options_of(storage))


@contextmanager
def remote_records(url: str) -> Iterator[RemoteRecords]:
    """The studies of a server."""
    from autokd.cli.remote import RemoteRecords
    from autokd.client import Client

    with Client(url) as client:
        yield RemoteRecords(client, f" --server {shlex.quote(client.url)}")


def options_of(storage: str) -> str:
    """What a command needs to find a database again."""
    return "" if storage == DEFAULT_STORAGE else f" --storage {shlex.quote(storage)}"


def deleted_study(records: Records, name: str) -> Standing:
    """The deleted study that a person means, by name or number.

    Raises:
        NotFoundError: no deleted study is called so.
        ConflictError: several are.
    """
    deleted = records.studies(deleted=True)
    found = [study for study in deleted if name in (study.name, str(study.id))]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = ", ".join(str(study.id) for study in found)
        raise ConflictError(
            f"{len(found)} deleted studies are called {name!r}: {numbers}", hint="give the number"
        )
    if any(name in (study.name, str(study.id)) for study in records.studies()):
        raise ConflictError(f"study {name!r} is not deleted", hint="delete it first")
    raise NotFoundError(
        f"there is no deleted study {name!r}",
        hint=did_you_mean(name, [study.name for study in deleted])
        or "`autokd study list --deleted` shows all",
    )
