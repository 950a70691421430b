"""Operations on a server: what was asked for and takes longer than a request."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from autokd.client.connection import Connection
from autokd.client.models import Operation
from autokd.client.problems import error_of
from autokd.errors import ConflictError, ServerUnreachableError

_WAIT_SECONDS = 20.0
"""How long the server is asked to wait at a time; it bears up to a minute."""


class Operations:
    """The operations of a server; each is named by its id (`op_5`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(
        self, *, study: str | None = None, state: str | Sequence[str] | None = None
    ) -> Iterator[Operation]:
        """Operations, newest first; those of one study, of some states if given."""
        return self._connection.items(Operation, "operations", {"study": study, "state": state})

    def read(self, operation: str) -> Operation:
        """How it stands. Raises NotFoundError."""
        return self._connection.read(Operation, _path(operation))

    def wait(self, operation: str, timeout: float | None = None) -> Operation:
        """How it ended, when it has.

        Args:
            operation: its id.
            timeout: seconds to wait for at most; None: as long as it takes.

        Raises:
            NotFoundError: there is none.
            ServerUnreachableError: it has not ended in time.
            ConflictError: it was cancelled.
            AutokdError: why it failed, as the error that it would be on this machine.
        """
        until = time.monotonic() + timeout if timeout is not None else float("inf")
        while True:
            left = max(0.0, until - time.monotonic())
            found = self._connection.read(
                Operation,
                _path(operation),
                params={"wait": min(_WAIT_SECONDS, left)},
                timeout=_WAIT_SECONDS + self._connection.timeout,
            )
            if found.done:
                break
            if left == 0:
                raise ServerUnreachableError(
                    f"operation {operation} is still {found.state} after {timeout:.0f} s",
                    hint="does a coordinator run beside the service?",
                )
        if found.error is not None:
            raise error_of(found.error)
        if found.state == "cancelled":
            raise ConflictError(f"operation {operation} was cancelled")
        return found

    def cancel(self, operation: str) -> Operation:
        """Gives it up. Raises NotFoundError, ConflictError if it has ended."""
        return self._connection.ask(Operation, "POST", f"{_path(operation)}:cancel")


def _path(operation: str) -> str:
    return f"operations/{quote(operation, safe='')}"
