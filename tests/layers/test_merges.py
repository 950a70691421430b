from __future__ import annotations

import pytest
import torch

from autokd.layers import GatedSum, Mean


def test_a_gated_sum_weighs_its_first_inputs_and_adds_the_others() -> None:
    merge = GatedSum(2)
    merge.gates.data = torch.tensor([0.0, torch.inf])
    result = merge(torch.tensor([2.0]), torch.tensor([3.0]), torch.tensor([5.0]))
    assert result.item() == 0.5 * 2 + 1 * 3 + 5


def test_gates_start_at_sigmoid_of_one() -> None:
    assert torch.allclose(GatedSum(1)(torch.ones(1)), torch.sigmoid(torch.ones(1)))


def test_merges_leave_their_inputs_as_they_were() -> None:
    inputs = [torch.ones(3) for _ in range(3)]
    GatedSum(2)(*inputs)
    Mean()(*inputs)
    assert all(torch.equal(value, torch.ones(3)) for value in inputs)


def test_the_gradient_of_a_gated_sum_is_that_of_its_formula() -> None:
    merge = GatedSum(2).double()
    inputs = [torch.randn(2, 3, dtype=torch.double, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(lambda gates, *x: _run(merge, gates, x), (merge.gates, *inputs))


def _run(merge: GatedSum, gates: torch.Tensor, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return torch.func.functional_call(merge, {"gates": gates}, inputs)


def test_merges_work_in_mixed_precision() -> None:
    inputs = [torch.ones(2, 2, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = GatedSum(2)(*inputs) + Mean()(*inputs)
    result.sum().backward()
    assert result.dtype == torch.bfloat16
    assert all(value.grad is not None for value in inputs)


def test_a_mean_is_over_the_inputs() -> None:
    result = Mean()(torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([6.0]))
    assert result.item() == 3


def test_a_gated_sum_without_gates_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one gated input"):
        GatedSum(0)
