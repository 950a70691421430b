from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from autokd.data import Augmentation, as_pixels
from autokd.spec.models import AugmentationSpec

N = 40
SPECS = [
    AugmentationSpec(pad=2),
    AugmentationSpec(flip=True),
    AugmentationSpec(cutout=3),
    AugmentationSpec(pad=3, flip=True, cutout=4),
]


def images(channels: int = 2, height: int = 6, width: int = 7, seed: int = 0) -> Tensor:
    """No black pixel, so that black means padded or cut out."""
    generator = torch.Generator().manual_seed(seed)
    shape = (N, channels, height, width)
    return torch.randint(1, 256, shape, generator=generator, dtype=torch.uint8)


def all_views(spec: AugmentationSpec, epoch: int = 0, seed: int = 0) -> Tensor:
    return Augmentation(spec, N, seed).view(images(), torch.arange(N), epoch)


def test_with_everything_off_a_view_is_the_image_divided_by_255() -> None:
    views = all_views(AugmentationSpec())
    assert views.dtype == torch.float32
    assert torch.equal(views, images().float() / 255)
    assert torch.equal(views, as_pixels(images()))


@pytest.mark.parametrize("spec", SPECS, ids=str)
@settings(max_examples=20, deadline=None)
@given(
    order=st.permutations(range(N)),
    batch_size=st.integers(1, N),
    epochs=st.lists(st.integers(0, 3), min_size=1, max_size=4),
)
def test_a_view_depends_only_on_seed_epoch_and_sample(
    spec: AugmentationSpec, order: list[int], batch_size: int, epochs: list[int]
) -> None:
    augmentation = Augmentation(spec, N, seed=5)
    for epoch in epochs:
        expected = all_views(spec, epoch, seed=5)
        for indices in torch.split(torch.tensor(order), batch_size):
            views = augmentation.view(images()[indices], indices, epoch)
            assert torch.equal(views, expected[indices])


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_epochs_and_seeds_give_different_views(spec: AugmentationSpec) -> None:
    first = all_views(spec)
    assert not torch.equal(first, all_views(spec, epoch=1))
    assert not torch.equal(first, all_views(spec, seed=1))


def test_a_view_neither_reads_nor_moves_the_global_generator() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = all_views(SPECS[-1])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(all_views(SPECS[-1]), first)


def test_the_images_themselves_are_left_alone() -> None:
    given_images = images()
    for spec in (*SPECS, AugmentationSpec()):
        Augmentation(spec, N, 0).view(given_images, torch.arange(N), 0)
        assert torch.equal(given_images, images())


def windows(image: Tensor, pad: int) -> list[Tensor]:
    channels, height, width = image.shape
    padded = torch.zeros(channels, height + 2 * pad, width + 2 * pad)
    padded[:, pad : pad + height, pad : pad + width] = as_pixels(image)
    return [
        padded[:, top : top + height, left : left + width]
        for top in range(2 * pad + 1)
        for left in range(2 * pad + 1)
    ]


def test_a_crop_is_one_of_the_windows_of_the_zero_padded_image() -> None:
    places = []
    for image, view in zip(images(), all_views(AugmentationSpec(pad=2)), strict=True):
        found = [i for i, window in enumerate(windows(image, 2)) if torch.equal(window, view)]
        assert len(found) == 1
        places += found
    assert len(set(places)) > 12  # of 25, with 40 draws


def test_a_flip_is_the_image_or_its_mirror_image_about_half_and_half() -> None:
    originals = as_pixels(images())
    views = all_views(AugmentationSpec(flip=True))
    same = (views == originals).flatten(1).all(1)
    mirrored = (views == originals.flip(-1)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 10 <= int(mirrored.sum()) <= 30


def test_crop_and_flip_together_are_a_window_of_the_image_or_of_its_mirror_image() -> None:
    for image, view in zip(images(), all_views(AugmentationSpec(pad=1, flip=True)), strict=True):
        candidates = windows(image, 1) + [window.flip(-1) for window in windows(image, 1)]
        assert any(torch.equal(window, view) for window in candidates)


def test_a_cutout_blanks_one_square_clipped_at_the_border_in_all_channels() -> None:
    originals = as_pixels(images())
    views = all_views(AugmentationSpec(cutout=3))
    centres = set()
    for original, view in zip(originals, views, strict=True):
        blank = (view == 0).all(0)
        assert torch.equal(view, original * ~blank)
        rows, columns = blank.any(1).nonzero().flatten(), blank.any(0).nonzero().flatten()
        assert 2 <= len(rows) <= 3 and 2 <= len(columns) <= 3
        assert int(blank.sum()) == len(rows) * len(columns)
        assert rows[-1] - rows[0] == len(rows) - 1 and columns[-1] - columns[0] == len(columns) - 1
        centres.add((int(rows[0]), int(columns[0])))
    assert len(centres) > 10


def test_every_offset_is_equally_likely() -> None:
    n = 9000
    augmentation = Augmentation(AugmentationSpec(pad=1), n, 0)
    image = torch.zeros(1, 3, 3, dtype=torch.uint8)
    image[0, 1, 1] = 255
    views = augmentation.view(image.expand(n, 1, 3, 3), torch.arange(n), 0)
    share = views.mean(0).flatten()
    assert share.sum().item() == pytest.approx(1)
    # Standard deviation of a share: sqrt(1/9 * 8/9 / 9000) = 0.0033.
    assert (share - 1 / 9).abs().max().item() < 0.017


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_cpu_and_a_gpu_draw_the_same_views(spec: AugmentationSpec) -> None:
    indices = torch.arange(N)
    views = Augmentation(spec, N, 0).view(images().cuda(), indices, 0)
    assert views.device.type == "cuda"
    torch.testing.assert_close(views.cpu(), all_views(spec), rtol=1e-6, atol=0)
