"""The command line in this process as a person calls it: arguments in; code and streams out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autokd.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """All of stdout as one JSON document."""
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in an empty folder of its own (or in what another fixture puts there)."""
    monkeypatch.chdir(tmp_path)
    for name in ("AUTOKD_SERVER", "AUTOKD_STORAGE", "AUTOKD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # in the workers; see the conftest above

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["autokd", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return Ended(end.value.code or 0, out, err)

    return run


@pytest.fixture
def own_copy(searched: Any, tmp_path: Path) -> Path:
    """A copy of the searched study's folder, to be changed, where `run` runs."""
    searched.copy_to(tmp_path)
    return tmp_path
