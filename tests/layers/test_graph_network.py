from __future__ import annotations

import copy
import pickle  # noqa: TID251  # what torch and multiprocessing copy networks with
import weakref

import networkx as nx
import pytest
import torch
from torch import Tensor, nn

from autokd.layers import GraphNetwork


class Subtract(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return first - second


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, value: Tensor) -> Tensor:
        return value * self.factor


def graph_of(nodes: dict[str, nn.Module], edges: str) -> nx.DiGraph:
    graph = nx.DiGraph()
    for name, operation in nodes.items():
        graph.add_node(name, operation=operation)
    graph.add_edges_from(edge.split(">") for edge in edges.split())
    return graph


def diamond() -> GraphNetwork:
    nodes = {"start": Scale(2), "left": Scale(3), "right": Scale(5), "end": Subtract()}
    return GraphNetwork(graph_of(nodes, "start>right start>left right>end left>end"))


def test_operations_take_their_inputs_in_the_order_in_which_the_nodes_were_added() -> None:
    assert diamond()(torch.tensor(1.0)).item() == 2 * 3 - 2 * 5


def test_nodes_run_in_the_topological_order_nearest_to_that_in_which_they_were_added() -> None:
    nodes = {name: nn.Identity() for name in ("c", "a", "b")} | {"end": Subtract()}
    network = GraphNetwork(graph_of(nodes, "a>c a>b c>end b>end"))
    assert list(network.operations) == ["a", "c", "b", "end"]


def test_a_tensor_is_freed_when_its_last_reader_has_returned() -> None:
    made: dict[str, weakref.ref[Tensor]] = {}
    alive_at: dict[str, set[str]] = {}

    class Probe(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, *inputs: Tensor) -> Tensor:
            alive_at[self.name] = {name for name, tensor in made.items() if tensor() is not None}
            result = torch.zeros(1)
            made[self.name] = weakref.ref(result)
            return result

    nodes = {name: Probe(name) for name in "abcde"}
    GraphNetwork(graph_of(nodes, "a>b a>c b>d c>d d>e"))(torch.zeros(1))
    assert alive_at == {
        "a": set(),
        "b": {"a"},
        "c": {"a", "b"},
        "d": {"b", "c"},
        "e": {"d"},
    }


def test_parameters_are_named_by_their_node() -> None:
    assert list(diamond().state_dict()) == [
        "operations.start.factor",
        "operations.left.factor",
        "operations.right.factor",
    ]


def test_the_wiring_is_kept_for_drawing_without_the_modules() -> None:
    graph = graph_of({"in": nn.Identity(), "out": nn.Identity()}, "in>out")
    graph.nodes["out"]["kind"] = "plain"
    network = GraphNetwork(graph)
    assert list(network.graph.edges) == [("in", "out")]
    assert network.graph.nodes["out"] == {"kind": "plain"}
    assert "operation" in graph.nodes["out"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_computes_the_same_and_shares_nothing(copied) -> None:
    network = diamond()
    other = copied(network)
    assert other(torch.tensor(1.0)) == network(torch.tensor(1.0))
    with torch.no_grad():
        other.operations["start"].factor.zero_()
    assert network(torch.tensor(1.0)) == -4


def test_a_single_node_is_input_and_output() -> None:
    assert GraphNetwork(graph_of({"only": Scale(2)}, ""))(torch.tensor(3.0)) == 6


def test_it_exports_with_torch_export() -> None:
    program = torch.export.export(diamond(), (torch.ones(2),))
    assert torch.equal(program.module()(torch.ones(2)), torch.full((2,), -4.0))


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ("abc", "a>b b>c c>b", "without cycles"),
        ("abc", "a>c b>c", "exactly one input node, got 2"),
        ("abc", "a>b a>c", "exactly one output node, got 2"),
        ("", "", "exactly one input node, got 0"),
    ],
)
def test_a_graph_that_is_no_network_is_refused(nodes: str, edges: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GraphNetwork(graph_of({name: nn.Identity() for name in nodes}, edges))


@pytest.mark.parametrize("name", ["a.b", "", "keys", 3])
def test_a_node_name_that_cannot_name_parameters_is_refused(name: object) -> None:
    graph = nx.DiGraph()
    graph.add_node(name, operation=nn.Identity())
    with pytest.raises(ValueError, match="non-empty string without dots"):
        GraphNetwork(graph)


def test_a_node_without_a_module_is_refused() -> None:
    graph = nx.DiGraph()
    graph.add_node("a")
    with pytest.raises(ValueError, match="expected a module as attribute 'operation', got None"):
        GraphNetwork(graph)
