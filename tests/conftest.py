"""What holds for every test: one torch thread, and examples that do not depend on the day."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings

settings.register_profile("autokd", deadline=None, derandomize=True)
settings.load_profile("autokd")


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """Many small operations run faster in one thread; tests that need no torch do not load it."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
