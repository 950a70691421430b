"""The coordinator's end of a process that runs one study or one operation."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from autokd.store import Store


class Child:
    """A process that runs `kind` number `id`, and ends when this end of its stdin is closed.

    Args:
        kind: `study` or `operation`.
        store: the record.
        id: of the study or operation.
        log: file that its output is added to; the folder is made.
    """

    def __init__(self, kind: str, store: Store, id: int, *, log: Path) -> None:
        self.version = 0
        """Of the study, as the process knows it."""
        self.since = 0
        """Number of the study's newest event when the process was started."""
        self._said: dict[str, str] = {}
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            # The URL may hold a password, and command lines can be read by all.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "autokd.coordinator.process", kind, str(id)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                text=True,
            )
        self.tell(store.url)
        self.tell(str(store.files))

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Sends a line, unless it is what was said last of its first word."""
        word = line.partition(" ")[0]
        if self._said.get(word) == line:
            return
        self._said[word] = line
        with suppress(BrokenPipeError):  # it has ended; `poll` says so
            stdin = self._stdin()
            stdin.write(f"{line}\n")
            stdin.flush()

    def told(self, word: str) -> bool:
        """Whether a line that begins with the word was sent."""
        return word in self._said

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> None:
        """Waits for its end; ends it by force if that takes longer."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Ends it by force; its workers end with it."""
        self._process.kill()
        self._process.wait()

    def release(self) -> None:
        """Closes its pipe."""
        with suppress(BrokenPipeError):
            self._stdin().close()

    def _stdin(self) -> IO[str]:
        assert self._process.stdin is not None  # it was opened as a pipe
        return self._process.stdin
