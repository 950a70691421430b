"""KDLoss against the formula of the paper, its limits and its gradient."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autokd.distillation import DistillationLoss, KDLoss, ModelOutput

torch.set_num_threads(1)

TARGETS = torch.zeros(0, dtype=torch.int64)


def kd(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    return KDLoss(temperature)(ModelOutput(student), ModelOutput(teacher), TARGETS)


def logits(seed: int, n: int = 5, classes: int = 4, scale: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, classes, generator=generator, dtype=torch.float64)


def brute_force(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> float:
    total = 0.0
    for z_s, z_t in zip(student.tolist(), teacher.tolist(), strict=True):
        e_s = [math.exp(z / temperature) for z in z_s]
        e_t = [math.exp(z / temperature) for z in z_t]
        for a, b in zip(e_t, e_s, strict=True):
            p_t, p_s = a / sum(e_t), b / sum(e_s)
            total += p_t * math.log(p_t / p_s)
    return temperature**2 * total / len(student)


def test_two_classes_have_a_closed_form() -> None:
    # p_t = (3/4, 1/4), p_s = (1/2, 1/2) at T = 1.
    loss = kd(torch.zeros(1, 2), torch.tensor([[math.log(3.0), 0.0]]), temperature=1.0)
    assert loss.item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))


@given(seed=st.integers(0, 999), temperature=st.floats(0.5, 20))
@settings(max_examples=30, deadline=None)
def test_equals_the_formula_written_out(seed: int, temperature: float) -> None:
    student, teacher = logits(seed), logits(seed + 1000)
    expected = brute_force(student, teacher, temperature)
    assert kd(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-9)


def test_is_zero_without_gradient_when_the_student_agrees_with_its_teacher() -> None:
    teacher = logits(0).float()
    student = (teacher + 7.0).requires_grad_()  # a shift of all logits changes no probability
    loss = kd(student, teacher, 4.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert student.grad is not None
    torch.testing.assert_close(student.grad, torch.zeros_like(student), atol=1e-6, rtol=0)


def test_is_positive_when_they_disagree() -> None:
    assert kd(logits(0), logits(1), 4.0).item() > 0


def test_gradient_with_respect_to_the_student_is_right() -> None:
    student = logits(2).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: kd(z, logits(3), 3.0), (student,))


def test_tends_to_logit_matching_at_high_temperature() -> None:
    student, teacher = logits(4), logits(5)
    centred = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    limit = centred.square().sum(1).mean() / (2 * student.shape[1])
    assert kd(student, teacher, 1e4).item() == pytest.approx(limit.item(), rel=1e-3)


def test_stays_finite_for_extreme_logits() -> None:
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = kd(student, torch.tensor([[-1e4, 1e4, 0.0]]), 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert student.grad is not None and torch.isfinite(student.grad).all()


def test_does_not_depend_on_how_the_images_are_batched() -> None:
    student, teacher = logits(6, n=6), logits(7, n=6)
    halves = [kd(student[i : i + 3], teacher[i : i + 3], 2.0) for i in (0, 3)]
    assert kd(student, teacher, 2.0).item() == pytest.approx(sum(halves).item() / 2)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_refuses_a_temperature_that_is_not_positive(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        KDLoss(temperature)


def test_is_a_distillation_loss_that_says_its_temperature() -> None:
    assert isinstance(KDLoss(4), DistillationLoss)
    assert repr(KDLoss(4)) == "KDLoss(temperature=4)"
