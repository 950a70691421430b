"""Weights to and from files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from autokd.errors import TeacherError
from autokd.teacher import load_weights, save_weights
from autokd.teacher.weights import fingerprint

torch.set_num_threads(1)


def network(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))


def test_saved_weights_load_bit_for_bit(tmp_path: Path) -> None:
    source, target = network(), network()
    digest = save_weights(source, tmp_path / "weights.safetensors")
    load_weights(target, tmp_path / "weights.safetensors")
    assert fingerprint(target.state_dict()) == fingerprint(source.state_dict())
    content = (tmp_path / "weights.safetensors").read_bytes()
    assert digest == hashlib.sha256(content).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_shared_and_oddly_laid_out_weights_are_saved(tmp_path: Path) -> None:
    first, second = nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3)
    second.weight = first.weight
    source = nn.Sequential(first, second)
    save_weights(source.to(memory_format=torch.channels_last), tmp_path / "weights.safetensors")
    target = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3))
    load_weights(target, tmp_path / "weights.safetensors")
    assert torch.equal(target.get_parameter("1.weight"), first.weight)


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match=r"nowhere.*\n.*teacher.weights"):
        load_weights(network(), tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("content", [b"", b"no safetensors at all", b"\xff" * 64])
def test_damaged_file_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(TeacherError, match=r"damaged(.|\n)*save_file"):
        load_weights(network(), path)


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(network(), path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(TeacherError, match="damaged"):
        load_weights(network(), path)


def test_weights_of_another_network_are_listed_and_nothing_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(1, 1, 1)), path)
    target = network(width=3)
    before = fingerprint(target.state_dict())
    with pytest.raises(TeacherError) as caught:
        load_weights(target, path)
    message = str(caught.value)
    assert "1.running_mean: missing" in message
    assert "0.weight: expected shape (3, 1, 3, 3), got (4, 1, 3, 3)" in message
    assert "teacher.model" in message
    assert fingerprint(target.state_dict()) == before


def test_only_the_first_mismatches_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(nn.Sequential(*[nn.Linear(1, 1) for _ in range(10)]), path)
    with pytest.raises(TeacherError, match=r"\n  \.\.\. and 15 more"):
        load_weights(nn.Sequential(), path)


def test_batch_counters_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    state = network().state_dict()
    del state["1.num_batches_tracked"]
    safetensors.torch.save_file(state, path)
    load_weights(network(), path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    source = network()
    nn.init.constant_(source.get_parameter("0.bias"), float("nan"))
    save_weights(source, path)
    with pytest.raises(TeacherError, match="NaN or infinity, first in '0.bias'"):
        load_weights(network(), path)


def test_fingerprint_depends_on_values_names_types_and_shapes_but_not_on_order() -> None:
    state = {"a": torch.arange(4.0), "b": torch.tensor(3)}
    assert fingerprint(state) == fingerprint(dict(reversed(state.items())))
    others = [
        {**state, "a": torch.arange(4.0) + 1e-6},
        {**state, "a": torch.arange(4.0).reshape(2, 2)},
        {**state, "b": torch.tensor(3, dtype=torch.int32)},
        {"c": state["a"], "b": state["b"]},
    ]
    assert len({fingerprint(other) for other in [state, *others]}) == 5
