from __future__ import annotations

import pickle  # noqa: TID251 (as data travels to worker processes)
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from autokd.data import ArrayReader, ImageSet, StreamedImages, TensorImages

N = 11
PIXELS = torch.arange(N * 2 * 3 * 3).remainder(251).to(torch.uint8).reshape(N, 2, 3, 3)
LABELS = torch.arange(N) % 4


def in_memory() -> ImageSet:
    return TensorImages(PIXELS, LABELS)


def streamed(workers: int = 0) -> ImageSet:
    """The same images from a reader that holds them backwards, among others."""
    reader = ArrayReader(torch.cat((torch.zeros(5, 2, 3, 3, dtype=torch.uint8), PIXELS.flip(0))))
    return StreamedImages(reader, torch.arange(N + 4, 4, -1), LABELS, workers)


@pytest.fixture(params=[in_memory, streamed], ids=["in memory", "streamed"])
def images(request: pytest.FixtureRequest) -> ImageSet:
    make: Callable[[], ImageSet] = request.param
    return make()


def collect(images: ImageSet, order: Tensor, batch_size: int) -> tuple[list[int], Tensor, Tensor]:
    batches = list(images.batches(order, batch_size))
    sizes = [len(indices) for indices, _ in batches]
    return sizes, torch.cat([b[0] for b in batches]), torch.cat([b[1] for b in batches])


class TestEveryImageSet:
    def test_has_a_length_and_labels(self, images: ImageSet) -> None:
        assert len(images) == N
        assert torch.equal(images.labels, LABELS)

    def test_fetches_images_by_index_in_the_order_asked_for(self, images: ImageSet) -> None:
        indices = torch.tensor([3, 0, 10, 3])
        assert torch.equal(images.fetch(indices), PIXELS[indices])
        assert images.fetch(indices).dtype == torch.uint8

    def test_gives_batches_in_the_given_order_and_a_short_last_one(self, images: ImageSet) -> None:
        order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
        sizes, indices, pixels = collect(images, order, 4)
        assert sizes == [4, 4, 3]
        assert torch.equal(indices, order)
        assert torch.equal(pixels, PIXELS[order])

    def test_gives_batches_of_a_part_of_its_samples(self, images: ImageSet) -> None:
        order = torch.tensor([9, 2, 5])
        _, indices, pixels = collect(images, order, 2)
        assert torch.equal(indices, order)
        assert torch.equal(pixels, PIXELS[order])

    def test_leaves_the_global_generator_alone(self, images: ImageSet) -> None:
        before = torch.get_rng_state()
        collect(images, torch.arange(N), 4)
        assert torch.equal(torch.get_rng_state(), before)

    def test_is_the_same_after_pickling(self, images: ImageSet) -> None:
        copy: ImageSet = pickle.loads(pickle.dumps(images))
        assert torch.equal(copy.fetch(torch.arange(N)), PIXELS)
        assert torch.equal(copy.labels, LABELS)

    def test_moves_to_another_device(self, images: ImageSet) -> None:
        moved = images.to(torch.device("meta"))
        assert moved.labels.device.type == "meta"
        assert images.labels.device.type == "cpu"


def test_worker_processes_give_the_same_batches_in_the_same_order() -> None:
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    sizes, indices, pixels = collect(streamed(workers=1), order, 3)
    assert sizes == [3, 3, 3, 2]
    assert torch.equal(indices, order)
    assert torch.equal(pixels, PIXELS[order])


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        (PIXELS.float(), LABELS),
        (PIXELS[:, 0], LABELS),
        (PIXELS, LABELS[:-1]),
        (PIXELS, LABELS.int()),
    ],
)
def test_tensors_of_the_wrong_type_or_length_are_refused(pixels: Tensor, labels: Tensor) -> None:
    with pytest.raises(ValueError, match="expected"):
        TensorImages(pixels, labels)


def test_an_array_is_scaled_only_if_another_size_is_asked_for() -> None:
    everything = torch.arange(N)
    same = ArrayReader(PIXELS, image_size=3)
    assert torch.equal(same[everything], PIXELS)
    larger = ArrayReader(PIXELS, image_size=6)
    assert larger.shape == (2, 6, 6)
    assert larger[everything].shape == (N, 2, 6, 6)
    assert torch.equal(larger[torch.tensor([4])], larger[everything][4:5])
    flat = ArrayReader(torch.full((1, 1, 4, 4), 77, dtype=torch.uint8), image_size=2)
    assert torch.equal(flat[torch.tensor([0])], torch.full((1, 1, 2, 2), 77, dtype=torch.uint8))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("make", [in_memory, streamed], ids=["in memory", "streamed"])
def test_batches_for_a_gpu_are_the_same(make: Callable[[], ImageSet]) -> None:
    images = make().to(torch.device("cuda"))
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    _, indices, pixels = collect(images, order, 4)
    assert {images.labels.device.type, indices.device.type, pixels.device.type} == {"cuda"}
    assert torch.equal(indices.cpu(), order)
    assert torch.equal(pixels.cpu(), PIXELS[order])
    assert torch.equal(images.fetch(order).cpu(), PIXELS[order])
