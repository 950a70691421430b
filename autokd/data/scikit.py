"""scikit-learn's digits, the real data set that needs no download."""

from __future__ import annotations

import gzip
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from autokd.data.data import Data, DataOptions, Source, build_data
from autokd.data.readers import ArrayReader
from autokd.data.split import stratified_split
from autokd.errors import DataError
from autokd.seeding import rng_for
from autokd.spec.models import AugmentationSpec

if TYPE_CHECKING:
    from typing import Unpack

_TEST_SHARE = 0.2
_TEST_SEED = 0
"""Not the study's seed: all studies are scored on the same test images."""


def digits(**options: Unpack[DataOptions]) -> Data:
    """1,797 real handwritten digits, 8x8 grey, 10 classes.

    There is no official test split: a fixed fifth of each class, the same for every seed, is held
    out as test images. The 17 grey levels of the original, 0..16, are spread over 0..255.

    Args:
        **options: see `DataOptions`; customary is a random crop with 1 pixel of padding.

    References:
        E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
        Repository, 1998, of which scikit-learn ships the test part.
    """
    return build_data(
        "digits",
        _read(test=False),
        partial(_read, test=True),
        AugmentationSpec(pad=1),
        **options,
    )


def _read(*, test: bool) -> Source:
    images, labels = _load_digits()
    rest, held_out = stratified_split(labels, _TEST_SHARE, rng_for(_TEST_SEED, 0, "digits test"))
    rows = held_out if test else rest
    pixels = np.rint(images[rows] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return Source(ArrayReader(torch.from_numpy(pixels)), labels[rows])


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (1797, 64) 0..16 and labels (1797,), as `sklearn.datasets.load_digits` gives them.

    Read from scikit-learn's own file: its import takes over a second, in every worker process.
    """
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("digits: expected scikit-learn, which holds them, but it is not installed")
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    try:
        with gzip.open(path, "rt") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(
            f"digits: expected scikit-learn's file {path}, but it cannot be read ({error})",
            hint="install scikit-learn again",
        ) from error
    return table[:, :-1], table[:, -1]
