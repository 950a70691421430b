"""AutoKD's search space: students drawn by a generator of random graphs on three levels.

    top      Watts–Strogatz   nodes are cells;  edges between stages bring to resolution and planes
    middle   Erdős–Rényi      nodes are blocks; one graph drawn for each cell
    bottom   Watts–Strogatz   nodes are operations ReLU → 3×3 convolution → batch normalisation;
                              one graph drawn for each block

What is searched is the generator; an architecture is one draw of it, told apart by its seed. The
plan (wiring, stages, channels) is made without torch, which is imported only to build the network.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from autokd.errors import Mistake, SpecError
from autokd.space import Architecture, Condition, Domain
from autokd.task import Task
from search_spaces.hierarchical_layout import Layout

if TYPE_CHECKING:
    from torch import nn

Range = Sequence[float]
"""Lowest and highest value of a parameter, both included."""

_LEVELS = ("top", "middle", "bottom")
_CHANNEL_RATIOS = (1, 2, 4)
_WIDTH_STEPS = 8  # of the width, per channel of the first stage: each step widens one stage by one
_MOST_NODES, _MOST_OPERATIONS = 100, 8_000
"""Of a graph, and of a whole network, whose three levels multiply: what is larger takes minutes to
draw. The paper's has a thousand operations at most.
"""

_BOUNDS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "nodes": (
        f"whole numbers from 1 to {_MOST_NODES}",
        lambda value: isinstance(value, int) and 1 <= value <= _MOST_NODES,
    ),
    "neighbours": (
        f"even whole numbers from 2 to {_MOST_NODES} (an odd one gives the same graphs as the even "
        "one below it)",
        lambda value: isinstance(value, int) and 2 <= value <= _MOST_NODES and value % 2 == 0,
    ),
    "rewiring": ("probabilities from 0 to 1", lambda value: 0 <= value <= 1),
    "probability": ("probabilities from 0 to 1", lambda value: 0 <= value <= 1),
    "fraction": ("shares above 0, up to 1", lambda value: 0 < value <= 1),
}


class HierarchicalGraph:
    """Random graphs on three levels, as wide as a share of the parameter limit allows.

    Each argument is a range (lowest, highest) to search in; the defaults are the paper's.

    Args:
        top_nodes: cells; the first third of them is stage 0, the next stage 1, the last stage 2.
        top_neighbours: ring neighbours of a cell before rewiring, even. Clipped to what the number
            of nodes allows, so it exists only where there are more than 4 cells; below it is 2.
        top_rewiring: probability that an edge is rewired; exists only with more than 3 cells.
        middle_nodes: blocks in each cell.
        middle_probability: of an edge between two blocks; exists only with more than one block.
        bottom_nodes: operations in each block.
        bottom_neighbours: as at the top.
        bottom_rewiring: as at the top.
        parameter_fraction: share of the parameter limit that the student's width makes use of.

    Raises:
        SpecError: a range is not one; lists all of them.

    References:
        B. Ru, C. Wan, X. Dong, M. Osborne, P. Esperança, F. Carlucci, "Neural Architecture
        Generator Optimization", NeurIPS 2020 (the space); "AutoKD: Automatic Knowledge Distillation
        Into A Student Architecture Family", arXiv 2111.03555, 2021 (its use for students).

        Deviations from the published code: a graph that is not connected gets the missing edges
        instead of being drawn anew; every parameter is counted and the width solved for, where the
        code counts 3×3 convolutions only; the head has no 1280-wide convolution, which alone would
        exceed a small budget; convolutions before batch normalisation have no bias; tensors are
        pooled once per stage, not once per edge; the large-image stem uses plain convolutions;
        `parameter_fraction` is new.
    """

    name = "hierarchical_graph"
    draws = True

    def __init__(
        self,
        *,
        top_nodes: Range = (3, 10),
        top_neighbours: Range = (2, 4),
        top_rewiring: Range = (0.1, 0.9),
        middle_nodes: Range = (1, 10),
        middle_probability: Range = (0.1, 0.9),
        bottom_nodes: Range = (3, 10),
        bottom_neighbours: Range = (2, 4),
        bottom_rewiring: Range = (0.1, 0.9),
        parameter_fraction: Range = (0.3, 1.0),
    ) -> None:
        # A condition's parent stands before it, so the order of these is the domain's.
        self.ranges = {
            "top_nodes": top_nodes,
            "top_neighbours": top_neighbours,
            "top_rewiring": top_rewiring,
            "middle_nodes": middle_nodes,
            "middle_probability": middle_probability,
            "bottom_nodes": bottom_nodes,
            "bottom_neighbours": bottom_neighbours,
            "bottom_rewiring": bottom_rewiring,
            "parameter_fraction": parameter_fraction,
        }
        mistakes = [_mistake(name, value) for name, value in self.ranges.items()]
        if not any(mistakes):
            mistakes.append(_too_many(*(self.ranges[f"{level}_nodes"] for level in _LEVELS)))
        if any(mistakes):
            raise SpecError(f"search space {self.name!r}", filter(None, mistakes))

    def domain(self, task: Task, parameter_limit: int) -> Domain:
        """The generator's parameters, and the limit that the width is solved for.

        A parameter that has no meaning in any of the graphs is left out.
        """
        parameters: dict[str, BaseDistribution] = {}
        conditions: dict[str, Condition] = {}
        for name, (low, high) in self.ranges.items():
            level, _, kind = name.partition("_")
            least = {"neighbours": 5, "rewiring": 4, "probability": 2}.get(kind)
            if least is not None:
                fewest, most = (int(end) for end in self.ranges[f"{level}_nodes"])
                if most < least:
                    continue
                if fewest < least:
                    values = tuple(range(least, most + 1))
                    conditions[name] = Condition(f"{level}_nodes", values)
            parameters[name] = _distribution(kind, low, high)
        parameters["parameter_limit"] = CategoricalDistribution((parameter_limit,))
        return Domain(parameters, conditions)

    def plan(self, architecture: Architecture, task: Task) -> nx.DiGraph[str]:
        """The network as a graph of primitive operations, before it has modules; needs no torch.

        Node attributes: `kind`, `stage` (0 to 2, of the resolution), `size` (height, width) and
        `channels` of the result, `in_channels`, `gates` of a merge and `stride` of a convolution.
        """
        graph = Layout(architecture, task).graph
        limit = int(
            float(architecture.choices["parameter_fraction"])
            * int(architecture.choices["parameter_limit"])
        )
        _solve_width(graph, limit, task)
        return graph

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        """The student: takes images (n, channels, height, width), gives logits (n, classes)."""
        from autokd.layers import GraphNetwork

        graph = self.plan(architecture, task)
        for name in graph:
            graph.nodes[name]["operation"] = _module(graph, name)
        return GraphNetwork(graph)


def _mistake(name: str, value: Any) -> Mistake | None:
    expected, fits = _BOUNDS[name.rpartition("_")[2]]
    is_range = (
        isinstance(value, Sequence)
        and len(value) == 2
        and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
        and value[0] <= value[1]
        and all(fits(end) for end in value)
    )
    if is_range:
        return None
    return Mistake(f"space.{name}", f"expected [lowest, highest], {expected}; got {value!r}")


def _too_many(*nodes: Range) -> Mistake | None:
    """What is wrong with the numbers of nodes on the three levels together."""
    operations = int(math.prod(highest for _, highest in nodes))
    if operations <= _MOST_OPERATIONS:
        return None
    return Mistake(
        "space",
        f"expected at most {_MOST_OPERATIONS:,} operations in a network, the product of the "
        f"highest {', '.join(f'{level}_nodes' for level in _LEVELS)}; got {operations:,}",
    )


def _distribution(kind: str, low: float, high: float) -> BaseDistribution:
    if kind == "nodes":
        return IntDistribution(int(low), int(high))
    if kind == "neighbours":
        return IntDistribution(int(low), int(high), step=2)
    return FloatDistribution(low, high)


def parameter_count(plan: nx.DiGraph[str]) -> int:
    """Exact number of parameters of the network that a plan is built to, gates and all."""
    return sum(
        _parameters(node["kind"], node["in_channels"], node["channels"]) + node.get("gates", 0)
        for _, node in plan.nodes(data=True)
    )


def _parameters(kind: str, in_channels: int, channels: int) -> int:
    """Parameters of one operation of a plan, gates aside."""
    if kind == "conv":
        return 9 * in_channels * channels
    if kind in ("project", "linear"):
        return in_channels * channels + channels
    return 2 * channels if kind == "norm" else 0


def _widths(step: int, task: Task) -> dict[str, int]:
    """Channels by the name of the planes, when the first stage is `step / _WIDTH_STEPS` wide."""
    stages = [math.floor(ratio * step / _WIDTH_STEPS + 0.5) for ratio in _CHANNEL_RATIOS]
    return {
        "image": task.input_shape[0],
        "stem": max(1, stages[0] // 2),
        **{f"stage{stage}": channels for stage, channels in enumerate(stages)},
        "classes": task.classes,
    }


def _solve_width(graph: nx.DiGraph[str], limit: int, task: Task) -> None:
    """Set `in_channels` and `channels` of all nodes to the widest that `limit` parameters allow.

    If not even one channel in the first stage fits, that is what is set: the budget refuses it.
    """

    def planes_in(name: str) -> str:
        return next((graph.nodes[node]["planes"] for node in graph.predecessors(name)), "image")

    planes = {name: (planes_in(name), node["planes"]) for name, node in graph.nodes(data=True)}
    gates: int = sum(node.get("gates", 0) for _, node in graph.nodes(data=True))
    counts = Counter((graph.nodes[name]["kind"], *ends) for name, ends in planes.items())

    def parameters(step: int) -> int:
        widths = _widths(step, task)
        return gates + sum(
            count * _parameters(kind, widths[source], widths[target])
            for (kind, source, target), count in counts.items()
        )

    # Every network has a convolution of about 9 w² parameters, which bounds the width w from above.
    steps = range(_WIDTH_STEPS, _WIDTH_STEPS * (math.isqrt(limit) + 2))
    fitting = bisect.bisect_right(steps, limit, key=parameters)
    widths = _widths(steps[max(fitting - 1, 0)], task)
    for name, (source, target) in planes.items():
        graph.nodes[name].update(in_channels=widths[source], channels=widths[target])
        del graph.nodes[name]["planes"]


def _module(graph: nx.DiGraph[str], name: str) -> nn.Module:
    """The module of one node of a plan, initialised from torch's generator."""
    from torch import nn

    from autokd.layers import Convolution, GatedSum, Mean, average_pooling

    node = graph.nodes[name]
    source = next(iter(graph.predecessors(name)), "")
    ends = node["in_channels"], node["channels"]
    match node["kind"]:
        case "conv":
            return Convolution(*ends, 3, stride=node["stride"])
        case "project":
            return Convolution(*ends, 1, bias=True)
        case "norm":
            return nn.BatchNorm2d(node["channels"])
        case "relu":
            # In place if nobody else reads the tensor: what comes before a ReLU here does not need
            # its result for the gradient.
            return nn.ReLU(inplace=len(list(graph.successors(source))) == 1)
        case "merge":
            return GatedSum(node["gates"])
        case "mean":
            return Mean()
        case "pool":
            return average_pooling(graph.nodes[source]["size"], node["size"])
        case "flatten":
            return nn.Flatten()
        case "linear":
            return nn.Linear(*ends)
    raise AssertionError(node["kind"])
