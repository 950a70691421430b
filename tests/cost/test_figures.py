from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from autokd.budget import Cost
from autokd.cost import measure_cost
from autokd.space import Architecture
from autokd.task import Task
from search_spaces.hierarchical_graph import HierarchicalGraph, parameter_count

SPACE = HierarchicalGraph(top_nodes=[3, 4], middle_nodes=[1, 2], bottom_nodes=[1, 3])
FLOAT = 4  # bytes


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def draws(count: int, task: Task) -> list[Architecture]:
    points = SPACE.domain(task, 20_000).sample(np.random.default_rng(0), count)
    return [Architecture(SPACE.name, point, seed) for seed, point in enumerate(points)]


def students(count: int, task: Task) -> list[nn.Module]:
    return [SPACE.build(drawn, task) for drawn in draws(count, task)]


# By hand ------------------------------------------------------------------------------------------


def test_a_linear_network_costs_what_its_shapes_say() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Linear(5, 2))
    assert measure_cost(network, Task((3, 2, 2), 2)) == Cost(
        parameters=12 * 5 + 5 + 5 * 2 + 2,
        weight_bytes=FLOAT * (12 * 5 + 5 + 5 * 2 + 2),
        peak_activation_bytes=FLOAT * (12 + 5 + 2),
        macs=12 * 5 + 5 * 2,
    )


def test_views_and_results_in_place_take_no_memory() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Unflatten(1, (2, 16))
    )
    cost = measure_cost(network, Task((1, 4, 4), 2))
    assert cost.peak_activation_bytes == FLOAT * (16 + 32)


def test_a_tensor_that_is_still_to_be_read_is_counted() -> None:
    class Residual(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            first = torch.sigmoid(images)
            second = torch.tanh(torch.tanh(torch.tanh(first)))
            return first + second

    # The image, `first`, two results of tanh while the third is made; then the sum beside `second`.
    assert measure_cost(Residual(), Task((1, 4, 4), 2)).peak_activation_bytes == FLOAT * 16 * 4


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (nn.Conv2d(4, 6, 3, padding=1), 6 * 8 * 8 * 4 * 9),
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), 6 * 8 * 8 * 2 * 9),
        (nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4), 4 * 4 * 4 * 9),
        (nn.Conv2d(4, 6, 3, dilation=2), 6 * 4 * 4 * 4 * 9),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), 8 * 8 * 4 * 6 * 4),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), 8 * 8 * 4 * 3 * 4),
    ],
)
def test_convolutions_of_every_kind_are_counted(layer: nn.Module, macs: int) -> None:
    assert measure_cost(layer, Task((4, 8, 8), 2)).macs == macs


def test_matrix_products_and_attention_are_counted() -> None:
    class Attention(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            keys = images.flatten(2)  # (1, 2, 12)
            product = keys @ keys.transpose(1, 2)
            return functional.scaled_dot_product_attention(keys, keys, keys) + product.sum()

    assert measure_cost(Attention(), Task((2, 3, 4), 2)).macs == 2 * 2 * 12 * 3


def test_shared_weights_are_counted_once_and_buffers_are_bytes() -> None:
    layer = nn.Linear(4, 4, bias=False)
    network = nn.Sequential(nn.Flatten(), layer, layer, nn.BatchNorm1d(4))
    cost = measure_cost(network, Task((1, 2, 2), 2))
    assert cost.parameters == 16 + 8
    assert cost.weight_bytes == FLOAT * (16 + 8) + FLOAT * 8 + 8  # statistics, batches seen
    assert cost.macs == 32


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    network[2].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    parameters = list(network.parameters())
    measure_cost(network, Task((1, 8, 8), 2))
    assert [module.training for module in network] == [True, True, False]
    assert all(new is old for new, old in zip(network.parameters(), parameters, strict=True))
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


def test_the_network_is_left_as_it_was_when_it_does_not_fit_the_task() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3))
    weight = network[0].weight
    with pytest.raises(RuntimeError, match="channel"):
        measure_cost(network, Task((1, 8, 8), 2))
    assert network.training and network[0].weight is weight


def test_on_meta_or_not_the_cost_is_the_same() -> None:
    task = Task((1, 8, 8), 10)
    for student in students(5, task):
        assert measure_cost(student, task) == measure_cost(student.to("meta"), task)


# By independent counters --------------------------------------------------------------------------


def counted_macs(network: nn.Module, task: Task) -> float:
    """By PyTorch's own counter, over a real run."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.rand(1, *task.input_shape))
    return counter.get_total_flops() / 2


def test_parameters_and_macs_of_200_students_equal_an_independent_count() -> None:
    task = Task((1, 8, 8), 10)
    for drawn in draws(200, task):
        student = SPACE.build(drawn, task)
        cost = measure_cost(student, task)
        assert cost.macs == counted_macs(student, task)
        assert cost.parameters == parameter_count(SPACE.plan(drawn, task))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_parameters_and_macs_of_known_networks_equal_an_independent_count(name: str) -> None:
    task = Task((3, 64, 64), 1000)
    network = torchvision.models.get_model(name)
    cost = measure_cost(network, task)
    assert cost.macs == counted_macs(network, task)
    assert cost.parameters == {"resnet18": 11_689_512, "mobilenet_v3_small": 2_542_856}[name]


@pytest.mark.filterwarnings("ignore")  # fvcore is imported and traces with what torch deprecates
def test_macs_equal_those_that_fvcore_counts() -> None:
    from fvcore.nn import FlopCountAnalysis

    task = Task((3, 32, 32), 10)
    for network in [torchvision.models.resnet18(), *students(3, task)]:
        analysis = FlopCountAnalysis(network.eval(), torch.rand(1, *task.input_shape))
        by_operator = analysis.unsupported_ops_warnings(False).by_operator()
        expected = by_operator["conv"] + by_operator["linear"]
        assert measure_cost(network, task).macs == expected


# By a trace of the allocator ----------------------------------------------------------------------


def traced_peak(network: nn.Module, task: Task) -> int:
    """Peak bytes of live tensors in a real run on the CPU, from the profiler's allocation events.

    An allocation that one kernel makes and frees is its scratch memory. A kernel is an outermost
    operator that is not merely composed of others.
    """
    network, image = network.eval(), torch.rand(1, *task.input_shape)
    with torch.no_grad():
        network(image)  # the first run may allocate what it keeps
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
            result = network(image)
    del result
    events: list[tuple[int, int, int, object]] = []  # time, address, bytes (< 0: freed), kernel

    def visit(event, kernel: object) -> None:
        if event.tag == torch._C._profiler._EventType.Allocation:
            fields = event.extra_fields
            events.append((event.start_time_ns, fields.ptr, fields.alloc_size, kernel))
        elif kernel is None and not is_composed(event.name):
            kernel = event.id
        for child in event.children:
            visit(child, kernel)

    for root in trace.profiler.kineto_results.experimental_event_tree():
        visit(root, None)
    return image.nbytes + peak_of(sorted(events, key=lambda event: event[0]))


def is_composed(operator: str) -> bool:
    namespace, _, name = operator.partition("::")
    packet = getattr(getattr(torch.ops, namespace), name)
    return all(
        torch._C._dispatch_has_kernel_for_dispatch_key(
            getattr(packet, overload).name(), "CompositeImplicitAutograd"
        )
        for overload in packet.overloads()
    )


def peak_of(events: list[tuple[int, int, int, object]]) -> int:
    sizes: list[int] = []
    made: dict[int, tuple[int, object]] = {}
    for _, address, size, kernel in events:
        sizes.append(size)
        if size > 0:
            made[address] = (len(sizes) - 1, kernel)
        else:
            position, maker = made.pop(address)
            if maker is not None and maker == kernel:
                sizes[position] = sizes[-1] = 0
    return max(np.cumsum(sizes), default=0)


class Basic(nn.Module):
    """ResNet's block for small images."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, out // channels, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.more = out - channels

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.norm1(self.conv1(x)))
        inner = self.norm2(self.conv2(inner))
        if self.more:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))
        return functional.relu(inner + x)


def small_resnet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), Basic(8, 8), Basic(8, 16), Basic(16, 32)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)),
    )


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 30, 30), (3, 64, 64)])
def test_the_peak_of_students_is_what_the_allocator_sees(shape: tuple[int, int, int]) -> None:
    task = Task(shape, 10)
    for student in students(8, task):
        assert measure_cost(student, task).peak_activation_bytes == traced_peak(student, task)


@pytest.mark.parametrize(
    "network",
    [
        small_resnet,
        torchvision.models.resnet18,
        torchvision.models.mobilenet_v3_small,
        torchvision.models.squeezenet1_1,
        torchvision.models.shufflenet_v2_x0_5,
    ],
)
def test_the_peak_of_known_networks_is_what_the_allocator_sees(
    network: Callable[[], nn.Module],
) -> None:
    task = Task((3, 64, 64), 10)
    built = network()
    assert measure_cost(built, task).peak_activation_bytes == traced_peak(built, task)
