from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

REAL_SETS = Path(__file__).resolve().parents[3] / "shared" / "data"

Arrays = dict[str, Any]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def real_sets() -> Path:
    if not REAL_SETS.is_dir():
        pytest.skip(f"no real data sets at {REAL_SETS}")
    return REAL_SETS


@pytest.fixture
def make_arrays() -> Callable[..., Arrays]:
    """Random images, 3 classes in turn; every image differs from every other."""

    def make(
        train: int = 30, test: int = 9, shape: tuple[int, ...] = (6, 5), classes: int = 3
    ) -> Arrays:
        rng = np.random.default_rng(0)
        return {
            "x_train": rng.integers(0, 256, (train, *shape), dtype=np.uint8),
            "y_train": np.arange(train) % classes,
            "x_test": rng.integers(0, 256, (test, *shape), dtype=np.uint8),
            "y_test": np.arange(test) % classes,
        }

    return make


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """`train` and `test` with one folder per class of PNG files in several sizes."""

    def make(classes: tuple[str, ...] = ("ant", "bee"), train: int = 6, test: int = 2) -> Path:
        rng = np.random.default_rng(0)
        for split, count in (("train", train), ("test", test)):
            for name in classes:
                folder = tmp_path / "insects" / split / name
                folder.mkdir(parents=True)
                for i in range(count):
                    pixels = rng.integers(0, 256, (8 + i, 12, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{i}.png")
        return tmp_path / "insects"

    return make
