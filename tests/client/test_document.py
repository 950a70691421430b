"""What docs/client.md says is so: its program and its commands run against a server."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autokd.cli import main
from autokd.client import Client
from autokd.coordinator import Coordinator
from autokd.store import Store
from tests.test_documentation import blocks

from .serving import serving

_DOCUMENT = Path(__file__).parents[2] / "docs" / "client.md"


@pytest.mark.slow
def test_the_program_and_the_commands_of_the_document_run(
    tmp_path: Path,
    tiny_spec: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (program,) = blocks(_DOCUMENT, "python")
    _, commands = blocks(_DOCUMENT, "console")
    (tmp_path / "studies").mkdir()
    spec = {**tiny_spec, "name": "digits", "limits": {"trials": 2}, "final": None}
    (tmp_path / "studies" / "digits.yaml").write_text(json.dumps(spec))
    (tmp_path / "program.py").write_text(program)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with serving(str(tmp_path / "server" / "autokd.db")) as served, coordinating(served.store):
        monkeypatch.setenv("AUTOKD_SERVER", served.url)
        monkeypatch.setenv("AUTOKD_TOKEN", served.token)
        runpy.run_path("program.py")
        printed = capsys.readouterr().out
        assert re.search(r"^\d+ % of the space is feasible$", printed, re.M)
        assert re.search(r"^\S+ \S+ teacher_epoch \{", printed, re.M)
        assert re.search(r"^\d+ 0\.\d+ \d+$", printed, re.M)
        assert (tmp_path / "student" / "student.onnx").is_file()
        for line in commands.splitlines():
            monkeypatch.setattr(sys, "argv", shlex.split(line, comments=True))
            with pytest.raises(SystemExit) as end:
                main()
            assert not end.value.code, f"{line}: {capsys.readouterr().err}"
        studies = {study.name: study.state for study in served.store.studies()}
        assert studies == {"digits": "completed"}
        assert [study.name for study in served.store.studies(deleted=True)] == ["digits-longer"]


@contextmanager
def coordinating(store: Store) -> Iterator[None]:
    """A coordinator runs what is queued, while the block lasts."""
    coordinator = Coordinator(store, slots=1)
    thread = threading.Thread(target=coordinator.run)
    thread.start()
    try:
        yield
    finally:
        coordinator.stop()
        thread.join()


def test_the_document_names_what_the_client_has() -> None:
    text = _DOCUMENT.read_text(encoding="utf-8")
    with Client("http://autokd.test", "akd_x") as client:
        for row in re.findall(r"^\| `client\.studies` \| (.*) \|$", text, re.M):
            for name in re.findall(r"`(\w+)`", row):
                assert callable(getattr(client.studies, name))
        for name in re.findall(r"`client\.(\w+)", text):
            assert hasattr(client, name)
