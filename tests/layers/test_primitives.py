from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from autokd.layers import Convolution, average_pooling


def test_a_convolution_keeps_the_size_and_the_variance_of_the_gradient() -> None:
    torch.manual_seed(0)
    module = Convolution(64, 128, 3, bias=True)
    assert module(torch.rand(1, 64, 5, 7)).shape == (1, 128, 5, 7)
    assert module.weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert module.bias is not None and not module.bias.any()


def test_on_meta_no_number_is_drawn() -> None:
    before = torch.get_rng_state()
    with torch.device("meta"):
        Convolution(3, 4, 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("before", "after"), [((8, 8), (4, 2)), ((7, 9), (3, 3)), ((5, 5), (1, 1))]
)
def test_pooling_equals_adaptive_pooling_whether_or_not_the_sizes_divide(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    images = torch.rand(2, 3, *before)
    expected = functional.adaptive_avg_pool2d(images, after)
    assert torch.allclose(average_pooling(before, after)(images), expected)
