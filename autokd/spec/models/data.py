"""The data of a study: which images, how they are split and augmented."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from autokd.spec.models.base import Spec
from autokd.spec.names import TORCHVISION_SETS, check_data_set
from autokd.spec.quantity import AbsoluteBytes, Quantity

_LARGEST_SIDE = 2048
"""Pixels; students are for small devices, and memory grows with the square."""


class AugmentationSpec(Spec):
    """Random views of a training image; all off gives the image itself."""

    pad: int = Field(
        0, ge=0, le=_LARGEST_SIDE, description="Zero padding in pixels before a random crop."
    )
    flip: bool = Field(False, description="Mirror left-right with probability 1/2.")
    cutout: int = Field(
        0,
        ge=0,
        le=_LARGEST_SIDE,
        description="Side in pixels of a square blanked out at random.",
    )


class _DataSpec(Spec):
    validation: float = Field(
        0.2, gt=0, lt=1, description="Share of the training images held out to steer the search."
    )
    augmentation: AugmentationSpec | None = Field(
        None, description="Left out: what is customary for the data set."
    )
    train_limit: int | None = Field(
        None, gt=0, description="Use only this many training images, equally of each class."
    )
    memory_limit: AbsoluteBytes = Field(
        Quantity.parse("2GiB"),
        description="Sets whose uint8 images are larger are read through a DataLoader.",
    )


class DigitsSpec(_DataSpec):
    """scikit-learn's 1,797 real handwritten digits, 8x8 grey; needs no download."""

    name: Literal["digits"] = Field(description="Always `digits`.")


class NpzSpec(_DataSpec):
    """A NumPy archive with `x_train, y_train, x_test, y_test`; images uint8, (n, h, w[, c])."""

    name: Literal["npz"] = Field(description="Always `npz`.")
    path: Path = Field(description="The archive; relative to the folder that the study runs in.")


class ImageFolderSpec(_DataSpec):
    """`root/train/<class>/*` and `root/test/<class>/*` image files, resized to a square."""

    name: Literal["image_folder"] = Field(description="Always `image_folder`.")
    root: Path = Field(description="Holds train/ and test/; relative to where the study runs.")
    image_size: int = Field(
        gt=0, le=_LARGEST_SIDE, description="Side in pixels that images are resized to."
    )


class TorchvisionSpec(_DataSpec):
    """A classification set of torchvision, in snake case, like `fashion_mnist`."""

    name: Annotated[str, AfterValidator(check_data_set)] = Field(
        description="Which set.", json_schema_extra={"enum": list(TORCHVISION_SETS)}
    )
    root: Path = Field(
        Path("data"), description="Folder of the files; relative to where the study runs."
    )
    download: bool = Field(False, description="Whether torchvision may download what is missing.")
    image_size: int | None = Field(
        None,
        gt=0,
        le=_LARGEST_SIDE,
        description="Side in pixels to resize to; needed if images differ in size.",
    )


class CustomDataSpec(_DataSpec):
    """Images that a Python program brings: `assemble_study(…, data=…)`."""

    name: Literal["custom"] = Field(description="Always `custom`.")


def _data_kind(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return name if name in ("digits", "npz", "image_folder", "custom") else "torchvision"


DataSpec = Annotated[
    Annotated[DigitsSpec, Tag("digits")]
    | Annotated[NpzSpec, Tag("npz")]
    | Annotated[ImageFolderSpec, Tag("image_folder")]
    | Annotated[CustomDataSpec, Tag("custom")]
    | Annotated[TorchvisionSpec, Tag("torchvision")],
    Discriminator(_data_kind),
]
