from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from autokd.cost import measure_latency
from autokd.task import Task

TASK = Task((1, 4, 4), 2)


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.seen: list[tuple[bool, bool, int]] = []

    def __deepcopy__(self, memo: dict) -> Counter:
        other = Counter()
        other.seen = self.seen
        return other

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append((self.training, torch.is_grad_enabled(), torch.get_num_threads()))
        assert images.shape == (1, 1, 4, 4)
        return images


def test_it_times_as_many_inferences_as_asked_after_the_warm_up() -> None:
    network = Counter()
    latency = measure_latency(network, TASK, "cpu", warmup=3, repeats=5)
    assert len(network.seen) == 8 and latency.repeats == 5
    assert 0 < latency.low_ms <= latency.median_ms <= latency.high_ms


def test_it_runs_a_copy_for_inference_on_the_threads_asked_for() -> None:
    network, threads = Counter(), torch.get_num_threads()
    measure_latency(network, TASK, "cpu", warmup=0, repeats=1, threads=threads + 1)
    assert network.seen == [(False, False, threads + 1)]
    assert network.training
    assert torch.get_num_threads() == threads


def test_a_network_without_values_is_refused() -> None:
    with pytest.raises(ValueError, match="got one on `meta`"):
        measure_latency(nn.Linear(2, 2, device="meta"), TASK, "cpu")


def test_no_repeats_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 repeat, got 0"):
        measure_latency(nn.Flatten(), TASK, "cpu", repeats=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_it_waits_for_the_gpu() -> None:
    heavy = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(100)))
    assert measure_latency(heavy, Task((1, 512, 512), 2), "cuda").median_ms > 0.1
