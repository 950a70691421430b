"""The runner: what an attempt gives, how it resumes, and how it fails."""

from __future__ import annotations

import errno
import itertools
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autokd.data import Data, TensorImages
from autokd.distillation import KDLoss, OfflineDistillation
from autokd.errors import StorageFullError
from autokd.evaluation import (
    StudentRunner,
    evaluate,
    expected_calibration_error,
    restore_student,
)
from autokd.evaluation.checkpoint import CheckpointError, load_checkpoint
from autokd.space import Architecture, Choices, Domain
from autokd.spec import AugmentationSpec, TrainingSpec
from autokd.task import Task
from autokd.trial import Attempt, Evaluation, FailureClass, TrialFailed

torch.set_num_threads(1)

TASK = Task((1, 6, 6), classes=3)
RECIPE = TrainingSpec(batch_size=16, learning_rate=0.05)
EPOCHS = 3

Reports = list[tuple[int, Mapping[str, float]]]


class Space:
    """One convolution of `width` channels."""

    name = "fake"
    draws = False

    def domain(self, task: Task, parameter_limit: int) -> Domain:
        return Domain({})

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        width = int(architecture.choices["width"])
        return nn.Sequential(
            nn.Conv2d(1, width, 3),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * width, task.classes),
        )


class Outputs:
    """A teacher that knows the labels, surer with each epoch; notes what it was asked."""

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels
        self.asked: list[int] = []

    def epoch(self, epoch: int) -> Tensor:
        self.asked.append(epoch)
        return torch.eye(TASK.classes)[self.labels] * (2 + epoch)


def images(n: int, seed: int) -> TensorImages:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % TASK.classes
    pixels = torch.randint(0, 120, (n, *TASK.input_shape), generator=generator)
    pixels += 60 * labels.reshape(-1, 1, 1, 1)
    return TensorImages(pixels.to(torch.uint8), labels)


def make_data(read_test: Callable[[], TensorImages] = lambda: images(15, 3)) -> Data:
    return Data(
        task=TASK,
        train=images(50, 1),
        validation=images(20, 2),
        mean=(0.4,),
        std=(0.3,),
        augmentation=AugmentationSpec(pad=1, flip=True),
        fingerprint="0",
        name="fake",
        read_test=read_test,
    )


def scheme(choices: Choices) -> OfflineDistillation:
    weight = choices["kd.weight"]
    assert isinstance(weight, float)
    return OfflineDistillation([("kd", weight, KDLoss(4))])


def make_runner(outputs: Outputs | None = None, **changed: Any) -> StudentRunner:
    data = make_data()
    arguments = {
        "space": Space(),
        "data": data,
        "scheme": scheme,
        "recipe": RECIPE,
        "teacher_outputs": outputs or Outputs(data.train.labels),
        "device": torch.device("cpu"),
        "seed": 9,
    }
    return StudentRunner(**{**arguments, **changed})


def attempt(folder: Path, **changed: Any) -> Attempt:
    arguments = {
        "id": 1,
        "token": "t",
        "trial": 0,
        "architecture": Architecture("fake", {"width": 4}),
        "distillation": {"kd.weight": 0.9},
        "seed": 3,
        "epochs": EPOCHS,
        "horizon": 4,
        "folder": folder,
    }
    return Attempt(**{**arguments, **changed})


def run(runner: StudentRunner, asked: Attempt) -> tuple[Evaluation, Reports]:
    reports: Reports = []
    evaluation = runner.run(asked, lambda epoch, metrics: reports.append((epoch, metrics)))
    return evaluation, reports


def trained(folder: Path) -> dict[str, Tensor]:
    state = load_checkpoint(folder / "checkpoint.pt", Architecture("fake", {"width": 4}))
    network: dict[str, Tensor] = state["network"]
    return network


def assert_equal_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def test_reports_each_epoch_and_returns_the_last_scores(tmp_path: Path) -> None:
    evaluation, reports = run(make_runner(), attempt(tmp_path))
    assert [epoch for epoch, _ in reports] == [1, 2, 3]
    names = {"accuracy", "loss", "ece", "train_loss", "train_cross_entropy", "train_kd"}
    assert all(metrics.keys() == names for _, metrics in reports)
    assert evaluation.epochs == EPOCHS
    assert evaluation.metrics == {
        name: reports[-1][1][name] for name in ("accuracy", "loss", "ece")
    }
    assert reports[-1][1]["train_cross_entropy"] < reports[0][1]["train_cross_entropy"]


def test_the_same_attempt_gives_the_same_student_anywhere(tmp_path: Path) -> None:
    first, _ = run(make_runner(), attempt(tmp_path / "a"))
    torch.manual_seed(123)
    runner = make_runner()
    run(runner, attempt(tmp_path / "other", seed=4))
    second, _ = run(runner, attempt(tmp_path / "b"))
    assert first == second
    assert_equal_bits(trained(tmp_path / "a"), trained(tmp_path / "b"))


def test_another_seed_gives_another_student(tmp_path: Path) -> None:
    run(make_runner(), attempt(tmp_path / "a", epochs=1))
    run(make_runner(), attempt(tmp_path / "b", epochs=1, seed=4))
    name = "network.0.weight"
    assert not torch.equal(trained(tmp_path / "a")[name], trained(tmp_path / "b")[name])


def test_the_global_generator_is_left_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(make_runner(), attempt(tmp_path, epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_promotion_continues_bit_for_bit_from_its_checkpoint(tmp_path: Path) -> None:
    straight, all_reports = run(make_runner(), attempt(tmp_path / "straight"))
    run(make_runner(), attempt(tmp_path / "rung0", epochs=1))
    checkpoint = tmp_path / "rung0" / "checkpoint.pt"
    rung1 = attempt(tmp_path / "rung1", checkpoint=checkpoint, recorded=1)
    promoted, reports = run(make_runner(), rung1)
    assert promoted == straight
    assert reports == all_reports[1:]
    assert_equal_bits(trained(tmp_path / "rung1"), trained(tmp_path / "straight"))


def test_a_finished_checkpoint_is_only_scored(tmp_path: Path) -> None:
    first, _ = run(make_runner(), attempt(tmp_path / "a"))
    checkpoint = tmp_path / "a" / "checkpoint.pt"
    finished = attempt(tmp_path / "b", checkpoint=checkpoint, recorded=EPOCHS)
    again, reports = run(make_runner(), finished)
    assert again == first
    assert reports == []
    assert_equal_bits(trained(tmp_path / "a"), trained(tmp_path / "b"))


def spoil_nothing_there(path: Path) -> None:
    path.unlink()


def spoil_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def spoil_too_far(path: Path) -> None:
    run(make_runner(), attempt(path.parent, epochs=4))


def spoil_other_network(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    del content["training"]["network"]["network.0.weight"]
    torch.save(content, path)


@pytest.mark.parametrize(
    "spoil", [spoil_nothing_there, spoil_cut, spoil_too_far, spoil_other_network]
)
def test_an_unusable_checkpoint_costs_time_but_not_the_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    straight, _ = run(make_runner(), attempt(tmp_path / "straight"))
    run(make_runner(), attempt(tmp_path / "old", epochs=1))
    checkpoint = tmp_path / "old" / "checkpoint.pt"
    spoil(checkpoint)
    found, reports = run(make_runner(), attempt(tmp_path / "new", checkpoint=checkpoint))
    assert found == straight
    assert len(reports) == EPOCHS
    assert "training starts afresh" in caplog.text


def test_the_baseline_never_asks_the_teacher(tmp_path: Path) -> None:
    outputs = Outputs(images(50, 1).labels)
    baseline = attempt(tmp_path, teach=False, distillation={})
    _, reports = run(make_runner(outputs), baseline)
    assert outputs.asked == []
    assert "train_kd" not in reports[0][1]
    assert reports[0][1]["train_loss"] == reports[0][1]["train_cross_entropy"]


def test_the_teacher_is_asked_for_each_epoch_once(tmp_path: Path) -> None:
    outputs = Outputs(images(50, 1).labels)
    run(make_runner(outputs), attempt(tmp_path))
    assert outputs.asked == [0, 1, 2]


def test_the_test_split_is_read_in_the_final_stage_only(tmp_path: Path) -> None:
    reads = []

    def read_test() -> TensorImages:
        reads.append(1)
        return images(15, 3)

    runner = make_runner(data=make_data(read_test))
    searched, _ = run(runner, attempt(tmp_path / "search"))
    assert reads == []
    final, _ = run(runner, attempt(tmp_path / "final", test=True))
    assert reads == [1]
    assert final.metrics.keys() - searched.metrics.keys() == {
        "test_accuracy",
        "test_loss",
        "test_ece",
    }
    assert {name: final.metrics[name] for name in searched.metrics} == searched.metrics
    data = make_data()
    student = restore(tmp_path / "final")
    scores, _ = evaluate(student, data.test(), TASK.classes)
    assert final.metrics["test_accuracy"] == scores["accuracy"]
    assert final.metrics["test_loss"] == pytest.approx(scores["loss"], rel=1e-5)


def test_how_well_calibrated_a_student_is_comes_with_its_scores(tmp_path: Path) -> None:
    searched, _ = run(make_runner(), attempt(tmp_path / "search"))
    assert searched.calibration.keys() == {"validation"}
    again = attempt(tmp_path / "final", checkpoint=tmp_path / "search" / "checkpoint.pt", test=True)
    final, _ = run(make_runner(), again)
    assert final.calibration.keys() == {"validation", "test"}
    assert final.calibration["validation"] == searched.calibration["validation"]
    for split, name in (("validation", "ece"), ("test", "test_ece")):
        bins = final.calibration[split]
        assert expected_calibration_error(bins) == final.metrics[name]
    assert sum(each.count for each in final.calibration["test"]) == 15


def restore(folder: Path, width: int = 4) -> nn.Module:
    architecture = Architecture("fake", {"width": width})
    return restore_student(Space(), architecture, TASK, (0.4,), (0.3,), folder / "checkpoint.pt")


def test_a_student_is_restored_from_its_checkpoint(tmp_path: Path) -> None:
    evaluation, _ = run(make_runner(), attempt(tmp_path))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    student = restore(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert not student.training
    assert all(tensor.is_contiguous() for tensor in student.state_dict().values())
    scores, _ = evaluate(student, make_data().validation, TASK.classes)
    assert scores["accuracy"] == evaluation.metrics["accuracy"]
    with pytest.raises(CheckpointError):
        restore(tmp_path, width=5)


def test_checkpoints_between_epochs_are_spaced_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(step=1.5)  # each look at the clock is 1.5 s after the one before
    monkeypatch.setattr("autokd.evaluation.runner.time.monotonic", lambda: next(clock))
    epochs = []

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        path = tmp_path / "checkpoint.pt"
        if path.exists():
            epochs.append(load_checkpoint(path, Architecture("fake", {"width": 4}))["epoch"])
        else:
            epochs.append(0)

    make_runner().run(attempt(tmp_path, epochs=4), report)
    assert epochs == [0, 2, 2, 4]


def test_a_stopped_attempt_can_go_on_later(tmp_path: Path) -> None:
    class Stop(BaseException):
        """The executor asks to stop."""

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        make_runner().run(attempt(tmp_path / "stopped"), report)
    checkpoint = tmp_path / "stopped" / "checkpoint.pt"
    later = attempt(tmp_path / "later", checkpoint=checkpoint, recorded=2)
    resumed, reports = run(make_runner(), later)
    straight, _ = run(make_runner(), attempt(tmp_path / "straight"))
    assert [epoch for epoch, _ in reports] == [3]
    assert resumed == straight


def test_epochs_that_nobody_recorded_are_told_again_from_the_checkpoint(tmp_path: Path) -> None:
    _, told = run(make_runner(), attempt(tmp_path / "first"))
    checkpoint = tmp_path / "first" / "checkpoint.pt"
    later = attempt(tmp_path / "later", checkpoint=checkpoint, epochs=EPOCHS + 1, recorded=1)
    _, again = run(make_runner(), later)
    assert again[:-1] == told[1:]
    assert again[-1][0] == EPOCHS + 1


def failure_class(runner: StudentRunner, asked: Attempt) -> FailureClass:
    with pytest.raises(TrialFailed) as caught:
        run(runner, asked)
    return caught.value.failure.failure_class


def test_a_diverging_student_fails_with_nan(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"learning_rate": 1e30})
    runner = make_runner(recipe=recipe)
    assert failure_class(runner, attempt(tmp_path)) is FailureClass.NAN


def test_a_full_disk_is_told_apart_from_other_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFullError):
        run(make_runner(), attempt(tmp_path))


class Greedy(Space):
    """A space whose students raise `error`."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def build(self, architecture: Architecture, task: Task) -> nn.Module:
        raise self.error


CPU_TEXT = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000 bytes."


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError(CPU_TEXT)]
)
def test_too_little_memory_fails_with_out_of_memory(tmp_path: Path, error: Exception) -> None:
    runner = make_runner(space=Greedy(error))
    assert failure_class(runner, attempt(tmp_path)) is FailureClass.OUT_OF_MEMORY


def test_any_other_error_is_passed_on(tmp_path: Path) -> None:
    runner = make_runner(space=Greedy(RuntimeError("shapes do not fit")))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        run(runner, attempt(tmp_path))


def test_one_line_is_logged_for_each_epoch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run(make_runner(), attempt(tmp_path))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == EPOCHS
    assert lines[0].startswith("epoch 1 of 3: training loss ")
