from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from autokd.drawing.graph import candidate_graph
from autokd.drawing.svg import draw
from autokd.task import Task

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    """What is written in it."""
    return [text.text or "" for text in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def titles(picture: str) -> list[str]:
    """What is shown where a mouse points."""
    return [title.text or "" for title in ElementTree.fromstring(picture).iter(f"{SVG}title")]


def boxes(picture: str) -> int:
    return picture.count('rx="5"')


def test_every_node_is_a_box_with_its_figures_and_every_edge_a_line(space, drawn) -> None:
    task = Task((3, 16, 16), 10)
    graph = candidate_graph(space, drawn(1, task)[0], task)
    picture = draw(graph, "a student")
    assert boxes(picture) == len(graph["nodes"])
    assert picture.count("<path") == len(graph["edges"])
    shown = titles(picture)
    assert shown[0] == "a student"
    for node in graph["nodes"]:
        (title,) = (each for each in shown if each.startswith(f"{node['id']}\n"))
        assert node["label"] in title
        assert f"{node['parameters']:,} parameters" in title
        assert f"{node['macs']:,} multiply-accumulates" in title
    assert {"16 × 16", "8 × 8", "4 × 4", "head"} <= set(texts(picture))


def test_totals_stand_beside_the_teachers(wired) -> None:
    graph = wired("image>conv conv>head")
    graph["totals"] = {"parameters": 24_000, "weight_bytes": 98_304, "macs": 1_500_000}
    alone = texts(draw(graph))
    assert {"24,000", "96.0 KiB", "1.50M", "student"} <= set(alone)
    assert not {"teacher", "share"} & set(alone)
    graph["teacher"] = {"parameters": 240_000, "weight_bytes": 0, "macs": 3_000_000}
    beside = texts(draw(graph))
    assert {"240,000", "10.0 %", "50.0 %", "teacher", "share"} <= set(beside)


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "a\"b'c&d", "]]>", "\x00\x1b[31m\x08", "\ud800 \ufffe"]
)
def test_hostile_names_are_inert(wired, hostile: str) -> None:
    graph = wired("image>conv conv>head")
    for node in graph["nodes"]:
        node["operation"] = node["label"] = hostile
    graph["nodes"][1]["id"] = hostile
    graph["edges"] = [{"source": "image", "target": hostile}]
    picture = draw(graph, hostile)
    elements = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(picture).iter()}
    assert elements <= {"svg", "title", "desc", "style", "g", "rect", "path", "text"}
    picture.encode("utf-8")


def test_picture_stands_alone_and_is_readable_in_light_and_dark(wired) -> None:
    picture = draw(wired("image>conv conv>head"))
    assert "prefers-color-scheme: dark" in picture
    assert not re.search(r"href|url\(|@import|<script|on\w+=", picture)
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    # Without the style sheet it has its own paper and ink.
    root = ElementTree.fromstring(picture)
    paper = next(root.iter(f"{SVG}rect"))
    assert (paper.get("width"), paper.get("fill")) == (root.get("width") + ".0", "#ffffff")
    assert all(text.get("fill") for text in root.iter(f"{SVG}text"))


def test_large_graph_is_drawn_with_one_line_per_node(wired) -> None:
    edges = " ".join(f"n{number}>n{number + 1}" for number in range(170))
    picture = draw(wired(edges))
    assert boxes(picture) == 171
    assert "3×8×8" not in texts(picture)
    height = int(ElementTree.fromstring(picture).get("height", "0"))
    assert height < 171 * 40


def test_boxes_are_wide_enough_for_long_names_which_are_shortened_at_last(wired) -> None:
    graph = wired("image>conv conv>head")

    def width() -> float:
        found = re.search(r'width="([\d.]+)" height="38.0"', draw(graph))
        assert found
        return float(found[1])

    usual = width()
    graph["nodes"][1]["operation"] = "transposed conv 3x3x3"
    longer = width()
    graph["nodes"][1]["operation"] = "operation" * 40
    assert usual < longer < width() < 250
    assert any(text.endswith("…") for text in texts(draw(graph)))


def test_one_image_is_a_picture(wired) -> None:
    graph = wired("image>head")
    graph["nodes"], graph["edges"] = graph["nodes"][:1], []
    assert boxes(draw(graph)) == 1
