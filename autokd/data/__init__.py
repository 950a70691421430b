"""Labelled images of a study: where they come from, how they are split, held and augmented."""

from __future__ import annotations

from autokd.data.arrays import from_arrays, npz
from autokd.data.augmentation import Augmentation, as_pixels
from autokd.data.data import Data, DataOptions
from autokd.data.folders import image_folder
from autokd.data.images import ImageSet, StreamedImages, TensorImages
from autokd.data.readers import ArrayReader, FileReader, ImageReader
from autokd.data.scikit import digits
from autokd.data.torchvision_sets import TORCHVISION_SETS, torchvision_set

__all__ = [
    "TORCHVISION_SETS",
    "ArrayReader",
    "Augmentation",
    "Data",
    "DataOptions",
    "FileReader",
    "ImageReader",
    "ImageSet",
    "StreamedImages",
    "TensorImages",
    "as_pixels",
    "digits",
    "from_arrays",
    "image_folder",
    "npz",
    "torchvision_set",
]
