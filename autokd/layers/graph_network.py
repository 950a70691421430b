"""A directed acyclic graph of operations as one module."""

from __future__ import annotations

import networkx as nx
from torch import Tensor, nn


class GraphNetwork(nn.Module):
    """A network given as a graph: nodes are operations, edges carry tensors.

    The node without predecessors takes the network's input; every other node takes the results of
    its predecessors, in the order in which those were added to the graph; the result of the node
    without successors is the network's.

    Nodes run in the topological order that is nearest to the order in which they were added, so
    whoever lays out the graph decides what is alive together. A tensor is freed as soon as its last
    reader has returned. What passes between the parts of one operation is out of the graph's sight
    (the caller of a module keeps its arguments alive), so memory is lowest when each node is one
    primitive: convolution and batch normalisation as two nodes, not one.

    Parameters are named `operations.<node>.<parameter>`.

    Attributes:
        graph: the wiring, with all node attributes but `operation`, for drawing and inspection.
        operations: the module of each node, in the order of running.

    Args:
        graph: nodes are named by strings without dots; node attribute `operation` is the module.

    Raises:
        ValueError: the graph has a cycle, not exactly one input and one output node, or a node
            whose name or operation cannot be used.
    """

    def __init__(self, graph: nx.DiGraph[str]) -> None:
        super().__init__()
        _check(graph)
        rank = {node: position for position, node in enumerate(graph)}
        order = list(nx.lexicographical_topological_sort(graph, key=rank.__getitem__))
        self.operations = nn.ModuleDict({node: graph.nodes[node]["operation"] for node in order})
        self.graph = _wiring(graph)
        last_reader = {node: reader for reader in order for node in graph.predecessors(reader)}
        self._output = order[-1]
        self._steps = tuple(
            (
                node,
                tuple(sorted(graph.predecessors(node), key=rank.__getitem__)),
                tuple(source for source in graph.predecessors(node) if last_reader[source] == node),
            )
            for node in order
        )

    def forward(self, images: Tensor) -> Tensor:
        """The output node's result for `images`, whatever shape the operations make of it."""
        alive: dict[str, Tensor] = {}
        for node, sources, spent in self._steps:
            operation = self.operations[node]
            # The inputs must not be bound to a name here: it would outlive the call.
            alive[node] = operation(*[alive[source] for source in sources] or [images])
            for source in spent:
                del alive[source]
        return alive[self._output]


def _wiring(graph: nx.DiGraph[str]) -> nx.DiGraph[str]:
    """A copy without the modules, which have their one home in `operations`."""
    wiring: nx.DiGraph[str] = nx.DiGraph(**graph.graph)
    for node, attributes in graph.nodes(data=True):
        kept = {name: value for name, value in attributes.items() if name != "operation"}
        wiring.add_node(node, **kept)
    wiring.add_edges_from(graph.edges(data=True))
    return wiring


def _check(graph: nx.DiGraph[str]) -> None:
    """Raise ValueError unless `graph` can be run as a network."""
    if not nx.is_directed_acyclic_graph(graph):
        raise ValueError(
            "expected a graph without cycles, got one with "
            + " → ".join(source for source, _ in nx.find_cycle(graph))
        )
    for role, degree in (("input", graph.in_degree), ("output", graph.out_degree)):
        ends = [node for node in graph if degree(node) == 0]
        if len(ends) != 1:
            raise ValueError(
                f"expected exactly one {role} node, got {len(ends)}: {ends}; "
                "join them by a node of their own"
            )
    for node, attributes in graph.nodes(data=True):
        operation = attributes.get("operation")
        if not isinstance(operation, nn.Module):
            raise ValueError(
                f"node {node!r}: expected a module as attribute 'operation', got {operation!r}"
            )
        if not isinstance(node, str) or not node or "." in node or hasattr(nn.ModuleDict, node):
            raise ValueError(
                f"node {node!r}: expected a non-empty string without dots that is not an "
                "attribute of nn.ModuleDict, as the name is part of the parameters' names"
            )
