from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest

from autokd.drawing import layout
from autokd.drawing.graph import candidate_graph
from autokd.drawing.layout import Layout, Measures, lay_out
from autokd.errors import AutokdError
from autokd.task import Task

MEASURES = Measures(width=100, height=20, beside=10, below=30, between=40, joint=8)


def wiring(edges: str, **stages: int) -> nx.DiGraph:
    graph = nx.DiGraph(edge.split(">") for edge in edges.split())
    nx.set_node_attributes(graph, {node: stages.get(node, 0) for node in graph}, "stage")
    return graph


def crossings(found: Layout) -> int:
    """Pairs of edges that swap sides between two heights that both pass."""
    count = 0
    for number, (_, _, one) in enumerate(found.routes):
        for _, _, other in found.routes[:number]:
            ours, theirs = ({y: x for x, y in points} for points in (one, other))
            gaps = [ours[y] - theirs[y] for y in sorted(ours.keys() & theirs.keys())]
            count += sum(a * b < -1e-6 for a, b in pairwise(gaps))
    return count


def assert_sound(graph: nx.DiGraph, found: Layout) -> None:
    """What holds for every drawing."""
    rows: dict[float, list[float]] = {}
    for x, y in found.places.values():
        assert MEASURES.width / 2 - 1e-6 <= x <= found.width - MEASURES.width / 2 + 1e-6
        assert 0 < y < found.height
        rows.setdefault(y, []).append(x)
    for row in rows.values():
        for left, right in pairwise(sorted(row)):
            assert right - left >= MEASURES.width + MEASURES.beside - 1e-6
    assert {(source, target) for source, target, _ in found.routes} == set(graph.edges)
    for source, target, points in found.routes:
        (x, y), (to_x, to_y) = found.places[source], found.places[target]
        assert points[0] == (x, y + MEASURES.height / 2)
        assert points[-1] == (to_x, to_y - MEASURES.height / 2)
        assert all(upper[1] < lower[1] for upper, lower in pairwise(points))
        # An edge passes beside the nodes of the rows between, not through them.
        for at, height in points[1:-1]:
            for node_x, node_y in found.places.values():
                if abs(node_y - height) <= MEASURES.height / 2 + 1e-6:
                    assert abs(node_x - at) > MEASURES.width / 2
    for (_, _, bottom), (_, top, _) in pairwise(found.bands):
        assert bottom <= top + 1e-6
    for stage, top, bottom in found.bands:
        inside = [node for node, (_, y) in found.places.items() if top < y < bottom]
        assert set(inside) == {node for node in graph if graph.nodes[node]["stage"] == stage}


def test_a_chain_is_a_straight_column() -> None:
    graph = wiring("a>b b>c c>d", c=1, d=1)
    found = lay_out(graph, MEASURES)
    assert_sound(graph, found)
    assert {x for x, _ in found.places.values()} == {50.0}
    assert found.width == 100
    assert found.height == 4 * 20 + 3 * 30 + 40


def test_branches_stand_on_both_sides_of_where_they_part_and_meet() -> None:
    graph = wiring("a>b a>c b>d c>d")
    found = lay_out(graph, MEASURES)
    assert_sound(graph, found)
    assert {name: x for name, (x, _) in found.places.items()} == {
        "a": 105.0,
        "b": 50.0,
        "c": 160.0,
        "d": 105.0,
    }


def test_a_long_edge_is_upright_beside_the_nodes_that_it_passes() -> None:
    graph = wiring("a>b b>c c>d d>e a>e")
    found = lay_out(graph, MEASURES)
    assert_sound(graph, found)
    (points,) = (
        points for source, target, points in found.routes if (source, target) == ("a", "e")
    )
    assert len({round(x, 6) for x, _ in points[1:-1]}) == 1


def test_order_within_rows_avoids_crossings_that_need_not_be() -> None:
    graph = wiring("s>a s>b s>c a>z b>y c>x x>t y>t z>t s>x")
    found = lay_out(graph, MEASURES)
    assert_sound(graph, found)
    assert crossings(found) == 0


def test_a_node_of_a_later_stage_stands_below_all_of_the_earlier_one() -> None:
    graph = wiring("a>b b>c a>p p>q c>q", p=1, q=1)
    found = lay_out(graph, MEASURES)
    assert_sound(graph, found)
    assert found.places["p"][1] > found.places["c"][1]


def test_a_node_without_inputs_stands_right_above_its_reader() -> None:
    graph = wiring("a>b b>c c>d bias>d")
    found = lay_out(graph, MEASURES)
    assert_sound(graph, found)
    assert found.places["bias"][1] == found.places["c"][1]


def test_one_node_is_a_drawing() -> None:
    graph = nx.DiGraph()
    graph.add_node("image", stage=0)
    found = lay_out(graph, MEASURES)
    assert found.places == {"image": (50.0, 10.0)}


@pytest.mark.parametrize("centred", [True, False])
def test_random_students_are_drawn_soundly_and_the_same_each_time(
    space, drawn, monkeypatch, centred
) -> None:
    monkeypatch.setattr(layout, "_FEW", 10_000 if centred else 0)
    task = Task((3, 16, 16), 10)
    for architecture in drawn(8, task):
        data = candidate_graph(space, architecture, task)
        graph = nx.DiGraph()
        graph.add_nodes_from((node["id"], {"stage": node["stage"]}) for node in data["nodes"])
        graph.add_edges_from((edge["source"], edge["target"]) for edge in data["edges"])
        found = lay_out(graph, MEASURES)
        assert_sound(graph, found)
        assert lay_out(graph, MEASURES) == found


def test_graph_that_would_take_minutes_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(layout, "_MOST", 3)
    with pytest.raises(AutokdError, match="got 4 nodes and 3 edges"):
        lay_out(wiring("a>b b>c c>d"), MEASURES)
