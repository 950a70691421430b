"""Each format computes what the student computes, and the check finds it if one does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from autokd.errors import VerificationError
from autokd.export.formats import FORMATS, verify

PROGRAMS = [name for name, kind in FORMATS.items() if kind.open is not None]


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_computes_what_the_student_does_for_batches_of_any_size(name, example, tmp_path):
    kind = FORMATS[name]
    path = tmp_path / kind.file
    path.write_bytes(kind.dump(example.student, torch.zeros(2, 1, 6, 6)))
    opened = kind.open(path)
    for batch in (1, 2, 7, 33):
        pixels = torch.rand(batch, 1, 6, 6, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            torch.testing.assert_close(opened(pixels), example.student(pixels), rtol=0, atol=1e-4)
    figures = verify("student", opened, example.student, example.images)
    assert figures["accuracy"] == pytest.approx(example.description.recorded_accuracy)
    assert figures["largest_difference"] < 1e-4


def wrong_by_a_constant(logits: Tensor) -> Tensor:
    return logits + 0.1


def with_classes_swapped(logits: Tensor) -> Tensor:
    return logits.flip(1)


def not_a_number(logits: Tensor) -> Tensor:
    return logits * torch.nan


def of_the_first_image_only(logits: Tensor) -> Tensor:
    return logits[:1]


def wrong_for_batches_only(logits: Tensor) -> Tensor:
    return logits if len(logits) == 1 else logits.flip(0)


@pytest.mark.parametrize(
    "fault",
    [
        wrong_by_a_constant,
        with_classes_swapped,
        not_a_number,
        of_the_first_image_only,
        wrong_for_batches_only,
    ],
)
def test_unfaithful_program_is_found(example, fault):
    with pytest.raises(VerificationError, match=r"^student: expected"):
        verify("student", lambda x: fault(example.student(x)), example.student, example.images)


def test_rounding_is_no_fault(example):
    def rounded(pixels: Tensor) -> Tensor:
        return example.student(pixels) * (1 + 1e-6)

    verify("student", rounded, example.student, example.images)


def test_a_split_smaller_than_a_batch_is_scored(example):
    from autokd.data import TensorImages

    few = TensorImages(example.images.images[:3], example.images.labels[:3])
    assert 0 <= verify("student", example.student, example.student, few)["accuracy"] <= 1
