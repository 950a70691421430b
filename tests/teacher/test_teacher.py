"""The frozen network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from autokd.errors import TeacherError
from autokd.layers import Normalised
from autokd.task import Task
from autokd.teacher import Teacher, build_teacher_network

torch.set_num_threads(1)

DIGITS = Task((1, 8, 8), 10)


def normalised(model: str = "resnet8") -> Normalised:
    return Normalised(build_teacher_network(model, DIGITS), [0.3], [0.2])


class InPlace(nn.Module):
    """Overwrites the output of `linear`, as torchvision's networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.relu = nn.ReLU(inplace=True)
        self.unused = nn.Linear(2, 2)
        self.pair = Pair()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.pair(self.relu(self.relu(self.linear(x)) - 1))[0]
        return logits


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def test_teacher_is_frozen_in_evaluation_mode_whatever_is_asked() -> None:
    teacher = Teacher(normalised())
    nn.ModuleDict({"scheme": teacher}).train()
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_asking_changes_nothing_in_the_teacher() -> None:
    teacher = Teacher(normalised(), ["layer1"])
    before = teacher.fingerprint
    first = teacher(torch.rand(4, 1, 8, 8))
    assert Teacher(teacher.network).fingerprint == before
    assert not first.logits.requires_grad
    assert all(not module._forward_hooks for module in teacher.modules())


def test_output_can_take_part_in_a_students_backward_pass() -> None:
    teacher, student = Teacher(normalised()), torch.zeros(4, 10, requires_grad=True)
    (student * teacher(torch.rand(4, 1, 8, 8)).logits).sum().backward()
    assert student.grad is not None


def test_features_are_given_by_name() -> None:
    teacher = Teacher(normalised(), ["layer1", "layer3", "flatten"])
    images = torch.rand(4, 1, 8, 8)
    output = teacher(images)
    assert output.logits.shape == (4, 10)
    assert {name: tuple(value.shape) for name, value in output.features.items()} == {
        "layer1": (4, 16, 8, 8),
        "layer3": (4, 64, 2, 2),
        "flatten": (4, 64),
    }
    assert torch.equal(output.logits, Teacher(teacher.network)(images).logits)


def test_features_before_the_last_relu_can_be_had() -> None:
    teacher = Teacher(normalised(), ["layer2.0.preactivation", "layer2"])
    features = teacher(torch.rand(4, 1, 8, 8)).features
    assert features["layer2.0.preactivation"].min() < 0
    assert torch.equal(features["layer2.0.preactivation"].relu(), features["layer2"])


def test_later_operations_in_place_do_not_overwrite_a_feature() -> None:
    network, images = InPlace(), torch.randn(16, 2)
    expected = network.linear(images).detach()
    assert torch.equal(Teacher(network, ["linear"])(images).features["linear"], expected)


def test_module_that_runs_twice_gives_its_last_output() -> None:
    output = Teacher(InPlace(), ["relu"])(torch.randn(16, 2))
    assert torch.equal(output.features["relu"], output.logits)


def test_unknown_feature_suggests_the_nearest() -> None:
    with pytest.raises(TeacherError, match=r"no module 'layer4'(.|\n)*did you mean 'layer"):
        Teacher(normalised(), ["layer4"])


@pytest.mark.parametrize(
    ("feature", "message"), [("unused", "never runs 'unused'"), ("pair", "tensor, got tuple")]
)
def test_feature_that_is_no_tensor_of_the_forward_pass_is_refused(
    feature: str, message: str
) -> None:
    teacher = Teacher(InPlace(), [feature])
    with pytest.raises(TeacherError, match=message):
        teacher(torch.rand(3, 2))
    assert not teacher.network.get_submodule(feature)._forward_hooks


@pytest.mark.parametrize("network", [Pair(), nn.Identity()])
def test_network_that_gives_no_logits_is_refused(network: nn.Module) -> None:
    with pytest.raises(TeacherError, match="expected the teacher to give logits"):
        Teacher(network)(torch.rand(3, 1, 8, 8))


def test_grey_images_reach_a_colour_network() -> None:
    network = build_teacher_network("torchvision/squeezenet1_1", Task((1, 32, 32), 4))
    teacher = Teacher(Normalised(network, [0.5] * 3, [0.5] * 3))
    assert teacher(torch.rand(2, 1, 32, 32)).logits.shape == (2, 4)
