"""Building blocks of networks: a graph of operations as a module, merges, primitives."""

from __future__ import annotations

from autokd.layers.graph_network import GraphNetwork
from autokd.layers.merges import GatedSum, Mean
from autokd.layers.normalised import Normalised, bare
from autokd.layers.primitives import Convolution, average_pooling

__all__ = [
    "Convolution",
    "GatedSum",
    "GraphNetwork",
    "Mean",
    "Normalised",
    "average_pooling",
    "bare",
]
