from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import networkx as nx
import numpy as np
import pytest
import torch
from torch.nn import functional

from autokd.errors import SpecError
from autokd.space import Architecture
from autokd.task import Task
from search_spaces.hierarchical_graph import HierarchicalGraph, parameter_count

TASK = Task((1, 8, 8), 10)
TINY = {"top_nodes": 3, "middle_nodes": 1, "bottom_nodes": 2}
SMALL = HierarchicalGraph(top_nodes=[1, 5], middle_nodes=[1, 2], bottom_nodes=[1, 4])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def draws(space: HierarchicalGraph, count: int, limit: int, task: Task) -> list[Architecture]:
    points = space.domain(task, limit).sample(np.random.default_rng(0), count)
    return [Architecture(space.name, point, seed) for seed, point in enumerate(points)]


def architecture(seed: int = 0, **changes: float) -> Architecture:
    choices = {
        "top_nodes": 5,
        "top_neighbours": 2,
        "top_rewiring": 0.5,
        "middle_nodes": 2,
        "middle_probability": 0.5,
        "bottom_nodes": 4,
        "bottom_rewiring": 0.5,
        "parameter_fraction": 1.0,
        "parameter_limit": 20_000,
    }
    return Architecture("hierarchical_graph", {**choices, **changes}, seed)


def structure(graph: nx.DiGraph) -> list[tuple[object, ...]]:
    return [*graph.nodes(data=True), *graph.edges]


def channels(graph: nx.DiGraph) -> tuple[int, ...]:
    return tuple(
        max((n["channels"] for _, n in graph.nodes(data=True) if kind(n, stage)), default=0)
        for stage in range(3)
    )


def kind(node: dict[str, object], stage: int) -> bool:
    return node["kind"] == "conv" and node["stage"] == stage


def test_the_closed_form_counts_the_parameters_of_200_networks_exactly() -> None:
    for drawn in draws(SMALL, 200, 20_000, TASK):
        with torch.device("meta"):
            network = SMALL.build(drawn, TASK)
        expected = sum(parameter.numel() for parameter in network.parameters())
        assert parameter_count(SMALL.plan(drawn, TASK)) == expected


@pytest.mark.parametrize("side", [8, 64])
def test_the_width_is_the_largest_that_the_limit_allows(side: int) -> None:
    def solved(limit: int) -> tuple[int, tuple[int, ...]]:
        plan = SMALL.plan(architecture(**TINY, parameter_limit=limit), Task((3, side, side), 10))
        return parameter_count(plan), channels(plan)

    smallest, _ = solved(0)
    widths = []
    for limit in range(smallest, 12_000, 50):
        total, width = solved(limit)
        assert total <= limit
        assert solved(total) == (total, width)
        assert total == smallest or solved(total - 1)[0] < total
        if width not in widths:
            widths.append(width)
    # One stage grows by one channel at a time, so no width in between was missed.
    assert all(sum(map(int.__sub__, b, a)) == 1 for a, b in zip(widths, widths[1:], strict=False))
    assert widths[0] == (1, 2, 4) and len(widths) > 20


def test_channels_grow_as_one_two_four() -> None:
    narrow, medium, wide = channels(SMALL.plan(architecture(parameter_limit=2_000_000), TASK))
    assert narrow > 10
    assert abs(medium - 2 * narrow) <= 1 and abs(wide - 4 * narrow) <= 2


def test_the_fraction_scales_the_limit() -> None:
    half = architecture(parameter_fraction=0.5)
    assert structure(SMALL.plan(half, TASK)) == structure(
        SMALL.plan(architecture(parameter_limit=10_000), TASK)
    )


def test_when_nothing_fits_the_smallest_network_is_built() -> None:
    assert channels(SMALL.plan(architecture(parameter_limit=1), TASK)) == (1, 2, 4)


def test_equal_architectures_build_equal_networks_and_other_seeds_others() -> None:
    first, again, other = (SMALL.plan(architecture(seed), TASK) for seed in (1, 1, 2))
    assert structure(first) == structure(again) != structure(other)
    assert str(SMALL.build(architecture(1), TASK)) == str(SMALL.build(architecture(1), TASK))


def test_each_cell_and_block_has_a_wiring_of_its_own() -> None:
    plan = SMALL.plan(architecture(bottom_nodes=8, middle_nodes=3), TASK)
    wirings = set()
    for cell in range(5):
        for block in range(3):
            prefix = f"cell{cell}_block{block}_"
            edges = [e for e in plan.edges if e[0].startswith(prefix) and e[1].startswith(prefix)]
            wirings.add(tuple((a.removeprefix(prefix), b.removeprefix(prefix)) for a, b in edges))
    assert len(wirings) == 15


def test_another_process_draws_the_same_network_without_torch() -> None:
    code = (
        "import sys, hashlib; from autokd.space import Architecture; from autokd.task import Task; "
        "from search_spaces.hierarchical_graph import HierarchicalGraph as H; "
        f"a = Architecture.from_json({architecture(7).to_json()!r}); "
        "g = H().plan(a, Task((1, 8, 8), 10)); H().domain(Task((1, 8, 8), 10), 9); "
        "print(repr([*g.nodes(data=True), *g.edges]), 'torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert answer.strip() == f"{structure(SMALL.plan(architecture(7), TASK))!r} False"


@pytest.mark.parametrize(
    ("cells", "stages"),
    [
        (1, [0]),
        (2, [0, 1]),
        (3, [0, 1, 2]),
        (4, [0, 0, 1, 2]),
        (5, [0, 0, 1, 1, 2]),
        (7, [0, 0, 0, 1, 1, 2, 2]),
        (10, [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]),
    ],
)
def test_cells_are_spread_over_the_stages_by_thirds(cells: int, stages: list[int]) -> None:
    plan = SMALL.plan(architecture(top_nodes=cells, middle_nodes=1, bottom_nodes=1), TASK)
    found = [plan.nodes[f"cell{cell}_block0_op0_conv"]["stage"] for cell in range(cells)]
    assert found == stages


def test_sizes_halve_from_stage_to_stage() -> None:
    plan = SMALL.plan(architecture(), Task((3, 28, 20), 10))
    sizes = {n["stage"]: n["size"] for _, n in plan.nodes(data=True) if n["kind"] == "conv"}
    assert sizes == {0: (28, 20), 1: (14, 10), 2: (7, 5)}


def test_a_large_image_is_brought_to_a_quarter_by_the_stem() -> None:
    plan = SMALL.plan(architecture(), Task((3, 225, 64), 10))
    assert plan.nodes["stem_norm1"]["size"] == (57, 16)
    assert plan.nodes["stem_conv0"]["channels"] == plan.nodes["stem_conv1"]["channels"] // 2


def keep(results: dict, name: str, module: object, inputs: object, result: torch.Tensor) -> None:
    results[name] = result


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (1, 28, 28), (3, 30, 45), (3, 65, 97), (1, 1, 1), (2, 3, 5)]
)
def test_planned_sizes_and_channels_are_those_of_the_tensors(shape: tuple[int, int, int]) -> None:
    task = Task(shape, 7)
    for drawn in draws(SMALL, 6, 5_000, task):
        network = SMALL.build(drawn, task).eval()
        results = dict.fromkeys(network.operations, torch.empty(0))
        for name, operation in network.operations.items():
            operation.register_forward_hook(partial(keep, results, name))
        assert network(torch.rand(2, *shape)).shape == (2, 7)
        for name, node in network.graph.nodes(data=True):
            expected = (2, node["channels"], *node["size"])
            assert results[name].shape == expected[: results[name].dim()], name


def test_every_parameter_gets_a_finite_gradient() -> None:
    for drawn in draws(SMALL, 20, 5_000, TASK):
        network = SMALL.build(drawn, TASK)
        functional.cross_entropy(
            network(torch.rand(8, *TASK.input_shape)), torch.arange(8)
        ).backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_a_relu_in_place_changes_no_result() -> None:
    for drawn in draws(SMALL, 10, 5_000, TASK):
        network = SMALL.build(drawn, TASK).eval()
        images = torch.rand(2, *TASK.input_shape)
        relus = [module for module in network.modules() if isinstance(module, torch.nn.ReLU)]
        assert any(relu.inplace for relu in relus)
        expected = network(images)
        for relu in relus:
            relu.inplace = False
        assert torch.equal(network(images), expected)


def test_a_student_learns() -> None:
    network = SMALL.build(architecture(middle_nodes=1, bottom_nodes=2), TASK)
    images, labels = torch.rand(32, *TASK.input_shape), torch.arange(32) % 10
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(40):
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    assert (network(images).argmax(1) == labels).float().mean() > 0.9


def test_a_student_runs_as_onnx(tmp_path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    task = Task((1, 9, 9), 10)  # 9 → 4 → 2: pooling to sizes that do not divide
    network = SMALL.build(architecture(**TINY), task).eval()
    images = torch.rand(3, *task.input_shape)
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        network, (images,), dynamo=True, dynamic_shapes=({0: batch},), verbose=False
    )
    program.save(tmp_path / "student.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "student.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: images[:2].numpy()})
    assert np.allclose(found, network(images[:2]).detach().numpy(), atol=1e-5)


def test_the_paper_ranges_are_the_default_and_dead_parameters_are_inactive() -> None:
    domain = HierarchicalGraph().domain(TASK, 1_000)
    assert list(domain.parameters) == [
        "top_nodes",
        "top_neighbours",
        "top_rewiring",
        "middle_nodes",
        "middle_probability",
        "bottom_nodes",
        "bottom_neighbours",
        "bottom_rewiring",
        "parameter_fraction",
        "parameter_limit",
    ]
    active = {
        name
        for name in domain.parameters
        if domain.is_active(name, {"top_nodes": 4, "middle_nodes": 1, "bottom_nodes": 3})
    }
    assert active == {
        "top_nodes",
        "top_rewiring",
        "middle_nodes",
        "bottom_nodes",
        "parameter_fraction",
        "parameter_limit",
    }


def test_parameters_that_no_draw_can_use_are_left_out() -> None:
    space = HierarchicalGraph(top_nodes=[2, 3], middle_nodes=[1, 1], bottom_nodes=[3, 4])
    assert list(space.domain(TASK, 1_000).parameters) == [
        "top_nodes",
        "middle_nodes",
        "bottom_nodes",
        "bottom_rewiring",
        "parameter_fraction",
        "parameter_limit",
    ]


def test_what_an_inactive_parameter_would_be_changes_nothing() -> None:
    for dead in ({"top_nodes": 4, "top_neighbours": 4}, {"top_nodes": 3, "top_rewiring": 0.9}):
        nodes = {"top_nodes": dead["top_nodes"], "middle_nodes": 1}
        assert structure(SMALL.plan(architecture(**nodes), TASK)) == structure(
            SMALL.plan(
                architecture(**nodes, **{k: v for k, v in dead.items() if k not in nodes}), TASK
            )
        )


def test_samples_encode_to_rows_and_back() -> None:
    domain = HierarchicalGraph().domain(TASK, 1_000)
    points = domain.sample(np.random.default_rng(1), 50)
    assert domain.decode(domain.encode(points)) == points


def test_all_wrong_ranges_are_reported_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        HierarchicalGraph(
            top_nodes=[0, 3],
            top_neighbours=[2, 5],
            top_rewiring=[0.9, 0.1],
            middle_nodes=[1, 2.5],
            middle_probability=[0.1],
            bottom_nodes=3,
            bottom_neighbours=[2, 10**9],
            bottom_rewiring=[0, 1.5],
            parameter_fraction=[0, 1],
        )
    assert [mistake.path for mistake in caught.value.mistakes] == [
        "space.top_nodes",
        "space.top_neighbours",
        "space.top_rewiring",
        "space.middle_nodes",
        "space.middle_probability",
        "space.bottom_nodes",
        "space.bottom_neighbours",
        "space.bottom_rewiring",
        "space.parameter_fraction",
    ]
    assert "expected [lowest, highest], whole numbers from 1 to 100; got 3" in str(caught.value)


def test_levels_that_multiply_to_more_than_can_be_drawn_are_refused() -> None:
    with pytest.raises(SpecError, match="at most 8,000 operations .* got 9,000"):
        HierarchicalGraph(top_nodes=[3, 30], middle_nodes=[1, 10], bottom_nodes=[3, 30])


def test_the_draw_of_a_recorded_architecture_has_not_changed() -> None:
    # If it has, every recorded student is another network; then the space needs another name.
    plan = SMALL.plan(architecture(3), TASK)
    assert (len(plan), plan.number_of_edges(), parameter_count(plan)) == (152, 169, 18264)
    assert hashlib.sha256(repr([*plan.edges]).encode()).hexdigest()[:16] == "37b50bd78ee024a9"
