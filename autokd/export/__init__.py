"""A student as files that stand alone: weights, description, model card, verified programs."""

from autokd.export.formats import FORMATS
from autokd.export.reading import read_description, read_student
from autokd.export.writing import DESCRIPTION, StudentDescription, write_student

__all__ = [
    "DESCRIPTION",
    "FORMATS",
    "StudentDescription",
    "read_description",
    "read_student",
    "write_student",
]
