"""The graph of a candidate as a picture: one self-contained SVG, readable in light and dark.

A pure function of the graph's JSON data; it needs no torch.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import networkx as nx

from autokd.drawing.layout import Layout, Measures, Point, lay_out
from autokd.readable import figure, share_of

_ROOMY = Measures(width=110, height=38, beside=16, below=24, between=26, joint=12)
_COMPACT = Measures(width=80, height=18, beside=10, below=16, between=22, joint=7)
_LARGE = 150
"""More nodes than this are drawn compactly: one line each."""

_LETTER, _LONGEST = 0.62, 28
"""Width of a letter as a share of its height, and letters of an operation that are shown."""

_MARGIN, _LABELS, _HEADER = 16, 78, 100
"""Pixels around the drawing, for the names of the stages, and for the figures above it."""

_LEAST_WIDTH = 600

_KINDS = (
    ("image", ("image",)),
    ("head", ("head", "linear")),
    ("conv", ("conv",)),
    ("pool", ("pool",)),
    ("join", ("merge", "mean", "add", "concatenate", "multiply")),
    ("attention", ("attention", "matrix product", "softmax")),
)
"""Kinds of nodes that have a colour of their own, and words in the names of their operations."""

# Presentation attributes are the light colours, for viewers that read no style sheet (or are told
# by a policy not to); the style sheet overrides them where the reader prefers dark ones.
_LIGHT = {
    "paper": "#ffffff",
    "band": "#f4f6f8",
    "ink": "#1c2430",
    "quiet": "#5a6675",
    "edge": "#8a96a5",
    "box": "#ffffff",
    "image": "#6b7787",
    "conv": "#0072b2",
    "pool": "#b25e00",
    "join": "#007a5a",
    "head": "#a8487f",
    "attention": "#6a51a3",
    "other": "#6b7787",
}
_DARK = {
    "paper": "#12161c",
    "band": "#1a2029",
    "ink": "#e8edf3",
    "quiet": "#9aa7b6",
    "edge": "#66727f",
    "box": "#222a35",
    "image": "#8d99a8",
    "conv": "#56b4e9",
    "pool": "#e69f00",
    "join": "#2fc79a",
    "head": "#e28fbf",
    "attention": "#a99be0",
    "other": "#8d99a8",
}


def draw(graph: Mapping[str, Any], title: str = "") -> str:
    """The picture of a graph, as the text of an SVG file.

    Args:
        graph: what `candidate_graph` gave.
        title: of the picture, which screen readers read first.
    """
    nodes = {node["id"]: node for node in graph["nodes"]}
    network: nx.DiGraph[str] = nx.DiGraph()
    network.add_nodes_from((name, {"stage": node["stage"]}) for name, node in nodes.items())
    network.add_edges_from((edge["source"], edge["target"]) for edge in graph["edges"])
    is_large = len(nodes) > _LARGE
    measures = _measures([node["operation"] for node in nodes.values()], is_large=is_large)
    layout = lay_out(network, measures)
    band = max(layout.width + 2 * _MARGIN, _LEAST_WIDTH - _LABELS - 2 * _MARGIN)
    left = _MARGIN + _LABELS + (band - layout.width) / 2
    top = _HEADER + _MARGIN
    width = band + _LABELS + 2 * _MARGIN
    height = top + layout.height + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{_text(title or "graph")}" '
        'font-family="system-ui, sans-serif" font-size="11">',
        f"<title>{_text(title)}</title>" if title else "",
        f"<desc>{_text(_summary(graph))}</desc>",
        f"<style>{_STYLE}</style>",
        _rect(0, 0, width, height, "paper"),
        *_header(graph),
        f'<g transform="translate(0 {top:.0f})">',
        *_bands(layout, list(nodes.values()), band),
        f'<g transform="translate({left:.1f} 0)">',
        *_edges(layout),
        *_boxes(layout, nodes, measures, is_large=is_large),
        "</g></g></svg>\n",
    ]
    return "\n".join(filter(None, parts))


def _measures(operations: Sequence[str], *, is_large: bool) -> Measures:
    """Wide enough for the longest name."""
    usual, size = (_COMPACT, 9) if is_large else (_ROOMY, 11)
    letters = min(max(map(len, operations), default=0), _LONGEST)
    return replace(usual, width=max(usual.width, letters * size * _LETTER + 16))


def _style(colours: Mapping[str, str]) -> str:
    strokes = ("edge", *(kind for kind, _ in _KINDS), "other")
    return "".join(
        f".akd-{name}{{fill:{colour}}}"
        + (f".akd-{name}-line{{stroke:{colour}}}" * (name in strokes))
        for name, colour in colours.items()
    )


_STYLE = f"@media (prefers-color-scheme: dark){{{_style(_DARK)}}}"


def _header(graph: Mapping[str, Any]) -> list[str]:
    """The totals of student and teacher, one below the other."""
    totals, teacher = graph["totals"], graph.get("teacher") or {}
    columns = (
        ("parameters", "parameters"),
        ("weights", "weight_bytes"),
        ("peak memory", "peak_activation_bytes"),
        ("multiply-accumulates", "macs"),
    )
    rows: list[tuple[str, Mapping[str, float], bool]] = [("student", totals, True)]
    if teacher:
        rows.append(("teacher", teacher, False))
    lines = []
    for column, (heading, name) in enumerate(columns):
        x = _MARGIN + _LABELS + 125 * column
        lines.append(_words(x, 26, heading, "quiet"))
        for row, (_, figures, bold) in enumerate(rows):
            if name in figures:
                text = figure(name, figures[name])
                lines.append(_words(x, 45 + 18 * row, text, "ink", bold=bold))
        if teacher.get(name):
            lines.append(_words(x, 81, share_of(totals[name], teacher[name]), "ink"))
    names = [*(name for name, _, _ in rows), *["share"] * bool(teacher)]
    lines += [_words(_MARGIN + 12, 45 + 18 * row, name, "quiet") for row, name in enumerate(names)]
    return lines


def _bands(layout: Layout, nodes: Sequence[Mapping[str, Any]], width: float) -> list[str]:
    drawn = []
    for stage, top, bottom in layout.bands:
        name = _size([node for node in nodes if node["stage"] == stage])
        drawn += [
            "<g>",
            f"<title>stage {stage}: {_text(name)}</title>",
            _rect(_MARGIN, top + 3, _LABELS + width, bottom - top - 6, "band", 'rx="8"'),
            _words(_MARGIN + 12, top + 22, name, "ink", bold=True),
            _words(_MARGIN + 12, top + 37, f"stage {stage}", "quiet"),
            "</g>",
        ]
    return drawn


def _size(nodes: Sequence[Mapping[str, Any]]) -> str:
    """The largest image in a stage; where there are none, it is the head."""
    images = [node["shape"][1:] for node in nodes if len(node["shape"]) == 3]
    height, width = max(images, key=lambda shape: shape[0] * shape[1], default=(1, 1))
    return f"{height} × {width}" if height * width > 1 else "head"


def _edges(layout: Layout) -> list[str]:
    return [
        f'<path d="{_curve(points)}" fill="none" stroke="{_LIGHT["edge"]}" stroke-width="1.2" '
        f'class="akd-edge-line"><title>{_text(source)} → {_text(target)}</title></path>'
        for source, target, points in layout.routes
    ]


def _curve(points: Sequence[Point]) -> str:
    """Through all points, upright at each."""
    (x, y), *rest = points
    path = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        middle = (y + to_y) / 2
        path.append(
            f"V{to_y:.1f}"
            if abs(to_x - x) < 0.05
            else f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
        )
        x, y = to_x, to_y
    return " ".join(path)


def _boxes(
    layout: Layout,
    nodes: Mapping[str, Mapping[str, Any]],
    measures: Measures,
    *,
    is_large: bool,
) -> list[str]:
    most = max((node["parameters"] for node in nodes.values()), default=0) or 1
    drawn = []
    for place, (x, y) in layout.places.items():
        node = nodes[place]
        kind = _kind(node["operation"])
        left, top = x - measures.width / 2, y - measures.height / 2
        name = node["operation"]
        name = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
        bar = (measures.width - 12) * node["parameters"] / most
        drawn += [
            f"<g><title>{_text(_figures(node))}</title>",
            _rect(
                left,
                top,
                measures.width,
                measures.height,
                "box",
                f'rx="5" stroke="{_LIGHT[kind]}" stroke-width="1.4"',
                f"akd-{kind}-line",
            ),
        ]
        if bar >= 1:
            foot = top + measures.height
            drawn.append(_rect(left + 6, foot - (3.4 if is_large else 5), bar, 2, kind))
        if is_large:
            drawn.append(_words(x, y + 2, name, "ink", middle=True, size=9))
        else:
            shape = "×".join(map(str, node["shape"]))
            drawn += [
                _words(x, y - 4, name, "ink", middle=True, bold=True),
                _words(x, y + 9, shape, "quiet", middle=True, size=10),
            ]
        drawn.append("</g>")
    return drawn


def _kind(operation: str) -> str:
    for kind, words in _KINDS:
        if any(word in operation for word in words):
            return kind
    return "other"


def _figures(node: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            node["id"],
            node["label"],
            f"result {' × '.join(map(str, node['shape']))}, {node['bytes']:,} bytes",
            f"{node['parameters']:,} parameters",
            f"{node['macs']:,} multiply-accumulates",
        ]
    )


def _summary(graph: Mapping[str, Any]) -> str:
    totals = graph["totals"]
    return (
        f"A network of {len(graph['nodes']) - 1} layers with {totals['parameters']:,} parameters "
        f"and {totals['macs']:,} multiply-accumulates, drawn from the image at the top to the "
        "logits at the bottom."
    )


def _rect(
    x: float, y: float, width: float, height: float, fill: str, more: str = "", extra: str = ""
) -> str:
    classes = f"akd-{fill} {extra}".strip()
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{_LIGHT[fill]}" class="{classes}" {more}/>'
    )


def _words(
    x: float,
    y: float,
    text: str,
    fill: str,
    *,
    middle: bool = False,
    bold: bool = False,
    size: float | None = None,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{_LIGHT[fill]}" class="akd-{fill}"'
        + ' text-anchor="middle"' * middle
        + ' font-weight="600"' * bold
        + (f' font-size="{size}"' if size else "")
        + f">{_text(text)}</text>"
    )


def _text(text: str) -> str:
    """Escaped, and without the control characters that XML cannot hold."""
    return html.escape(re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text))
