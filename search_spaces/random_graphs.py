"""Random graphs as wirings: directed, acyclic, connected, and the same in every process."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx

_TRIES = 20


@dataclass(frozen=True)
class Wiring:
    """A random graph as a directed one: every edge leads from the lower node to the higher.

    Attributes:
        sources: of each node its lower neighbours, ascending; none for an input node.
        outputs: nodes without a higher neighbour, ascending; the last node is always one.
    """

    sources: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.sources)

    @classmethod
    def of(cls, graph: nx.Graph[int]) -> Wiring:
        """The wiring of `graph` with nodes 0..n-1, after connecting it.

        Each component but node 0's gets an edge to its first node from the node before that, which
        is in a component that starts earlier; so the result is connected.
        """
        firsts = sorted(min(component) for component in nx.connected_components(graph))
        graph.add_edges_from((first - 1, first) for first in firsts[1:])
        nodes = range(len(graph))
        return cls(
            tuple(tuple(sorted(other for other in graph[node] if other < node)) for node in nodes),
            tuple(node for node in nodes if all(other < node for other in graph[node])),
        )


def watts_strogatz(nodes: int, neighbours: int, rewiring: float, seed: int) -> Wiring:
    """A small world: a ring in which each node knows its nearest, with edges rewired at random.

    Args:
        nodes: at least 1.
        neighbours: of each node in the ring; clipped to the largest even number below `nodes`.
        rewiring: probability that an edge is rewired.
        seed: of the draw.

    References:
        D. Watts, S. Strogatz, "Collective dynamics of 'small-world' networks", Nature, 1998.
    """
    neighbours = min(neighbours, nodes - 1) // 2 * 2
    if neighbours < 2:
        return Wiring.of(nx.path_graph(nodes))
    try:
        graph = nx.connected_watts_strogatz_graph(nodes, neighbours, rewiring, _TRIES, seed)
    except nx.NetworkXError:  # no try was connected, as with long rings and much rewiring
        graph = nx.watts_strogatz_graph(nodes, neighbours, rewiring, seed)
    return Wiring.of(graph)


def erdos_renyi(nodes: int, probability: float, seed: int) -> Wiring:
    """Every edge exists with equal `probability`, and those that are needed to connect it."""
    return Wiring.of(nx.gnp_random_graph(nodes, probability, seed))
