"""What loads when: a client loads httpx, and nothing else does."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("code", ["import autokd", "import autokd.cli", "from autokd import Store"])
def test_who_asks_no_server_does_not_load_httpx(code):
    assert "httpx" not in loaded_by(code)


def test_a_client_loads_nothing_of_the_search():
    code = "import autokd; autokd.Client('http://host').close()"
    assert not {"optuna", "sqlalchemy", "torch", "uvicorn", "fastapi"} & loaded_by(code)


def loaded_by(code: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter has loaded after `code`."""
    report = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())
