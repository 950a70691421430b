"""Checkpoints are whole or absent, and only read for the architecture they are of."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from autokd.errors import StorageFullError
from autokd.evaluation.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from autokd.space import Architecture

ARCHITECTURE = Architecture("fake", {"width": 4})
STATE: dict[str, Any] = {"epoch": 3, "network": {"weight": torch.arange(4.0)}}


def test_gives_back_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "made" / "checkpoint.pt"
    save_checkpoint(path, ARCHITECTURE, STATE)
    state = load_checkpoint(path, ARCHITECTURE)
    assert state["epoch"] == 3
    assert torch.equal(state["network"]["weight"], torch.arange(4.0))
    assert os.listdir(path.parent) == ["checkpoint.pt"]


def test_a_write_that_fails_leaves_the_previous_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, ARCHITECTURE, STATE)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFullError, match="no space left"):
        save_checkpoint(path, ARCHITECTURE, {**STATE, "epoch": 4})
    assert load_checkpoint(path, ARCHITECTURE)["epoch"] == 3
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


class Payload:
    """What a pickle must not be able to bring in."""


def damaged_files(tmp_path: Path) -> list[Path]:
    whole = tmp_path / "whole.pt"
    save_checkpoint(whole, ARCHITECTURE, STATE)
    contents = {
        "empty": b"",
        "half": whole.read_bytes()[: whole.stat().st_size // 2],
        "text": b"not a checkpoint",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    torch.save(torch.zeros(2), tmp_path / "tensor")
    torch.save([1, 2], tmp_path / "list")
    torch.save({"architecture": ARCHITECTURE.key}, tmp_path / "lacking")
    torch.save({"architecture": ARCHITECTURE.key, "training": Payload()}, tmp_path / "pickle")
    names = [*contents, "tensor", "list", "lacking", "pickle", "missing"]
    return [tmp_path / name for name in names]


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    for path in damaged_files(tmp_path):
        with pytest.raises(CheckpointError, match=path.name):
            load_checkpoint(path, ARCHITECTURE)


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", ARCHITECTURE, STATE)
    with pytest.raises(CheckpointError, match="width"):
        load_checkpoint(tmp_path / "c.pt", Architecture("fake", {"width": 5}))
