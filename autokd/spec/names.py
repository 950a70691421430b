"""Names that people may use, as far as they can be known without loading torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Literal

from autokd.errors import did_you_mean

SEARCH_SPACE_GROUP = "autokd.search_spaces"
"""Entry-point group by which installed packages offer search spaces."""

TORCHVISION_SETS = (
    "cifar10",
    "cifar100",
    "country211",
    "dtd",
    "emnist",
    "fashion_mnist",
    "fgvc_aircraft",
    "flowers102",
    "food101",
    "gtsrb",
    "imagenette",
    "kmnist",
    "mnist",
    "oxford_iiit_pet",
    "rendered_sst2",
    "stanford_cars",
    "stl10",
    "svhn",
    "usps",
)
"""Classification sets of torchvision that a study can name."""

CUSTOM = "custom"
"""What stands for a teacher, data or a space that a Python program brings as an object."""

DATA_SETS = (CUSTOM, "digits", "image_folder", "npz", *TORCHVISION_SETS)
"""Everything that `data.name` may be."""

_RESNETS = tuple(f"resnet{depth}" for depth in (8, 14, 20, 32, 44, 56, 110))
_RESNETS_4X = ("resnet8x4", "resnet32x4")
_WIDE_RESNETS = ("wrn16_1", "wrn16_2", "wrn28_10", "wrn40_1", "wrn40_2")
TEACHERS = (*_RESNETS, *_RESNETS_4X, *_WIDE_RESNETS)
"""Networks for small images that `teacher.model` may be; wrn<depth>_<widening> has more."""

ExportFormat = Literal["onnx", "safetensors", "pt2"]
"""Formats that a student can be exported in."""

_WIDE = re.compile(r"wrn(\d{1,3})_(\d{1,2})")
_WIDEST = 20_000
"""Of `depth * widening**2`, which parameters grow with; wrn28_10 has 2,800 and 36 M of them."""

_TORCHVISION_MODEL = re.compile(r"torchvision/\w+")


class UnknownWordError(ValueError):
    """A word that must come from a list does not; `hint` names the nearest that does."""

    def __init__(self, word: object, known: Iterable[str]) -> None:
        words = tuple(known)
        listed = ", ".join(map(repr, words)) or "(none)"
        expected = listed if len(words) == 1 else f"one of {listed}"
        super().__init__(f"expected {expected}; got {word!r}")
        self.hint = did_you_mean(str(word), words)


def check_data_set(name: str) -> str:
    """`name`, if it names a data set. Raises UnknownWordError otherwise."""
    if name not in DATA_SETS:
        raise UnknownWordError(name, DATA_SETS)
    return name


def check_teacher(name: str) -> str:
    """`name`, if it names a teacher network; torchvision's own names are checked when it loads.

    Raises:
        ValueError: no teacher network can have this name.
    """
    if name in (CUSTOM, *TEACHERS) or _TORCHVISION_MODEL.fullmatch(name):
        return name
    wide = _WIDE.fullmatch(name)
    if wide is None:
        raise UnknownWordError(name, (*TEACHERS, "torchvision/<name>"))
    depth, widening = int(wide[1]), int(wide[2])
    if depth < 10 or depth % 6 != 4 or widening < 1:
        raise ValueError(
            f"expected wrn<depth>_<widening> with a depth of 10, 16, 22, … (6n + 4) and a widening "
            f"of at least 1; got {name!r}"
        )
    if depth * widening**2 > _WIDEST:
        raise ValueError(
            f"expected wrn<depth>_<widening> with depth * widening^2 of at most {_WIDEST:,}; "
            f"got {name!r}, which has {depth * widening**2:,}"
        )
    return name


def installed_spaces() -> dict[str, EntryPoint]:
    """The search spaces of all installed packages by name, sorted; none of them is imported."""
    points = {point.name: point for point in entry_points(group=SEARCH_SPACE_GROUP)}
    return dict(sorted(points.items()))


def search_space_names() -> tuple[str, ...]:
    """Everything that `space.name` may be."""
    return (CUSTOM, *installed_spaces())
