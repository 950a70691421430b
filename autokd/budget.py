"""What a student costs on its device (`Cost`) and what it may cost (`Budget`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COST_METRICS = ("parameters", "weight_bytes", "peak_activation_bytes", "macs", "latency_ms")
"""Figures that a budget can bound and an objective can minimise, known without training."""


@dataclass(frozen=True)
class Cost:
    """Measured figures of one network; exact but for the latency, and known without training.

    Attributes:
        parameters: number of trainable scalars.
        weight_bytes: bytes of all parameters and buffers.
        peak_activation_bytes: most bytes of live tensors (input included, weights not) at any
            moment of an inference with batch size 1.
        macs: multiply-accumulate operations of one inference with batch size 1.
        latency_ms: median wall time of one inference with batch size 1, or None if not measured.
    """

    parameters: int
    weight_bytes: int
    peak_activation_bytes: int
    macs: int
    latency_ms: float | None = None

    def figures(self) -> dict[str, float]:
        """The measured figures by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Budget:
    """Upper limits (inclusive) of the student on its device, in absolute numbers.

    Attributes:
        limits: largest allowed value by name of a figure of `Cost`.
    """

    limits: Mapping[str, float]

    def violations(self, cost: Cost) -> dict[str, float]:
        """By how much each exceeded limit is exceeded, as a share of it (0.25 = 25 % over)."""
        figures = cost.figures()
        return {
            name: (figures[name] - limit) / limit if limit > 0 else float("inf")
            for name, limit in self.limits.items()
            if figures[name] > limit
        }


def excess_in_words(violations: Mapping[str, float]) -> str:
    """By how much limits are exceeded, for messages: `1.13x the limit of parameters`."""
    times = ((name, 1 + share) for name, share in violations.items())
    return ", ".join(
        f"{each:.3g}x the limit of {name}" if each < 999.5 else f"{each:,.0f}x the limit of {name}"
        for name, each in times
    )
