from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.random_graphs import Wiring, erdos_renyi, watts_strogatz

SEEDS = st.integers(0, 2**63 - 1)


def check(wiring: Wiring, nodes: int) -> None:
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(wiring)))
    for node, sources in enumerate(wiring.sources):
        assert list(sources) == sorted(set(sources)) and all(source < node for source in sources)
        graph.add_edges_from((source, node) for source in sources)
    assert len(wiring) == nodes
    assert nx.is_connected(graph)
    assert wiring.outputs == tuple(n for n in range(nodes) if max(graph[n], default=-1) < n)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(2, 6), st.floats(0, 1), SEEDS)
def test_a_small_world_is_connected_and_leads_from_low_to_high(
    nodes: int, neighbours: int, rewiring: float, seed: int
) -> None:
    wiring = watts_strogatz(nodes, neighbours, rewiring, seed)
    check(wiring, nodes)
    assert wiring == watts_strogatz(nodes, neighbours, rewiring, seed)


@settings(deadline=None)
@given(st.integers(1, 10), st.floats(0, 1), SEEDS)
def test_a_uniform_graph_is_connected_and_leads_from_low_to_high(
    nodes: int, probability: float, seed: int
) -> None:
    wiring = erdos_renyi(nodes, probability, seed)
    check(wiring, nodes)
    assert wiring == erdos_renyi(nodes, probability, seed)


def test_without_an_edge_of_its_own_a_graph_is_repaired_to_a_chain() -> None:
    assert erdos_renyi(4, 0, seed=0) == Wiring(((), (0,), (1,), (2,)), (3,))


def test_repair_adds_one_edge_per_missing_connection_and_keeps_the_others() -> None:
    graph: nx.Graph[int] = nx.empty_graph(5)
    graph.add_edges_from([(0, 3), (1, 4)])
    assert Wiring.of(graph) == Wiring(((), (0,), (1,), (0,), (1,)), (2, 3, 4))


def test_without_rewiring_a_small_world_is_a_ring() -> None:
    assert watts_strogatz(5, 2, 0, seed=0).sources == ((), (0,), (1,), (2,), (0, 3))


@pytest.mark.parametrize("nodes", [3, 4])
def test_neighbours_are_clipped_to_what_the_nodes_allow(nodes: int) -> None:
    assert watts_strogatz(nodes, 4, 0.5, seed=1) == watts_strogatz(nodes, 2, 0.5, seed=1)


def test_a_ring_that_rewiring_takes_apart_is_repaired() -> None:
    check(watts_strogatz(60, 2, 1, seed=0), 60)
