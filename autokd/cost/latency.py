"""How long one inference takes on a device."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from autokd.task import Task


@dataclass(frozen=True)
class Latency:
    """Wall times of single inferences with batch size 1.

    Attributes:
        median_ms: median over the repeats.
        low_ms: lower quartile.
        high_ms: upper quartile; far from the lower one when something else uses the device.
        repeats: inferences that were timed.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    repeats: int


def measure_latency(
    network: nn.Module,
    task: Task,
    device: torch.device | str,
    *,
    warmup: int = 10,
    repeats: int = 50,
    threads: int | None = None,
) -> Latency:
    """Times a copy of `network` on `device`, in evaluation mode, from the call to the logits.

    Args:
        network: takes images (n, channels, height, width); must have values (not be on `meta`).
        task: gives the shape of the image.
        device: where to run.
        warmup: inferences before the timed ones, which find caches cold and choose kernels.
        repeats: inferences that are timed, at least 1.
        threads: CPU threads to use meanwhile; None leaves them as they are, 1 varies least.

    Raises:
        ValueError: the network has no values, or `repeats` is not positive.
    """
    if repeats < 1:
        raise ValueError(f"expected at least 1 repeat, got {repeats}")
    if any(parameter.is_meta for parameter in network.parameters()):
        raise ValueError("expected a network with values, got one on `meta`; build it on the CPU")
    device = torch.device(device)
    timed = copy.deepcopy(network).to(device).eval()
    # Values change the time only if they are special (zeros, denormals), so any ordinary ones do.
    image = torch.linspace(0, 1, int(np.prod(task.input_shape)), device=device)
    image = image.reshape(1, *task.input_shape)
    with torch.inference_mode(), _threads(threads):
        for _ in range(warmup):
            timed(image)
        seconds = [_seconds(lambda: timed(image), device) for _ in range(repeats)]
    low, median, high = np.percentile(seconds, [25, 50, 75]) * 1000
    return Latency(float(median), float(low), float(high), repeats)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    _synchronise(device)
    start = time.perf_counter()
    work()
    _synchronise(device)
    return time.perf_counter() - start


def _synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was told to; a GPU is told ahead of time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)
