from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autokd.cost import measure_cost
from autokd.drawing.tracing import Operation, trace
from autokd.layers import GraphNetwork
from autokd.space import Architecture
from autokd.task import Task
from autokd.teacher import build_teacher_network
from search_spaces.hierarchical_graph import HierarchicalGraph

TASK = Task((1, 4, 4), 2)


class Code(nn.Module):
    """A network whose forward pass is a function of it and the images."""

    def __init__(self, forward: Callable[[Code, Tensor], Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.code = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, images: Tensor) -> Tensor:
        return self.code(self, images)


def operations(make: Callable[[], nn.Module], task: Task = TASK) -> list[Operation]:
    with torch.device("meta"):
        network = make()
    return trace(network, task)[0]


def read(found: list[Operation]) -> dict[str, list[str]]:
    """What each operation reads, by name, the image aside."""
    return {each.name: [found[source].name for source in each.inputs] for each in found[1:]}


def code(forward: Callable[[Code, Tensor], Tensor], **parts: Callable[[], nn.Module]):
    """Makes such a network."""
    return lambda: Code(forward, **{name: part() for name, part in parts.items()})


def test_each_layer_of_a_chain_says_what_it_does_gives_and_costs() -> None:
    found = operations(
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(48, 2)
        )
    )
    assert found == [
        Operation("image", "image", [], (1, 4, 4), 4 * 16),
        Operation("0", "conv 3x3", [0], (3, 4, 4), 4 * 48, parameters=30, macs=48 * 9),
        Operation("1", "relu", [1], (3, 4, 4), 4 * 48),
        Operation("2", "flatten", [2], (48,), 4 * 48),
        Operation("3", "linear", [3], (2,), 4 * 2, parameters=98, macs=96),
    ]


def test_what_is_computed_without_a_module_is_named_by_its_operator() -> None:
    network = code(
        lambda self, x: torch.cat([self.first(x) + x, functional.max_pool2d(x, 1)], 1),
        first=lambda: nn.Conv2d(1, 1, 1),
    )
    assert read(operations(network)) == {
        "first": ["image"],
        "add": ["first", "image"],
        "max pool": ["image"],
        "concatenate": ["add", "max pool"],
    }


def test_what_is_written_in_place_is_seen_by_those_who_read_later() -> None:
    def forward(self: Code, x: Tensor) -> Tensor:
        first = self.first(x)
        part = first[:, :, :2]  # a view
        first += x
        return self.second(part)

    found = operations(
        code(forward, first=lambda: nn.Conv2d(1, 1, 1), second=lambda: nn.Conv2d(1, 1, 1))
    )
    assert read(found) == {"first": ["image"], "add": ["first", "image"], "second": ["add"]}


def test_a_view_by_a_module_is_its_own_result_and_leaves_the_tensor_to_its_maker() -> None:
    def forward(self: Code, x: Tensor) -> Tensor:
        first = self.first(x)
        return self.flatten(first).sum() + first

    found = read(
        operations(code(forward, first=lambda: nn.Conv2d(1, 1, 1), flatten=lambda: nn.Flatten()))
    )
    assert found["sum"] == ["flatten"]
    assert found["add"] == ["sum", "first"]


def test_modules_that_do_nothing_views_copies_and_constants_are_no_operations() -> None:
    def forward(self: Code, x: Tensor) -> Tensor:
        x = self.dropout(self.nothing(x)).transpose(2, 3).contiguous().clone()
        mask = torch.zeros(4, 4, device=x.device)
        mask[1:] = 1
        return x * mask + torch.ones_like(x)

    found = operations(code(forward, dropout=lambda: nn.Dropout(), nothing=lambda: nn.Identity()))
    assert read(found) == {"multiply": ["image"], "add": ["multiply"]}


def test_a_module_that_runs_twice_is_two_operations_with_its_parameters_counted_once() -> None:
    network = code(lambda self, x: self.twice(self.twice(x)), twice=lambda: nn.Conv2d(1, 1, 1))
    found = operations(network)
    assert read(found) == {"twice": ["image"], "twice#2": ["twice"]}
    assert [each.parameters for each in found] == [0, 2, 0]
    assert [each.macs for each in found] == [0, 16, 16]


def test_a_parameter_belongs_to_the_operation_that_reads_it_through_whatever_view() -> None:
    class Token(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.zeros(1, 1, 4))
            self.scale = nn.Parameter(torch.ones(4))
            self.part = nn.Identity()

        def forward(self, images: Tensor) -> Tensor:
            rows = images.flatten(1, 2)
            joined = torch.cat([self.token.expand(len(rows), -1, -1), rows], 1)
            return joined * self.scale.clone()

    found = operations(Token)
    assert read(found) == {
        "concatenate": ["image"],
        "copy": [],
        "multiply": ["concatenate", "copy"],
    }
    assert [each.parameters for each in found] == [0, 4, 4, 0]


def test_attention_is_one_operation_with_all_its_parameters() -> None:
    network = code(
        lambda self, x: self.attention(x[:, 0], x[:, 0], x[:, 0], need_weights=False)[0],
        attention=lambda: nn.MultiheadAttention(4, 2, batch_first=True),
    )
    found = operations(network)
    assert read(found) == {"attention": ["image"]}
    assert (found[1].words, found[1].shape) == ("attention", (4, 4))
    assert found[1].parameters == 3 * (16 + 4) + 16 + 4


def test_network_elsewhere_than_on_meta_is_refused() -> None:
    with pytest.raises(ValueError, match=r"torch\.device\('meta'\)"):
        trace(nn.Linear(16, 2), TASK)


def test_hooks_are_gone_and_modes_as_before() -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    trace(network, TASK)
    assert network.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_graph_of_a_student_is_that_which_it_was_built_from() -> None:
    space = HierarchicalGraph(top_nodes=[3, 5], middle_nodes=[1, 3], bottom_nodes=[1, 4])
    task = Task((3, 16, 16), 10)
    points = space.domain(task, 20_000).sample(np.random.default_rng(0), 20)
    for seed, point in enumerate(points):
        with torch.device("meta"):
            network = space.build(Architecture(space.name, point, seed), task)
        assert isinstance(network, GraphNetwork)
        found, cost = trace(network, task)
        names = [each.name.removeprefix("operations.") for each in found]
        edges = {
            (names[source], name)
            for name, each in zip(names, found, strict=True)
            for source in each.inputs
            if source
        }
        assert edges == set(network.graph.edges)
        assert names[1:] == list(network.operations)
        for name, each in zip(names[1:], found[1:], strict=True):
            node = network.graph.nodes[name]
            size = () if node["kind"] in ("flatten", "linear") else node["size"]
            assert each.shape == (node["channels"], *size)
        # Watching changes nothing: no tensor is kept alive.
        assert cost == measure_cost(network, task)


@pytest.mark.parametrize(
    "name",
    [
        "resnet20",
        "wrn16_2",
        "torchvision/densenet121",
        "torchvision/mobilenet_v3_small",
        "torchvision/shufflenet_v2_x0_5",
        "torchvision/swin_v2_t",
        "torchvision/vit_b_16",
    ],
)
def test_operations_of_any_network_add_up_to_its_cost(name: str) -> None:
    task = Task((3, 64, 64) if "swin" in name else (3, 32, 32), 10)
    with torch.device("meta"):
        network = build_teacher_network(name, task)
    found, cost = trace(network, task)
    assert sum(each.parameters for each in found) == cost.parameters
    assert sum(each.macs for each in found) == cost.macs
    assert len({each.name for each in found}) == len(found)
    assert found[-1].shape == (10,)
