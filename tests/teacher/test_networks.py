"""The built-in networks and the names under which a study file finds them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from autokd.errors import SpecError, TeacherError, UnknownNameError
from autokd.task import Task
from autokd.teacher import build_teacher_network, input_channels, normalisation
from autokd.teacher.resnet import ResNet
from autokd.teacher.wide_resnet import WideResNet

torch.set_num_threads(1)

CIFAR10 = Task((3, 32, 32), 10)
CIFAR100 = Task((3, 32, 32), 100)
DIGITS = Task((1, 8, 8), 10)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def resnet_parameters(depth: int, widths: tuple[int, ...], channels: int, classes: int) -> int:
    """Closed form: convolutions (9 weights a pair of channels, 1 in shortcuts), norms, head."""

    def conv(size: int, channels_in: int, channels_out: int) -> int:
        return size * channels_in * channels_out + 2 * channels_out  # with its batch norm

    stem, *stages = widths
    total = conv(9, channels, stem)
    previous = stem
    for index, width in enumerate(stages):
        total += conv(9, previous, width)
        total += ((depth - 2) // 3 - 1) * conv(9, width, width)
        total += conv(1, previous, width) if index > 0 or previous != width else 0
        previous = width
    return total + previous * classes + classes


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_resnet_parameters_follow_the_closed_form(depth: int) -> None:
    network = build_teacher_network(f"resnet{depth}", CIFAR10)
    assert parameters(network) == resnet_parameters(depth, (16, 16, 32, 64), 3, 10)


@pytest.mark.parametrize(("model", "depth"), [("resnet8x4", 8), ("resnet32x4", 32)])
def test_times_four_resnet_parameters_follow_the_closed_form(model: str, depth: int) -> None:
    network = build_teacher_network(model, CIFAR100)
    assert parameters(network) == resnet_parameters(depth, (32, 64, 128, 256), 3, 100)


@pytest.mark.parametrize(
    ("model", "task", "millions"),
    [
        # He et al. 2016, table 6.
        ("resnet20", CIFAR10, 0.27),
        ("resnet32", CIFAR10, 0.46),
        ("resnet44", CIFAR10, 0.66),
        ("resnet56", CIFAR10, 0.85),
        ("resnet110", CIFAR10, 1.7),
        # Zagoruyko & Komodakis 2016 and the CRD benchmark (100 classes).
        ("wrn16_2", CIFAR100, 0.70),
        ("wrn40_2", CIFAR100, 2.26),
        ("wrn40_1", CIFAR100, 0.57),
        ("resnet32x4", CIFAR100, 7.43),
        ("resnet8x4", CIFAR100, 1.23),
    ],
)
def test_parameters_agree_with_the_literature(model: str, task: Task, millions: float) -> None:
    count = parameters(build_teacher_network(model, task)) / 1e6
    assert count == pytest.approx(millions, rel=0.02)


def test_wide_resnet_parameters_are_those_of_the_published_code() -> None:
    assert parameters(build_teacher_network("wrn16_2", CIFAR100)) == 703_284
    assert parameters(build_teacher_network("wrn40_2", CIFAR100)) == 2_255_156


@pytest.mark.parametrize("model", ["resnet8", "resnet8x4", "wrn10_1", "wrn16_2"])
@pytest.mark.parametrize("task", [DIGITS, Task((3, 32, 32), 10), Task((2, 9, 13), 3)])
def test_networks_take_any_image_of_8x8_and_more(model: str, task: Task) -> None:
    network = build_teacher_network(model, task)
    assert network(torch.rand(2, *task.input_shape)).shape == (2, task.classes)


@pytest.mark.parametrize(
    ("model", "stages"),
    [("resnet8", ("layer1", "layer2", "layer3")), ("wrn10_1", ("block1", "block2", "block3"))],
)
def test_stages_work_at_full_half_and_quarter_resolution(
    model: str, stages: tuple[str, ...]
) -> None:
    network = build_teacher_network(model, DIGITS)
    sizes = []
    for stage in stages:
        network.get_submodule(stage).register_forward_hook(
            lambda _module, _inputs, output: sizes.append(output.shape[-1])
        )
    network(torch.rand(2, 1, 8, 8))
    assert sizes == [8, 4, 2]


def test_parameter_names_are_those_of_the_crd_benchmark() -> None:
    resnet = build_teacher_network("resnet8x4", CIFAR100).state_dict()
    wide = build_teacher_network("wrn16_2", CIFAR100).state_dict()
    assert {"conv1.weight", "layer1.0.downsample.1.running_var", "layer3.0.bn2.bias"} <= set(resnet)
    assert {"block1.layer.0.convShortcut.weight", "block3.layer.1.conv2.weight"} <= set(wide)


@pytest.mark.parametrize("depth", [2, 9, 18])
def test_resnet_refuses_other_depths(depth: int) -> None:
    with pytest.raises(ValueError, match="6n \\+ 2"):
        ResNet(depth, (16, 16, 32, 64), 3, 10)


def test_wide_resnet_refuses_other_depths_and_widenings() -> None:
    with pytest.raises(ValueError, match="6n \\+ 4"):
        WideResNet(15, 2, 3, 10)
    with pytest.raises(ValueError, match="6n \\+ 4"):
        WideResNet(16, 0, 3, 10)


def test_torchvision_network_gets_the_classes_of_the_task() -> None:
    network = build_teacher_network("torchvision/squeezenet1_1", Task((1, 32, 32), 7))
    assert network.eval()(torch.rand(1, 3, 32, 32)).shape == (1, 7)


def test_grey_images_are_repeated_for_torchvision() -> None:
    assert input_channels("torchvision/resnet18", DIGITS) == 3
    assert input_channels("resnet20", DIGITS) == 1
    assert normalisation("torchvision/resnet18", DIGITS, (0.3,), (0.2,)) == (
        (0.3, 0.3, 0.3),
        (0.2, 0.2, 0.2),
    )
    assert normalisation("resnet20", DIGITS, (0.3,), (0.2,)) == ((0.3,), (0.2,))


@pytest.mark.parametrize(
    ("model", "expected"),
    [("resnet20", "1 number, one per channel; got 2"), ("torchvision/resnet18", "3 numbers, one")],
)
def test_a_normalisation_of_other_channels_is_refused(model: str, expected: str) -> None:
    with pytest.raises(SpecError, match=rf"teacher\.mean: expected {expected}"):
        normalisation(model, DIGITS, (0.5, 0.5), (1.0, 1.0))


def test_vision_transformer_is_built_for_the_size_of_the_images() -> None:
    with torch.device("meta"):
        network = build_teacher_network("torchvision/vit_b_32", Task((3, 64, 64), 5))
    assert network.get_parameter("encoder.pos_embedding").shape[1] == 5


@pytest.mark.parametrize("model", ["resnet8x4", "wrn16_2", "torchvision/regnet_y_400mf"])
def test_networks_can_be_built_without_weights(model: str) -> None:
    with torch.device("meta"):
        network = build_teacher_network(model, Task((3, 64, 64), 5))
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_auxiliary_outputs_give_logits_alone(name: str) -> None:
    with torch.device("meta"):
        network = build_teacher_network(f"torchvision/{name}", Task((3, 80, 80), 5))
        logits = network.train()(torch.rand(2, 3, 80, 80))
    assert isinstance(logits, Tensor)
    assert logits.shape == (2, 5)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        ("torchvision/alexnet", (3, 8, 8)),  # too small
        ("torchvision/vit_b_16", (3, 30, 30)),  # not divisible
        ("torchvision/maxvit_t", (3, 40, 40)),  # not divisible
        ("torchvision/resnet18", (4, 32, 32)),  # neither grey nor colour
    ],
)
def test_images_that_a_torchvision_network_cannot_take_are_refused(
    model: str, shape: tuple[int, int, int]
) -> None:
    with pytest.raises(TeacherError, match=model) as caught:
        build_teacher_network(model, Task(shape, 10))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("resnett20", "did you mean 'resnet20'"),
        ("resnet18", "did you mean 'torchvision/resnet18'"),
        ("torchvision/resnet19", "did you mean 'resnet1"),
        ("wrn41_2", "6n \\+ 4"),
    ],
)
def test_unknown_names_suggest_the_nearest(model: str, hint: str) -> None:
    with pytest.raises(UnknownNameError, match=hint):
        build_teacher_network(model, CIFAR10)
