from __future__ import annotations

import json
from typing import Any

import networkx as nx
import pytest
import torch
from torch import Tensor, nn

from autokd.budget import Cost
from autokd.cost import measure_cost
from autokd.drawing.graph import candidate_graph, network_graph
from autokd.task import Task
from autokd.teacher import build_teacher_network

TASK = Task((3, 16, 16), 10)


def graph_of(make: Any, task: Task = TASK) -> dict[str, Any]:
    with torch.device("meta"):
        network = make()
    return network_graph(network, task)


def labels(graph: dict[str, Any]) -> list[str]:
    return [node["label"] for node in graph["nodes"]]


def stages(graph: dict[str, Any]) -> dict[str, int]:
    return {node["id"]: node["stage"] for node in graph["nodes"]}


@pytest.mark.parametrize("side", [8, 28, 64])
def test_totals_are_the_recorded_cost_and_the_sums_over_the_nodes(space, drawn, side) -> None:
    task = Task((1, side, side), 10)
    for architecture in drawn(20, task):
        graph = candidate_graph(space, architecture, task)
        # As the evaluator of a search costs it, which is what the record has.
        with torch.device("meta"):
            cost = measure_cost(space.build(architecture, task), task)
        assert graph["totals"] == cost.figures()
        for name in ("parameters", "macs"):
            assert sum(node[name] for node in graph["nodes"]) == graph["totals"][name]


def test_every_graph_leads_from_the_image_through_all_nodes_to_the_head(space, drawn) -> None:
    for architecture in drawn(30, TASK):
        graph = candidate_graph(space, architecture, TASK)
        wiring = nx.DiGraph((edge["source"], edge["target"]) for edge in graph["edges"])
        ids = [node["id"] for node in graph["nodes"]]
        assert nx.is_directed_acyclic_graph(wiring)
        assert [node for node in wiring if not wiring.in_degree(node)] == ["image"] == ids[:1]
        assert [node for node in wiring if not wiring.out_degree(node)] == ["head_linear"]
        assert len(set(ids)) == len(ids)
        assert set(ids) == set(wiring)
        by_id = stages(graph)
        assert all(by_id[source] <= by_id[target] for source, target in wiring.edges)


def test_node_tells_what_it_is(space, drawn) -> None:
    graph = candidate_graph(space, drawn(1, TASK)[0], TASK)
    image, stem, *_, head = graph["nodes"]
    assert image == {
        "id": "image",
        "label": "image",
        "operation": "image",
        "stage": 0,
        "channels": 3,
        "shape": [3, 16, 16],
        "parameters": 0,
        "macs": 0,
        "bytes": 3 * 16 * 16 * 4,
    }
    width = stem["channels"]
    assert stem["id"] == "stem_conv0"
    assert stem["operation"] == "conv 3x3"
    assert stem["shape"] == [width, 16, 16]
    assert stem["parameters"] == 27 * width + 2 * width
    assert stem["macs"] == 27 * width * 256
    assert stem["bytes"] == 4 * width * 256
    assert (head["operation"], head["label"], head["shape"]) == ("head", "linear", [10])


def test_students_stages_are_those_of_its_space_and_a_head(space, drawn) -> None:
    for architecture in drawn(20, TASK):
        plan = space.plan(architecture, TASK)
        for name, stage in stages(candidate_graph(space, architecture, TASK)).items():
            if name.startswith("cell") or name.startswith("stem"):
                assert stage == plan.nodes[name]["stage"]
            elif name in ("head_pool", "head_linear"):
                assert stage == 3


def test_graph_is_json_and_the_teacher_stands_beside_it(space, drawn) -> None:
    (architecture,) = drawn(1, TASK)
    graph = candidate_graph(space, architecture, TASK, Cost(1, 2, 3, 4, latency_ms=5.0))
    assert json.loads(json.dumps(graph)) == graph
    assert graph["teacher"] == {
        "parameters": 1,
        "weight_bytes": 2,
        "peak_activation_bytes": 3,
        "macs": 4,
    }
    assert candidate_graph(space, architecture, TASK)["teacher"] == {}


def test_a_convolution_is_one_layer_with_what_follows_it() -> None:
    graph = graph_of(lambda: build_teacher_network("resnet8", TASK))
    assert labels(graph)[:5] == [
        "image",
        "conv 3x3, batch norm, relu",
        "conv 3x3, batch norm, relu",
        "conv 3x3, batch norm",
        "add, relu",
    ]
    assert labels(graph)[-2:] == ["average pool, flatten", "linear"]


def test_an_activation_whose_input_others_read_too_belongs_to_what_reads_it_alone() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 4, 1)
            self.relu = nn.ReLU()
            self.second = nn.Conv2d(4, 4, 1)

        def forward(self, images: Tensor) -> Tensor:
            first = self.first(images)
            return first + self.second(self.relu(first))

    graph = graph_of(Both)
    assert labels(graph) == ["image", "conv 1x1", "relu, conv 1x1", "add"]
    assert [(edge["source"], edge["target"]) for edge in graph["edges"]] == [
        ("image", "first"),
        ("first", "second"),
        ("first", "add"),
        ("second", "add"),
    ]


def test_an_activation_that_two_operations_read_stands_alone_after_the_image() -> None:
    class Fork(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            value = images.relu()
            return value.mean((2, 3)) + value.amax((2, 3))

    assert labels(graph_of(Fork)) == ["image", "relu", "mean", "amax", "add"]


def test_squeeze_and_excitation_is_within_the_stage_that_it_scales() -> None:
    task = Task((3, 64, 64), 10)
    name = "torchvision/mobilenet_v3_small"
    graph = graph_of(lambda: build_teacher_network(name, task), task)
    for node in graph["nodes"]:
        if node["id"].endswith((".fc1", ".fc2")):
            assert node["shape"][1:] == [1, 1]
            assert node["stage"] < graph["nodes"][-1]["stage"]


@pytest.mark.parametrize("name", ["vit_b_16", "swin_t", "convnext_tiny", "inception_v3"])
def test_network_of_another_kind_has_stages_too(name: str) -> None:
    side = 75 if name == "inception_v3" else 32
    task = Task((3, side, side), 10)
    graph = graph_of(lambda: build_teacher_network(f"torchvision/{name}", task), task)
    by_id = stages(graph)
    assert set(by_id.values()) == set(range(max(by_id.values()) + 1))
    assert all(by_id[edge["source"]] <= by_id[edge["target"]] for edge in graph["edges"])


def test_network_of_one_module_is_a_graph_of_one_layer() -> None:
    graph = graph_of(lambda: nn.Conv2d(3, 10, 16))
    assert [node["id"] for node in graph["nodes"]] == ["image", "Conv2d"]
