from __future__ import annotations

import pytest
import torch
from torch import nn

from autokd.layers import Normalised, bare
from autokd.task import Task


def test_pixels_are_shifted_and_scaled_per_channel() -> None:
    network = Normalised(nn.Identity(), mean=(0.5, 0.25), std=(0.5, 0.25))
    images = torch.tensor([1.0, 1.0]).reshape(1, 2, 1, 1)
    assert network(images).flatten().tolist() == [1, 3]


def test_a_grey_image_is_repeated_for_a_network_of_three_channels() -> None:
    assert Normalised(nn.Identity(), [0.0] * 3, [1.0] * 3)(torch.rand(2, 1, 4, 4)).shape == (
        2,
        3,
        4,
        4,
    )


@pytest.mark.parametrize("std", [(1.0,), (1.0, 0.0)])
def test_deviations_that_do_not_fit_are_refused(std: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="positive deviations"):
        Normalised(nn.Identity(), (0.5, 0.5), std)


def test_a_bare_network_sees_as_many_channels_as_its_normalisation_makes() -> None:
    inner, grey = nn.Identity(), Task((1, 4, 5), 10)
    assert bare(inner, grey) == (inner, grey)
    assert bare(Normalised(inner, (0.5,), (1.0,)), grey) == (inner, grey)
    assert bare(Normalised(inner, [0.5] * 3, [1.0] * 3), grey) == (inner, Task((3, 4, 5), 10))
