"""A server of autokd, as an object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from autokd.client import retrying
from autokd.client.connection import Connection
from autokd.client.events import EventStream
from autokd.client.exports import download
from autokd.client.models import Export, LogPart, Operation, Study, Upload
from autokd.client.operations import Operations
from autokd.client.settings import server_address, token_of
from autokd.client.studies import Studies, path_of
from autokd.client.tokens import Tokens
from autokd.client.uploads import Uploads
from autokd.errors import AutokdError

_LOG_BYTES = 2**18
_LOG_SECONDS = 1.0
"""How often a log that is followed is looked at."""


class Client:
    """A server of autokd: what it has searched, and what it is to search.

        with autokd.Client("http://127.0.0.1:8000") as client:
            study = client.studies.create("studies/digits.yaml")
            for event in client.events(study=study.id):
                ...

    What the server refuses is raised as the error that it would be on this machine. A request that
    got no answer is sent again, if that can not do anything twice. Threads may share a client.

    Args:
        url: address of the server; None: `AUTOKD_SERVER`.
        token: who asks; None: `AUTOKD_TOKEN`, else the file `autokd/token` in the folder of
            settings (`XDG_CONFIG_HOME`, or `~/.config`), which others may not be able to read.
        timeout: seconds that the server may be silent for.
        transport: in place of the network, for tests.

    Raises:
        SpecError: the address is none.
        AccessError: the token is none, or its file is open to others.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._connection = Connection(server_address(url), token_of(token), timeout, transport)
        self.studies = Studies(self._connection)
        self.operations = Operations(self._connection)
        self.uploads = Uploads(self._connection)
        self.tokens = Tokens(self._connection)

    @property
    def url(self) -> str:
        """Address of the server."""
        return self._connection.server

    def close(self) -> None:
        """Closes its connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def events(self, *, study: str | None = None, after: int | None = None) -> EventStream:
        """What happens on the server, as it happens; without an end.

        It listens from this call on, not from the first event that is read: what is asked for in
        between is not older than what it will tell. A connection that is lost is made again and
        goes on after the last event.

        Args:
            study: name or id of the only study of interest; None: all.
            after: number of the last event that is known, to hear of those since.

        Raises:
            ServerUnreachableError: the server is gone, for minutes.
        """
        return EventStream(self._connection, study, after)

    def logs(
        self,
        study: str | int | Study,
        trial: int,
        *,
        attempt: int | None = None,
        follow: bool = False,
    ) -> Iterator[str]:
        """The log of a trial's attempt, in pieces.

        Args:
            study: whose.
            trial: number of the trial.
            attempt: which of its attempts; None: the newest.
            follow: whether to wait for more, until the attempt has ended.

        Raises:
            NotFoundError: no such trial or attempt.
        """
        path = f"{path_of(study)}/trials/{trial:d}/logs"
        offset = 0
        while True:
            params = {"attempt": attempt, "offset": offset, "limit": _LOG_BYTES}
            part = self._connection.read(LogPart, path, params=params)
            attempt = part.attempt or attempt
            offset = part.next_offset
            if part.text:
                yield part.text
            if offset >= part.size:
                if part.ended or not follow:
                    return
                retrying.pause(_LOG_SECONDS)

    def export(
        self,
        study: str | int | Study,
        folder: str | Path,
        *,
        best: bool = True,
        trial: int | None = None,
        max_parameters: str | None = None,
        max_memory: str | None = None,
        max_macs: str | None = None,
        max_weight: str | None = None,
        formats: Sequence[str] = ("onnx", "safetensors"),
        timeout: float | None = None,
    ) -> Export:
        """Has a student exported and verified, and downloads its files.

        Args:
            study: whose.
            folder: for the files; made if it is missing.
            best: the best student in the limits; counts where no trial is given.
            trial: number of the trial whose student is wanted, in place of the best.
            max_parameters: with the best: at most so many, like `20k`.
            max_memory: with the best: at most this peak memory, like `64KiB`.
            max_macs: with the best: at most so many multiply-accumulates, like `2M`.
            max_weight: with the best: at most so many bytes of weights, like `100KiB`.
            formats: `onnx`, `safetensors`, `pt2`.
            timeout: seconds to wait for the export at most; None: as long as it takes.

        Returns:
            What was exported: its files, and what is known of the student.

        Raises:
            NotFoundError: no such study or trial, or it has no weights yet.
            NothingFeasibleError: no finished student within the limits.
            VerificationError: a file computes something else than the student, or was damaged.
        """
        wanted = {
            "best": best if trial is None else None,
            "trial": trial,
            "max_parameters": max_parameters,
            "max_memory": max_memory,
            "max_macs": max_macs,
            "max_weight": max_weight,
            "formats": list(formats),
        }
        body = {name: value for name, value in wanted.items() if value is not None}
        asked = self._connection.ask(Operation, "POST", f"{path_of(study)}/exports", body=body)
        ended = self.operations.wait(asked.id, timeout)
        if ended.response is None:
            raise AutokdError(f"operation {asked.id} came to nothing", hint="ask for it again")
        export = self._connection.read(Export, f"exports/{ended.response['export']}")
        download(self._connection, export, Path(folder))
        return export

    def upload_teacher(self, path: str | Path) -> Upload:
        """Sends a teacher's weights; its `id` is what `teacher.weights` of a study may be.

        Raises:
            TeacherError: there is no such file, or the server refuses it; says why.
        """
        return self.uploads.send(Path(path), "teacher")

    def upload_data(self, path: str | Path) -> Upload:
        """Sends an `.npz` of images; its `id` is what `data.path` of a study may be.

        Raises:
            DataError: there is no such file, or the server refuses it; says why.
        """
        return self.uploads.send(Path(path), "data")
