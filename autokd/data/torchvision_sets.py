"""The classification sets of torchvision, as data of a study."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from autokd.data.data import Data, DataOptions, Source, build_data
from autokd.data.idx import check_idx_files, has_idx_files, read_idx_split
from autokd.data.readers import ArrayReader, FileReader
from autokd.errors import DataError, UnknownNameError
from autokd.spec.models import AugmentationSpec

if TYPE_CHECKING:
    from typing import Unpack

_NOTHING = AugmentationSpec()
_CROP = AugmentationSpec(pad=2)
_CROP_AND_FLIP = AugmentationSpec(pad=2, flip=True)
_CIFAR = AugmentationSpec(pad=4, flip=True)


@dataclass(frozen=True)
class _Arrays:
    """The class keeps all images of a split, of one size, in the array `data`.

    Attributes:
        labels: attribute with the labels.
        channels: which axis of `data` is the channels'; None for grey images without one.
    """

    labels: str = "targets"
    channels: int | None = None


@dataclass(frozen=True)
class _Files:
    """The class keeps the paths of a split's images, which may differ in size.

    Attributes:
        paths: attribute with the paths.
        labels: attribute with the labels; None if `paths` has pairs (path, label).
    """

    paths: str = "_image_files"
    labels: str | None = "_labels"


@dataclass(frozen=True)
class _Set:
    """How a class of `torchvision.datasets` is constructed, and where it keeps what it has read.

    Attributes:
        cls: name of the class.
        folder: where the class looks for its files, below `root`.
        keeps: where its images are.
        train: splits that together are the training images; None if the class has a switch
            `train` in place of named splits.
        test: the split of the test images.
        arguments: further arguments, by name.
        customary: the augmentation that most papers use.
        is_idx: whether it is stored like MNIST, as four idx files of the same names.
    """

    cls: str
    folder: str
    keeps: _Arrays | _Files
    train: tuple[str, ...] | None = ("train",)
    test: str = "test"
    arguments: tuple[tuple[str, str], ...] = ()
    customary: AugmentationSpec = _NOTHING
    is_idx: bool = False

    def splits(self, *, test: bool) -> list[Mapping[str, Any]]:
        """The constructor's arguments for each of the splits that make up train or test."""
        common = dict(self.arguments)
        if self.train is None:
            return [{**common, "train": not test}]
        return [{**common, "split": split} for split in ((self.test,) if test else self.train)]


_GREY, _RGB = _Arrays(), _Arrays(channels=3)
_CHANNELS_FIRST = _Arrays(labels="labels", channels=1)
_PATHS, _PAIRS = _Files(), _Files("_samples", None)

_SETS: Mapping[str, _Set] = {
    "cifar10": _Set("CIFAR10", "cifar-10-batches-py", _RGB, None, customary=_CIFAR),
    "cifar100": _Set("CIFAR100", "cifar-100-python", _RGB, None, customary=_CIFAR),
    "country211": _Set("Country211", "country211", _Files("samples", None), ("train", "valid")),
    "dtd": _Set("DTD", "dtd", _PATHS, ("train", "val")),
    "emnist": _Set(
        "EMNIST", "EMNIST/raw", _GREY, None, arguments=(("split", "balanced"),), customary=_CROP
    ),
    "fashion_mnist": _Set(
        "FashionMNIST", "FashionMNIST/raw", _GREY, None, customary=_CROP_AND_FLIP, is_idx=True
    ),
    "fgvc_aircraft": _Set("FGVCAircraft", "fgvc-aircraft-2013b", _PATHS, ("trainval",)),
    "flowers102": _Set("Flowers102", "flowers-102", _PATHS, ("train", "val")),
    "food101": _Set("Food101", "food-101", _PATHS),
    "gtsrb": _Set("GTSRB", "gtsrb", _PAIRS),
    "imagenette": _Set("Imagenette", "imagenette2", _PAIRS, test="val"),
    "kmnist": _Set("KMNIST", "KMNIST/raw", _GREY, None, customary=_CROP, is_idx=True),
    "mnist": _Set("MNIST", "MNIST/raw", _GREY, None, customary=_CROP, is_idx=True),
    "oxford_iiit_pet": _Set("OxfordIIITPet", "oxford-iiit-pet", _Files("_images"), ("trainval",)),
    "rendered_sst2": _Set("RenderedSST2", "rendered-sst2", _PAIRS, ("train", "val")),
    "stanford_cars": _Set("StanfordCars", "stanford_cars", _PAIRS),
    "stl10": _Set("STL10", "stl10_binary", _CHANNELS_FIRST),
    "svhn": _Set("SVHN", "", _CHANNELS_FIRST),
    "usps": _Set("USPS", "", _GREY, None, customary=_CROP),
}

TORCHVISION_SETS: tuple[str, ...] = tuple(_SETS)
"""Names that `torchvision_set` knows: the classification sets with labelled test images."""


def torchvision_set(
    name: str,
    root: Path | str = "data",
    *,
    download: bool = False,
    image_size: int | None = None,
    **options: Unpack[DataOptions],
) -> Data:
    """A classification set of torchvision, by its name in snake case (`TORCHVISION_SETS`).

    `emnist` is the "balanced" split of 47 classes. The test images of `imagenette` are its
    validation images; of the other sets, named validation images count as training images. MNIST,
    Fashion-MNIST and KMNIST are also read from a `root` that holds their four idx files itself,
    packed or not.

    Args:
        name: of the set.
        root: folder that torchvision reads.
        download: whether torchvision may fetch files that are missing; nothing is fetched
            otherwise.
        image_size: side in pixels of the square that images are scaled to (cropped to the middle
            square first); needed if they differ in size.
        **options: see `DataOptions`; customary are crops with padding, and mirror images for CIFAR
            and Fashion-MNIST, where papers use them.

    Raises:
        UnknownNameError: no such set.
        DataError: files are missing or corrupt, or `image_size` is needed and not given.
    """
    if name not in _SETS:
        raise UnknownNameError("torchvision data set", name, _SETS)
    entry = _SETS[name]
    root = Path(root).expanduser()
    if image_size is None and isinstance(entry.keeps, _Files):
        raise DataError(
            f"{name}: expected image_size, because its images differ in size",
            hint="set image_size to the side in pixels that images are scaled to, 64 for example",
            field="data.image_size",
        )
    if entry.is_idx and has_idx_files(root):
        check_idx_files(root)
        read = partial(_read_idx, root, image_size)
    else:
        read = partial(_read_torchvision, name, root, download, image_size)
    return build_data(name, read(test=False), partial(read, test=True), entry.customary, **options)


def _read_idx(root: Path, image_size: int | None, *, test: bool) -> Source:
    images, labels = read_idx_split(root, test=test)
    return Source(_array_reader(images, None, image_size), labels)


def _read_torchvision(
    name: str, root: Path, download: bool, image_size: int | None, *, test: bool
) -> Source:
    entry = _SETS[name]
    parts = [
        _construct(name, entry, root, {**arguments, "download": download})
        for arguments in entry.splits(test=test)
    ]
    if isinstance(entry.keeps, _Arrays):
        labels = np.concatenate([np.asarray(getattr(part, entry.keeps.labels)) for part in parts])
        images = np.concatenate([np.asarray(part.data) for part in parts])
        return Source(_array_reader(images, entry.keeps.channels, image_size), labels)
    assert image_size is not None  # checked by torchvision_set
    pairs = [pair for part in parts for pair in _pairs(part, entry.keeps)]
    paths = [Path(path).relative_to(root).as_posix() for path, _ in pairs]
    labels = np.asarray([label for _, label in pairs], dtype=np.int64)
    return Source(FileReader(root, paths, image_size), labels)


def _construct(name: str, entry: _Set, root: Path, arguments: Mapping[str, Any]) -> Any:
    """The object of torchvision that has read the split (or the list of its files).

    CIFAR's files are pickles; torchvision loads them only if they are, by their MD5, the official
    ones.
    """
    # Here, because torchvision takes a second to load and only these sets need it.
    datasets = importlib.import_module("torchvision.datasets")
    try:
        return getattr(datasets, entry.cls)(root, **arguments)
    # What torchvision's classes raise for files that are missing, corrupt or not to be fetched.
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, AssertionError) as error:
        folder = root / entry.folder
        fetched = "" if arguments["download"] else ", or let download: true fetch them"
        raise DataError(
            f"{name}: expected the files of torchvision.datasets.{entry.cls} in {folder}, "
            f"but they cannot be read ({str(error) or type(error).__name__})",
            hint=f"put them into {folder}{fetched}",
        ) from error


def _pairs(part: Any, keeps: _Files) -> list[tuple[str | Path, int]]:
    paths = getattr(part, keeps.paths)
    if keeps.labels is None:
        return list(paths)
    return list(zip(paths, getattr(part, keeps.labels), strict=True))


def _array_reader(images: np.ndarray, channels: int | None, image_size: int | None) -> ArrayReader:
    images = images[:, None] if channels is None else np.moveaxis(images, channels, 1)
    pixels = torch.from_numpy(np.require(images, requirements=("C", "W")))
    return ArrayReader(pixels, image_size)
