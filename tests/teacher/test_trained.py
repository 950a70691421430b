"""Training a teacher once, and finding it again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autokd.data import Data, from_arrays
from autokd.errors import TeacherError
from autokd.spec import AugmentationSpec, TeacherSpec, TrainingSpec
from autokd.teacher import (
    Teacher,
    build_teacher_network,
    loaded_teacher,
    save_weights,
    teacher_key,
    trained_teacher,
)
from autokd.training import Training

torch.set_num_threads(1)

CPU = torch.device("cpu")
SPEC = TeacherSpec(
    model="resnet8",
    epochs=3,
    training=TrainingSpec(batch_size=16, learning_rate=0.1, warmup_epochs=0),
)


class Small(nn.Module):
    """Stands in for the network that the spec names; trains in milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(64, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.flatten(images))
        return logits


class Report:
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> None:
        assert metrics["loss"] > 0
        self.epochs.append(epoch)


@pytest.fixture(scope="module")
def data() -> Data:
    """Two classes: bright on the left, bright on the right."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = rng.integers(0, 100, (60, 8, 8))
    images[labels == 0, :, :4] += 120
    images[labels == 1, :, 4:] += 120
    pixels = images.astype(np.uint8)
    return from_arrays(pixels, labels, pixels[:4], labels[:4], augmentation=AugmentationSpec(pad=1))


def train(
    data: Data,
    folder: Path,
    report: Callable[[int, Mapping[str, float]], None] | None = None,
    spec: TeacherSpec = SPEC,
    seed: int = 0,
) -> Teacher:
    return trained_teacher(Small, data, spec, seed, folder, CPU, report)


def sidecar(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_teacher_learns_and_is_found_again(data: Data, tmp_path: Path) -> None:
    first, again = Report(), Report()
    teacher = train(data, tmp_path, first)
    assert first.epochs == [1, 2, 3]
    assert sidecar(tmp_path)["validation_accuracy"] == 1
    assert sidecar(tmp_path)["training"] == SPEC.training.model_dump()
    assert train(data, tmp_path, again).fingerprint == teacher.fingerprint
    assert again.epochs == []
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".lock", ".safetensors"]


def test_training_is_repeatable_and_leaves_the_global_generator_alone(
    data: Data, tmp_path: Path
) -> None:
    before = torch.random.get_rng_state()
    first, second = train(data, tmp_path / "a"), train(data, tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert train(data, tmp_path / "a", seed=1).fingerprint != first.fingerprint
    assert torch.equal(torch.random.get_rng_state(), before)


def test_key_depends_on_everything_that_decides_the_teacher(data: Data) -> None:
    recipe = SPEC.training.model_copy(update={"learning_rate": 0.2})
    keys = {
        teacher_key(data, SPEC, 0),
        teacher_key(data, SPEC, 1),
        *(
            teacher_key(data, SPEC.model_copy(update=change), 0)
            for change in (
                {"model": "resnet20"},
                {"epochs": 4},
                {"mean": (0.1,)},
                {"training": recipe},
            )
        ),
    }
    assert len(keys) == 6
    # Where the weights of another teacher would come from decides nothing about this one.
    other_file = SPEC.model_copy(update={"weights": Path("other")})
    assert teacher_key(data, other_file, 0) in keys


def cut_weights(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])


def change_a_weight(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def lose_sidecar(folder: Path) -> None:
    (path,) = folder.glob("*.json")
    path.unlink()


def scramble_sidecar(folder: Path) -> None:
    (path,) = folder.glob("*.json")
    path.write_bytes(b"\xff{")


def replace_sidecar(folder: Path) -> None:
    (path,) = folder.glob("*.json")
    path.write_text("[]")


def vouch_for_other_weights(folder: Path) -> None:
    (weights,) = folder.glob("*.safetensors")
    digest = save_weights(nn.Linear(1, 1), weights)
    (path,) = folder.glob("*.json")
    path.write_text(json.dumps({"sha256": digest}))


@pytest.mark.parametrize(
    "damage",
    [
        cut_weights,
        change_a_weight,
        lose_sidecar,
        scramble_sidecar,
        replace_sidecar,
        vouch_for_other_weights,
    ],
)
def test_damaged_cache_is_trained_again(
    data: Data, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    expected, report = train(data, tmp_path).fingerprint, Report()
    damage(tmp_path)
    assert train(data, tmp_path, report).fingerprint == expected
    assert report.epochs == [1, 2, 3]
    train(data, tmp_path, again := Report())
    assert again.epochs == []


def test_interrupted_training_goes_on_after_its_last_epoch(data: Data, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(epoch: int, _metrics: Mapping[str, float]) -> None:
        if epoch == 2:
            raise Interrupted

    expected = train(data, tmp_path / "whole").fingerprint
    with pytest.raises(Interrupted):
        train(data, tmp_path / "parts", interrupt)
    report = Report()
    assert train(data, tmp_path / "parts", report).fingerprint == expected
    assert report.epochs == [3]
    assert not list(tmp_path.glob("parts/*.checkpoint.pt"))


def test_damaged_checkpoint_is_started_over(data: Data, tmp_path: Path) -> None:
    expected = train(data, tmp_path / "whole").fingerprint
    (tmp_path / "parts").mkdir()
    path = tmp_path / "parts" / f"{teacher_key(data, SPEC, 0)}.checkpoint.pt"
    path.write_bytes(b"damaged")
    report = Report()
    assert train(data, tmp_path / "parts", report).fingerprint == expected
    assert report.epochs == [1, 2, 3]


def test_of_two_that_want_a_teacher_one_trains_and_one_waits(data: Data, tmp_path: Path) -> None:
    reports = [Report(), Report()]
    teachers: list[Teacher] = []
    started = threading.Barrier(2)

    def ask(report: Report) -> None:
        started.wait()
        teachers.append(train(data, tmp_path, report))

    threads = [threading.Thread(target=ask, args=(report,)) for report in reports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.epochs for report in reports) == [[], [1, 2, 3]]
    assert teachers[0].fingerprint == teachers[1].fingerprint


def test_diverged_training_says_what_to_do(data: Data, tmp_path: Path) -> None:
    wild = SPEC.training.model_copy(update={"learning_rate": 1e30, "weight_decay": 0.1})
    spec = SPEC.model_copy(update={"training": wild, "epochs": 20})
    with pytest.raises(TeacherError, match=r"failed: (.|\n)*teacher.training.learning_rate"):
        train(data, tmp_path, spec=spec)
    assert not list(tmp_path.glob("*.safetensors"))


def test_cached_file_can_be_given_as_weights(data: Data, tmp_path: Path) -> None:
    teacher = train(data, tmp_path)
    (weights,) = tmp_path.glob("*.safetensors")
    spec = SPEC.model_copy(update={"weights": weights})
    assert loaded_teacher(Small, data, spec, CPU).fingerprint == teacher.fingerprint
    other = spec.model_copy(update={"mean": (0.0,), "std": (1.0,)})
    assert loaded_teacher(Small, data, other, CPU).fingerprint != teacher.fingerprint


def test_weights_must_be_named_to_be_loaded(data: Data) -> None:
    with pytest.raises(TeacherError, match="teacher.weights"):
        loaded_teacher(Small, data, SPEC, CPU)


def test_real_network_shows_its_features(data: Data, tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"epochs": 1})
    build = partial(build_teacher_network, spec.model, data.task)
    teacher = trained_teacher(build, data, spec, 0, tmp_path, CPU, features=["layer3"])
    output = teacher(torch.rand(2, 1, 8, 8))
    assert output.logits.shape == (2, 2)
    assert output.features["layer3"].shape == (2, 64, 2, 2)


def test_teachers_own_normalisation_is_used(data: Data, tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"epochs": 1, "mean": (0.25,), "std": (0.5,)})
    state = train(data, tmp_path, spec=spec).state_dict()
    assert state["network.mean"].item() == 0.25
    assert state["network.std"].item() == 0.5


def test_training_is_not_begun_for_a_cached_teacher(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(data, tmp_path)
    monkeypatch.setattr(Training, "run_epoch", None)
    train(data, tmp_path)
