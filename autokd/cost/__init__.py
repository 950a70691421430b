"""What a network costs on its device: exact figures without training, and measured latency."""

from __future__ import annotations

from autokd.cost.figures import measure_cost
from autokd.cost.latency import Latency, measure_latency

__all__ = ["Latency", "measure_cost", "measure_latency"]
