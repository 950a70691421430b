"""Where the nodes and edges of a layered drawing lie.

    K. Sugiyama, S. Tagawa, M. Toda, "Methods for Visual Understanding of Hierarchical System
    Structures", IEEE Transactions on Systems, Man, and Cybernetics, 1981

in its three steps: a row for each node, an order within each row that has few crossings, and places
that keep the order and make edges straight. An edge over several rows passes through a joint in
each row between, which takes part in all steps as a narrow node.
"""

from __future__ import annotations

import bisect
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from autokd.errors import AutokdError

_SWEEPS = 24
"""Rounds down and up for the order; more of them change little."""

_PULLS = (1.0, 2.0, 8.0)
"""How strongly an edge keeps upright: between nodes, between a node and a joint, between joints."""

_CENTRED = 0.3
"""How strongly a node keeps to the middle of its neighbours."""

_FEW, _MOST = 6_000, 30_000
"""Nodes and joints up to which nodes are centred, which takes a second then; and that are drawn."""

Ranks = Sequence[Sequence[Hashable]]
"""Nodes (their ids) and joints (edge and row) of each row, from left to right."""

Neighbours = Mapping[Hashable, Sequence[Hashable]]
Point = tuple[float, float]


@dataclass(frozen=True)
class Measures:
    """Sizes of a drawing in pixels.

    Attributes:
        width: of a node.
        height: of a node.
        beside: least space between two nodes of a row.
        below: space between two rows.
        between: extra space between the last row of a stage and the first of the next.
        joint: least space beside an edge that passes between nodes.
    """

    width: float
    height: float
    beside: float
    below: float
    between: float
    joint: float


@dataclass(frozen=True)
class Layout:
    """A drawing's geometry; x from 0 to `width`, y from 0 (first row) to `height`.

    Attributes:
        width: of all nodes and edges.
        height: likewise.
        places: middle of each node, by its id.
        routes: (source, target, points) of each edge, from the foot of the source to the head of
            the target, with the points where it enters and leaves each row between.
        bands: (stage, top, bottom) of each stage, by ascending stage; nodes lie well within.
    """

    width: float
    height: float
    places: Mapping[str, Point]
    routes: Sequence[tuple[str, str, Sequence[Point]]]
    bands: Sequence[tuple[int, float, float]]


def lay_out(graph: nx.DiGraph[str], measures: Measures) -> Layout:
    """Lays a graph out from top to bottom, one stage below the other.

    Args:
        graph: without cycles; each node has the attribute `stage`, which never decreases along an
            edge.
        measures: of the drawing.

    Raises:
        AutokdError: it would take minutes.
    """
    rows = _rows(graph)
    chains = _chains(graph, rows)
    ranks = _ranks(rows, chains)
    if sum(map(len, ranks)) > _MOST:
        raise AutokdError(
            f"expected a graph that can be drawn; got {len(rows)} nodes and {len(chains)} edges",
            hint="read the graph itself, as JSON",
        )
    above, below = _neighbours(chains)
    ranks = _ordered(ranks, above, below)
    x = _straightened(ranks, above, below, measures)
    tops = _tops(graph, rows, measures)
    low = min(x.values(), default=0.0) - measures.width / 2
    high = max(x.values(), default=0.0) + measures.width / 2

    def points(chain: Sequence[Hashable]) -> list[Point]:
        source, *joints, target = chain
        first = rows[str(source)]
        found = [(x[source] - low, tops[first] + measures.height)]
        for row, joint in enumerate(joints, start=first + 1):
            found += [(x[joint] - low, tops[row]), (x[joint] - low, tops[row] + measures.height)]
        return [*found, (x[target] - low, tops[rows[str(target)]])]

    stages: dict[int, list[float]] = {}
    for node, row in rows.items():
        stages.setdefault(graph.nodes[node]["stage"], []).append(tops[row])
    margin = (measures.below + measures.between) / 2
    return Layout(
        width=high - low,
        height=max(tops, default=0.0) + measures.height,
        places={
            node: (x[node] - low, tops[row] + measures.height / 2) for node, row in rows.items()
        },
        routes=[(edge[0], edge[1], points(chain)) for edge, chain in chains.items()],
        bands=[
            (stage, min(found) - margin, max(found) + measures.height + margin)
            for stage, found in sorted(stages.items())
        ],
    )


def _rows(graph: nx.DiGraph[str]) -> dict[str, int]:
    """The row of each node: below all that it reads, and below the stages before its own."""
    rows: dict[str, int] = {}
    last: dict[int, int] = {}
    order = {node: position for position, node in enumerate(nx.topological_sort(graph))}
    for node in sorted(graph, key=lambda node: (graph.nodes[node]["stage"], order[node])):
        stage = graph.nodes[node]["stage"]
        start = 1 + max((row for other, row in last.items() if other < stage), default=-1)
        rows[node] = max(start, 1 + max((rows[p] for p in graph.predecessors(node)), default=-1))
        last[stage] = max(last.get(stage, 0), rows[node])
    first = next(iter(rows), None)
    for node in rows:
        # A parameter that is read by itself has no inputs; it stands right above its reader.
        if node != first and not graph.in_degree(node) and graph.out_degree(node):
            rows[node] = max(rows[node], min(rows[r] for r in graph.successors(node)) - 1)
    return rows


def _chains(
    graph: nx.DiGraph[str], rows: Mapping[str, int]
) -> dict[tuple[str, str], list[Hashable]]:
    """Each edge as source, joints, target: one in every row from the source's to the target's."""
    return {
        (source, target): [
            source,
            *((source, target, row) for row in range(rows[source] + 1, rows[target])),
            target,
        ]
        for source, target in graph.edges
    }


def _ranks(
    rows: Mapping[str, int], chains: Mapping[tuple[str, str], Sequence[Hashable]]
) -> list[list[Hashable]]:
    """Nodes and joints by row."""
    ranks: list[list[Hashable]] = [[] for _ in range(max(rows.values(), default=-1) + 1)]
    for node, row in rows.items():
        ranks[row].append(node)
    for (source, _), chain in chains.items():
        for row, joint in enumerate(chain[1:-1], start=rows[source] + 1):
            ranks[row].append(joint)
    return ranks


def _neighbours(
    chains: Mapping[tuple[str, str], Sequence[Hashable]],
) -> tuple[Neighbours, Neighbours]:
    """What each node and joint is connected to in the row above, and in the row below."""
    above: dict[Hashable, list[Hashable]] = {}
    below: dict[Hashable, list[Hashable]] = {}
    for chain in chains.values():
        for upper, lower in pairwise(chain):
            below.setdefault(upper, []).append(lower)
            above.setdefault(lower, []).append(upper)
    return above, below


def _ordered(
    ranks: Sequence[Sequence[Hashable]], above: Neighbours, below: Neighbours
) -> list[list[Hashable]]:
    """The rows in the order of the means of their neighbours; the best of some rounds."""
    current = [list(rank) for rank in ranks]
    best, fewest = current, _crossings(current, below)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        downwards = sweep % 2 == 0
        current = [list(rank) for rank in current]
        neighbours = above if downwards else below
        numbers = range(1, len(current)) if downwards else range(len(current) - 2, -1, -1)
        for number in numbers:
            other = current[number - 1 if downwards else number + 1]
            place = {node: float(position) for position, node in enumerate(other)}
            # Where a node has no neighbours, it keeps its place among the others.
            scale = len(other) / max(1, len(current[number]))
            means = {
                node: _mean([place[each] for each in neighbours.get(node, ())], position * scale)
                for position, node in enumerate(current[number])
            }
            current[number].sort(key=means.__getitem__)
        crossings = _crossings(current, below)
        if crossings < fewest:
            best, fewest = current, crossings
    return best


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _crossings(ranks: Sequence[Sequence[Hashable]], below: Neighbours) -> int:
    """Pairs of edges that cross between neighbouring rows."""
    crossings = 0
    for upper, lower in pairwise(ranks):
        place = {node: position for position, node in enumerate(lower)}
        seen: list[int] = []
        for node in upper:
            ends = sorted(place[each] for each in below.get(node, ()))
            crossings += sum(len(seen) - bisect.bisect_right(seen, end) for end in ends)
            for end in ends:
                bisect.insort(seen, end)
    return crossings


def _straightened(
    ranks: Ranks, above: Neighbours, below: Neighbours, measures: Measures
) -> dict[Hashable, float]:
    """Middle of each node and joint: least sum of sideways steps of all pieces of edges.

    A linear program, after E. Gansner, E. Koutsofios, S. North, K. Vo, "A Technique for Drawing
    Directed Graphs", IEEE Transactions on Software Engineering, 1993 (section 4.2). Deviation: a
    small weight on the step from a node to the mean of several neighbours, which centres it where
    the sum leaves a choice.
    """
    from scipy.optimize import linprog  # takes a good half second to load, once
    from scipy.sparse import coo_matrix

    column = {node: number for number, node in enumerate(node for rank in ranks for node in rank)}
    steps: list[tuple[float, Hashable, Sequence[Hashable]]] = [
        (_PULLS[_is_joint(node) + _is_joint(other)], node, [other])
        for node, others in above.items()
        for other in others
    ]
    steps += [
        (_CENTRED, node, others)
        for neighbours in ((above, below) if len(column) <= _FEW else ())
        for node, others in neighbours.items()
        if len(others) > 1
    ]
    rows: list[list[tuple[int, float]]] = []
    limits: list[float] = []
    for number, (_, node, others) in enumerate(steps, start=len(column)):
        for sign in (1.0, -1.0):  # it is at least the difference, whichever way
            mean = [(column[other], -sign / len(others)) for other in others]
            rows.append([(column[node], sign), *mean, (number, -1.0)])
            limits.append(0.0)
    for rank in ranks:
        for left, right in pairwise(rank):
            rows.append([(column[left], 1.0), (column[right], -1.0)])
            limits.append(-(_room(left, measures) + _room(right, measures)) / 2)
    if not rows:
        return dict.fromkeys(column, 0.0)
    entries = [(number, at, value) for number, row in enumerate(rows) for at, value in row]
    at_row, at_column, values = zip(*entries, strict=True)
    shape = len(rows), len(column) + len(steps)
    found = linprog(
        c=[0.0] * len(column) + [weight for weight, _, _ in steps],
        A_ub=coo_matrix((values, (at_row, at_column)), shape=shape),
        b_ub=limits,
        bounds=[(None, None)] * len(column) + [(0, None)] * len(steps),
        method="highs",
    )
    return dict(zip(column, map(float, found.x[: len(column)]), strict=True))


def _room(node: Hashable, measures: Measures) -> float:
    return measures.joint if _is_joint(node) else measures.width + measures.beside


def _is_joint(node: Hashable) -> bool:
    return isinstance(node, tuple)


def _tops(graph: nx.DiGraph[str], rows: Mapping[str, int], measures: Measures) -> list[float]:
    """Upper end of each row."""
    stage = {row: graph.nodes[node]["stage"] for node, row in rows.items()}
    tops = [0.0] if rows else []
    for row in range(1, len(stage)):
        extra = measures.between if stage[row] != stage[row - 1] else 0.0
        tops.append(tops[-1] + measures.height + measures.below + extra)
    return tops
