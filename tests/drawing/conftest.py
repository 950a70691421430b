"""Candidates of the space that most studies use, and graphs made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autokd.space import Architecture
from autokd.task import Task
from search_spaces.hierarchical_graph import HierarchicalGraph


@pytest.fixture(scope="session")
def space() -> HierarchicalGraph:
    return HierarchicalGraph(top_nodes=[3, 5], middle_nodes=[1, 3], bottom_nodes=[1, 4])


@pytest.fixture(scope="session")
def drawn(space: HierarchicalGraph) -> Callable[[int, Task], list[Architecture]]:
    """So many random architectures."""

    def draw(count: int, task: Task) -> list[Architecture]:
        points = space.domain(task, 20_000).sample(np.random.default_rng(0), count)
        return [Architecture(space.name, point, seed) for seed, point in enumerate(points)]

    return draw


Wired = Callable[..., dict[str, Any]]


@pytest.fixture
def wired() -> Wired:
    """A graph from edges like `a>b`; nodes lie in stage 0 unless it is given, by id."""

    def wire(edges: str, **stages: int) -> dict[str, Any]:
        pairs = [edge.split(">") for edge in edges.split()]
        names = dict.fromkeys(name for pair in pairs for name in pair)
        nodes = [
            {
                "id": name,
                "label": f"does {name}",
                "operation": name,
                "stage": stages.get(name, 0),
                "channels": 3,
                "shape": [3, 8, 8],
                "parameters": 10,
                "macs": 20,
                "bytes": 768,
            }
            for name in names
        ]
        totals = {
            "parameters": 10 * len(nodes),
            "weight_bytes": 40 * len(nodes),
            "peak_activation_bytes": 2048,
            "macs": 20 * len(nodes),
        }
        return {
            "nodes": nodes,
            "edges": [{"source": source, "target": target} for source, target in pairs],
            "totals": totals,
            "teacher": {},
        }

    return wire
