"""A data set of image files, one folder for each class."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autokd.data.checks import check_test
from autokd.data.data import Data, DataOptions, Source, build_data
from autokd.data.readers import FileReader
from autokd.errors import DataError
from autokd.spec.models import AugmentationSpec

if TYPE_CHECKING:
    from typing import Unpack

_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
_LAYOUT = "expected image files as train/<class>/* and test/<class>/*"


def image_folder(root: Path | str, image_size: int, **options: Unpack[DataOptions]) -> Data:
    """Image files `root/train/<class>/*` and `root/test/<class>/*`, as RGB squares.

    Classes are numbered in the alphabetical order of the folders in `train`. Of an image the
    middle square is taken and scaled, which equals scaling the short side to `image_size` and
    cropping the centre. Files whose names end like no image's, and names that begin with a dot,
    are passed over; folders inside a class's folder belong to the class.

    Args:
        root: the folder.
        image_size: side of the square in pixels.
        **options: see `DataOptions`; no augmentation is customary.

    Raises:
        DataError: a folder is missing, a split is without images, `test` has a class that `train`
            lacks, or an image cannot be read; those of `test` are not opened before `Data.test`
            is called.
    """
    root = Path(root)
    if image_size < 1:
        raise DataError(f"{root}: expected image_size of at least 1 pixel, got {image_size}")
    classes = _classes(root, "train")
    strange = sorted(set(_classes(root, "test")) - set(classes))
    if strange:
        raise DataError(
            f"{root / 'test'}: expected classes that {root / 'train'} has, got also {strange}",
            hint="name the class folders alike in train and test",
        )
    name = root.resolve().name
    read_test = partial(_read, root, "test", image_size, classes)
    train = _read(root, "train", image_size, classes)
    data = build_data(name, train, read_test, AugmentationSpec(), **options)
    test = read_test()
    check_test(str(root), data.task, test.reader.shape, test.labels)
    return data


def _classes(root: Path, split: str) -> tuple[str, ...]:
    folder = root / split
    if not folder.is_dir():
        raise DataError(f"{root}: {_LAYOUT}, but there is no folder {folder}")
    names = (entry.name for entry in folder.iterdir() if entry.is_dir())
    classes = tuple(sorted(name for name in names if not name.startswith(".")))
    if not classes:
        raise DataError(f"{root}: {_LAYOUT}, but {folder} has no class folders")
    return classes


def _read(root: Path, split: str, image_size: int, classes: tuple[str, ...]) -> Source:
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        folder = root / split / name
        found = sorted(
            path.relative_to(root).as_posix() for path in folder.rglob("*") if _is_image(path)
        )
        if not found and split == "train":
            raise DataError(
                f"{root}: {_LAYOUT}, but {folder} has no images",
                hint=f"known endings are {', '.join(sorted(_SUFFIXES))}",
            )
        paths += found
        labels += [label] * len(found)
    return Source(FileReader(root, paths, image_size), np.asarray(labels, dtype=np.int64))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
