"""How networks learn: training, the teacher, and what it gives to the student."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from autokd.spec.models.base import MOST_EPOCHS, NumberRange, Searched, Spec, refuse_repeats
from autokd.spec.names import check_teacher
from autokd.spec.quantity import AbsoluteBytes, Quantity


class TrainingSpec(Spec):
    """How a network is trained: SGD with Nesterov momentum, warm-up, cosine decay to zero."""

    batch_size: int = Field(128, gt=0, le=10**12, description="Images in one step.")
    learning_rate: float = Field(0.1, gt=0, description="Peak learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Nesterov momentum.")
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty, as SGD counts it.")
    warmup_epochs: float = Field(1.0, ge=0, description="Linear warm-up from zero.")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of the target that all classes split equally."
    )


def refuse_long_warmup(training: TrainingSpec, epochs: int, name: str) -> None:
    """Raises ValueError if the warm-up does not end within `epochs`, which are called `name`."""
    if training.warmup_epochs > epochs:
        raise ValueError(
            f"expected warmup_epochs of at most {name} ({epochs}); got {training.warmup_epochs:g}"
        )


class TeacherSpec(Spec):
    """The network to learn from: trained once and cached, or given by its weights."""

    model: Annotated[str, AfterValidator(check_teacher)] = Field(
        description="resnet20, resnet32, …, wrn16_2, …, torchvision/NAME, or custom.",
        examples=["resnet20", "wrn16_2", "torchvision/resnet18"],
    )
    weights: Path | None = Field(
        None, description="A safetensors file, relative to where the study runs; left out: train."
    )
    epochs: int = Field(
        40, gt=0, le=MOST_EPOCHS, description="Epochs of training when no weights are given."
    )
    training: TrainingSpec = Field(
        TrainingSpec(), description="How it is trained when no weights are given."
    )
    mean: tuple[float, ...] | None = Field(
        None,
        min_length=1,
        description="Channel means of the teacher's normalisation, for pixels in [0, 1].",
    )
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        None, min_length=1, description="Channel standard deviations; needs `mean` beside it."
    )

    @field_validator("training")
    @classmethod
    def _warms_up_in_time(cls, training: TrainingSpec, info: ValidationInfo) -> TrainingSpec:
        if "epochs" in info.data:
            refuse_long_warmup(training, info.data["epochs"], "the teacher's epochs")
        return training

    @model_validator(mode="after")
    def _is_a_normalisation(self) -> TeacherSpec:
        mean, std = self.mean or (), self.std or ()
        if len(mean) != len(std):
            raise ValueError(
                "expected `mean` and `std` together, one number per channel in each; "
                f"got {len(mean)} means and {len(std)} deviations"
            )
        return self


class KDLossSpec(Spec):
    """Hinton's softened logits: `weight * temperature**2 * KL(teacher || student)`."""

    name: Literal["kd"] = Field(description="Always `kd`.")
    temperature: Searched = Field(4.0, description="Divides the logits; above 0.")
    weight: Searched = Field(0.9, description="Weight of this loss; at least 0.")

    @field_validator("temperature")
    @classmethod
    def _divides(cls, value: float | NumberRange) -> float | NumberRange:
        if _lowest(value) <= 0:
            raise ValueError(f"expected a number > 0, or a range above 0; got {_lowest(value)}")
        return value

    @field_validator("weight")
    @classmethod
    def _weighs(cls, value: float | NumberRange) -> float | NumberRange:
        if _lowest(value) < 0:
            raise ValueError(f"expected a number >= 0, or a range from 0 on; got {_lowest(value)}")
        return value


def _lowest(value: float | NumberRange) -> float:
    return value.low if isinstance(value, NumberRange) else value


LossSpec = Annotated[KDLossSpec, Field()]


class TeachOnceSpec(Spec):
    """Cache of the teacher's outputs, shared by all trials of the study."""

    memory_limit: AbsoluteBytes = Field(
        Quantity.parse("1GiB"),
        description="Size on disk; epochs beyond it ask the live teacher, with equal results.",
    )


class DistillationSpec(Spec):
    """How the teacher guides the student."""

    losses: tuple[LossSpec, ...] = Field(min_length=1, description="Losses against the teacher.")
    task_weight: float | None = Field(
        None,
        ge=0,
        description="Weight of the labels' cross-entropy; left out: what the weights leave of 1.",
    )
    teach_once: TeachOnceSpec = Field(TeachOnceSpec(), description="The teacher's cached outputs.")

    @field_validator("losses")
    @classmethod
    def _are_told_apart(cls, losses: tuple[LossSpec, ...]) -> tuple[LossSpec, ...]:
        refuse_repeats("loss", [loss.name for loss in losses])
        return losses

    @model_validator(mode="after")
    def _teaches_something(self) -> DistillationSpec:
        if self.task_weight == 0 and not any(_lowest(loss.weight) for loss in self.losses):
            raise ValueError(
                "expected a weight above 0, of a loss or as task_weight; got 0 or ranges from 0"
            )
        return self
