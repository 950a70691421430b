"""The offline scheme: which terms it computes and how it weighs them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from autokd.distillation import DistillationLoss, KDLoss, ModelOutput, OfflineDistillation

torch.set_num_threads(1)

STUDENT = ModelOutput(torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]))
TEACHER = ModelOutput(torch.tensor([[0.0, 4.0, 0.0], [1.0, -2.0, 2.0]]))
TARGETS = torch.tensor([1, 2])


class Constant(DistillationLoss):
    """Always `value`."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(
        self, student: ModelOutput, teacher: ModelOutput, targets: torch.Tensor
    ) -> torch.Tensor:
        return torch.tensor(self.value)


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    scheme = OfflineDistillation([("kd", 0.9, KDLoss(4)), ("other", 2.0, Constant(5.0))], 0.25)
    terms = scheme(STUDENT, TEACHER, TARGETS)
    cross_entropy = F.cross_entropy(STUDENT.logits, TARGETS)
    kd = KDLoss(4)(STUDENT, TEACHER, TARGETS)
    assert list(terms) == ["loss", "cross_entropy", "kd", "other"]
    torch.testing.assert_close(terms["cross_entropy"], cross_entropy)
    torch.testing.assert_close(terms["kd"], kd)
    torch.testing.assert_close(terms["loss"], 0.25 * cross_entropy + 0.9 * kd + 10)


@pytest.mark.parametrize(("weights", "task"), [([0.9], 0.1), ([0.5, 0.2], 0.3), ([2.0], 0.0)])
def test_the_labels_get_what_the_losses_leave_of_one(weights: list[float], task: float) -> None:
    losses = [(f"loss{i}", weight, Constant(1.0)) for i, weight in enumerate(weights)]
    assert OfflineDistillation(losses).task_weight == pytest.approx(task)


def test_without_losses_it_is_plain_cross_entropy_and_needs_no_teacher() -> None:
    scheme = OfflineDistillation([])
    assert not scheme.needs_teacher
    terms = scheme(STUDENT, None, TARGETS)
    assert list(terms) == ["loss", "cross_entropy"]
    assert terms["loss"] == F.cross_entropy(STUDENT.logits, TARGETS)


def test_a_loss_of_weight_zero_is_not_computed() -> None:
    scheme = OfflineDistillation([("kd", 0.0, KDLoss(4))])
    assert not scheme.needs_teacher
    assert list(scheme(STUDENT, None, TARGETS)) == ["loss", "cross_entropy"]


def test_without_task_weight_only_the_teacher_is_followed() -> None:
    scheme = OfflineDistillation([("kd", 1.0, KDLoss(2))])
    assert scheme.needs_teacher
    assert list(scheme(STUDENT, TEACHER, TARGETS)) == ["loss", "kd"]


def test_labels_are_smoothed_on_request() -> None:
    scheme = OfflineDistillation([], label_smoothing=0.1)
    expected = F.cross_entropy(STUDENT.logits, TARGETS, label_smoothing=0.1)
    assert scheme(STUDENT, None, TARGETS)["loss"] == expected


def test_gradients_reach_the_student_from_every_term() -> None:
    logits = STUDENT.logits.clone().requires_grad_()
    scheme = OfflineDistillation([("kd", 0.9, KDLoss(4))])
    scheme(ModelOutput(logits), TEACHER, TARGETS)["loss"].backward()
    p_s, q_s = logits.softmax(1), (logits / 4).softmax(1)
    q_t = (TEACHER.logits / 4).softmax(1)
    hard = p_s - F.one_hot(TARGETS, 3)
    expected = (0.1 * hard + 0.9 * 4 * (q_s - q_t)) / len(TARGETS)
    torch.testing.assert_close(logits.grad, expected.detach())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": [("kd", -0.1, Constant(1))]}, "at least 0"),
        ({"losses": [("kd", math.nan, Constant(1))]}, "finite"),
        ({"losses": [("kd", 1, Constant(1)), ("kd", 1, Constant(1))]}, "unique names"),
        ({"losses": [("loss", 1, Constant(1))]}, "names other than"),
        ({"task_weight": 0.0}, "nothing would be learned"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
    ],
)
def test_refuses_what_makes_no_loss(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OfflineDistillation(**arguments)  # type: ignore[arg-type]
