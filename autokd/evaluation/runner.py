"""Trains and scores one student: what a worker does with an attempt."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from autokd.data import Augmentation
from autokd.distillation import OfflineDistillation
from autokd.evaluation.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from autokd.evaluation.metrics import evaluate
from autokd.layers import Normalised
from autokd.seeding import seed_for
from autokd.training import Training, seeded_torch
from autokd.trial import (
    CHECKPOINT,
    Attempt,
    CalibrationBin,
    Evaluation,
    FailureClass,
    TrialFailed,
)

if TYPE_CHECKING:
    from autokd.data import Data, ImageSet
    from autokd.space import Architecture, Choices, SearchSpace
    from autokd.spec import TrainingSpec
    from autokd.task import Task
    from autokd.teacher import TeacherOutputs

_log = logging.getLogger(__name__)

_Curve = dict[int, dict[str, float]]
"""The figures of each epoch, kept with the checkpoint."""

_Scores = tuple[dict[str, float], tuple[CalibrationBin, ...]]
"""Figures of a student on a split, and how well calibrated it is there."""

_SECONDS_PER_CHECKPOINT = 2.0
"""Epochs that are shorter share a checkpoint, which takes some milliseconds to write."""


class StudentRunner:
    """Runs attempts, one at a time: builds the student, trains it, scores it, saves it.

    Everything drawn at random comes from the attempt's seed, and the images' views from the
    study's, so the same attempt gives the same student in whichever process it runs, and one that
    continues from a checkpoint ends where an uninterrupted one would have.

    Args:
        space: builds the students.
        data: training, validation and test split, on `device`.
        scheme: makes the scheme from an attempt's searched distillation parameters.
        recipe: how students are trained.
        teacher_outputs: the teacher's logits for the views of each epoch, or None if no attempt
            is taught.
        device: where students train.
        seed: the study's, which the views follow; the teacher's outputs must be of the same.
    """

    def __init__(
        self,
        space: SearchSpace,
        data: Data,
        scheme: Callable[[Choices], OfflineDistillation],
        recipe: TrainingSpec,
        teacher_outputs: TeacherOutputs | None,
        device: torch.device,
        seed: int,
    ) -> None:
        self._space = space
        self._data = data
        self._scheme = scheme
        self._recipe = recipe
        self._teacher_outputs = teacher_outputs
        self._device = device
        self._augmentation = Augmentation(data.augmentation, len(data.train), seed)

    def run(
        self, attempt: Attempt, report: Callable[[int, Mapping[str, float]], None]
    ) -> Evaluation:
        """Trains the attempt's student until `attempt.epochs` and scores it.

        Leaves `checkpoint.pt` in the attempt's folder: at the end, when it is stopped, and after
        every epoch of two seconds or more (shorter ones share one). An unusable checkpoint to
        continue from costs time, not the trial: training then starts afresh, which gives the same
        result.

        Args:
            attempt: what to train.
            report: called after each epoch with the number of finished epochs and the metrics:
                the validation split's `accuracy`, `loss` and `ece`, and the training loss and its
                terms, `train_loss`, `train_cross_entropy`, …. What it raises ends the attempt,
                which can go on later from the checkpoint of that epoch.

        Returns:
            `accuracy`, `loss` and `ece` of the validation split and, if `attempt.test`, the test
            split's under the same names with `test_` before them; and how well calibrated it is
            on each.

        Raises:
            TrialFailed: with `NAN` or `OUT_OF_MEMORY`.
            StorageFullError: the disk has no room for the checkpoint.
        """
        try:
            training, curve = self._begin(attempt)
            metrics, bins = self._train(training, curve, attempt, report)
            calibration = {"validation": bins}
            if attempt.test:
                scores, calibration["test"] = self._scores(training.network, self._data.test())
                metrics |= {f"test_{name}": value for name, value in scores.items()}
            return Evaluation(attempt.epochs, metrics, calibration)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            raise TrialFailed(
                FailureClass.OUT_OF_MEMORY,
                f"expected training with batches of {self._recipe.batch_size} to fit into memory; "
                f"lower the batch size or the budget's peak_activation_bytes ({error})",
            ) from error

    def _begin(self, attempt: Attempt) -> tuple[Training, _Curve]:
        """The training where it is to go on, and the figures of its epochs so far."""
        if attempt.checkpoint is not None:
            try:
                return self._continue(attempt, attempt.checkpoint)
            except CheckpointError as error:
                _log.warning("training starts afresh: %s", error)
        return self._fresh(attempt), {}

    def _fresh(self, attempt: Attempt) -> Training:
        data = self._data
        student = _build(
            self._space, attempt.architecture, data.task, data.mean, data.std, attempt.seed
        )
        student = student.to(self._device)
        if self._device.type == "cpu":
            # Faster on CPUs, 1.0 to 1.8 times as measured: the more, the larger the images.
            student = student.to(memory_format=torch.channels_last)
        if attempt.teach:
            scheme = self._scheme(attempt.distillation)
        else:
            scheme = OfflineDistillation(label_smoothing=self._recipe.label_smoothing)
        outputs = self._teacher_outputs
        return Training(
            student,
            data.train,
            self._augmentation,
            scheme,
            self._recipe,
            horizon=attempt.horizon,
            seed=attempt.seed,
            teacher_logits=None if outputs is None else outputs.epoch,
        )

    def _continue(self, attempt: Attempt, checkpoint: Path) -> tuple[Training, _Curve]:
        state = load_checkpoint(checkpoint, attempt.architecture)
        curve: _Curve = state.pop("curve", {})  # checkpoints of older versions have none
        training = self._fresh(attempt)
        try:
            training.load_state_dict(state)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{checkpoint} does not fit the student: {error}") from error
        if training.epoch > attempt.epochs:
            raise CheckpointError(
                f"expected at most {attempt.epochs} finished epochs, "
                f"got {training.epoch} in {checkpoint}"
            )
        return training, curve

    def _train(
        self,
        training: Training,
        curve: _Curve,
        attempt: Attempt,
        report: Callable[[int, Mapping[str, float]], None],
    ) -> _Scores:
        scores: _Scores | None = None
        saved = time.monotonic()
        for epoch in range(attempt.recorded + 1, training.epoch + 1):
            if epoch in curve:
                report(epoch, curve[epoch])
        while training.epoch < attempt.epochs:
            terms = training.run_epoch()
            scores = self._scores(training.network, self._data.validation)
            _log.info(
                "epoch %d of %d: training loss %.4f, validation accuracy %.4f",
                training.epoch,
                attempt.epochs,
                terms["loss"],
                scores[0]["accuracy"],
            )
            means = {f"train_{name}": float(mean) for name, mean in terms.items()}
            curve[training.epoch] = scores[0] | means
            if time.monotonic() - saved >= _SECONDS_PER_CHECKPOINT:
                _save(training, curve, attempt)
                saved = time.monotonic()
            try:
                report(training.epoch, curve[training.epoch])
            except BaseException:
                # However the executor asks to stop: what was trained is kept, then it is obeyed.
                _save(training, curve, attempt)
                raise
        _save(training, curve, attempt)
        if scores is None:  # the checkpoint was of the last epoch already
            scores = self._scores(training.network, self._data.validation)
        return scores

    def _scores(self, student: nn.Module, images: ImageSet) -> _Scores:
        scores, calibration = evaluate(student, images, self._data.task.classes)
        if not math.isfinite(scores["loss"]):
            raise TrialFailed(
                FailureClass.NAN,
                "expected a finite loss of the trained student, got nan or infinity; lower the "
                f"learning rate (now {self._recipe.learning_rate:g})",
            )
        return scores, calibration


def restore_student(
    space: SearchSpace,
    architecture: Architecture,
    task: Task,
    mean: Sequence[float],
    std: Sequence[float],
    checkpoint: Path,
) -> Normalised:
    """The trained student of a checkpoint, on the CPU, in evaluation mode.

    Args:
        space: the space that `architecture` is of.
        architecture: the student.
        task: what it was trained for.
        mean: per channel of the training images, as in `Data`.
        std: likewise.
        checkpoint: a file that `StudentRunner` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, or of another architecture.
    """
    state = load_checkpoint(checkpoint, architecture)
    student = _build(space, architecture, task, mean, std, seed=0)
    try:
        student.load_state_dict(state["network"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{checkpoint} does not fit the student: {error}") from error
    return student.eval()


def _build(
    space: SearchSpace,
    architecture: Architecture,
    task: Task,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
) -> Normalised:
    # On the CPU even when training elsewhere, so that all devices start from equal weights.
    with seeded_torch(seed_for(seed, 0, "init"), torch.device("cpu")):
        return Normalised(space.build(architecture, task), mean, std)


def _save(training: Training, curve: _Curve, attempt: Attempt) -> None:
    path = attempt.folder / CHECKPOINT
    save_checkpoint(path, attempt.architecture, {**training.state_dict(), "curve": curve})


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    # torch has an error of its own only for GPUs; of the CPU's allocator there is just the text.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "can't allocate memory" in str(error)
    )
