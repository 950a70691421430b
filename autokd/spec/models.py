"""The study file as typed, frozen values; every field says what it means and its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from autokd.spec.quantity import Quantity


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NumberRange(_Spec):
    """A number to search for: uniform from `low` to `high`, on a log scale if `log`."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> NumberRange:
        if self.low > self.high:
            raise ValueError(f"expected low <= high, got low {self.low} and high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range needs low > 0, got {self.low}")
        return self


Searched = float | NumberRange
"""A fixed number, or a range to search."""


class AugmentationSpec(_Spec):
    """Random views of a training image; all off gives the image itself."""

    pad: int = Field(0, ge=0, description="Zero padding in pixels before a random crop.")
    flip: bool = Field(False, description="Mirror left-right with probability 1/2.")
    cutout: int = Field(0, ge=0, description="Side in pixels of a square blanked out at random.")


class _DataSpec(_Spec):
    validation: float = Field(
        0.2, gt=0, lt=1, description="Share of the training images held out to steer the search."
    )
    augmentation: AugmentationSpec | None = Field(
        None, description="Left out: what is customary for the data set."
    )
    train_limit: int | None = Field(
        None, gt=0, description="Use only this many training images, equally of each class."
    )
    memory_limit: Quantity = Field(
        Quantity.parse("2GiB"),
        description="Sets whose uint8 images are larger are read through a DataLoader.",
    )


class DigitsSpec(_DataSpec):
    """scikit-learn's 1,797 real handwritten digits, 8x8 grey; needs no download."""

    name: Literal["digits"]


class NpzSpec(_DataSpec):
    """A NumPy archive with `x_train, y_train, x_test, y_test`; images uint8, (n, h, w[, c])."""

    name: Literal["npz"]
    path: Path


class ImageFolderSpec(_DataSpec):
    """`root/train/<class>/*` and `root/test/<class>/*` image files, resized to a square."""

    name: Literal["image_folder"]
    root: Path
    image_size: int = Field(gt=0, description="Side in pixels that images are resized to.")


class TorchvisionSpec(_DataSpec):
    """A classification set of torchvision, in snake case: `fashion_mnist`, `cifar10`, …"""

    name: str
    root: Path = Field(Path("data"), description="Folder that torchvision reads.")
    download: bool = False
    image_size: int | None = Field(
        None, gt=0, description="Side in pixels to resize to; needed if images differ in size."
    )


def _data_kind(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return name if name in ("digits", "npz", "image_folder") else "torchvision"


DataSpec = Annotated[
    Annotated[DigitsSpec, Tag("digits")]
    | Annotated[NpzSpec, Tag("npz")]
    | Annotated[ImageFolderSpec, Tag("image_folder")]
    | Annotated[TorchvisionSpec, Tag("torchvision")],
    Discriminator(_data_kind),
]


class TrainingSpec(_Spec):
    """How a network is trained: SGD with Nesterov momentum, warm-up, cosine decay to zero."""

    batch_size: int = Field(128, gt=0)
    learning_rate: float = Field(0.1, gt=0, description="Peak learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0)
    warmup_epochs: float = Field(1, ge=0, description="Linear warm-up from zero.")
    label_smoothing: float = Field(0, ge=0, lt=1)


class TeacherSpec(_Spec):
    """The network to learn from: trained once and cached, or given by its weights."""

    model: str = Field(
        description="resnet20 | resnet32 | … | wrn16_2 | … | torchvision/<name>",
        examples=["resnet20", "wrn16_2", "torchvision/resnet18"],
    )
    weights: Path | None = Field(None, description="A safetensors file; left out: train it.")
    epochs: int = Field(40, gt=0, description="Epochs of training when no weights are given.")
    training: TrainingSpec = TrainingSpec()
    mean: tuple[float, ...] | None = Field(
        None, description="Channel means of the teacher's normalisation, for pixels in [0, 1]."
    )
    std: tuple[float, ...] | None = Field(None, description="Channel standard deviations.")


class SpaceSpec(BaseModel):
    """The search space by its entry-point name; other fields are options of that space."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The fields beside `name`."""
        return dict(self.model_extra or {})


class KDLossSpec(_Spec):
    """Hinton's softened logits: `weight * temperature**2 * KL(teacher || student)`."""

    name: Literal["kd"]
    temperature: Searched = 4.0
    weight: Searched = 0.9


LossSpec = Annotated[KDLossSpec, Field()]


class TeachOnceSpec(_Spec):
    """Cache of the teacher's outputs, shared by all trials of the study."""

    memory_limit: Quantity = Field(
        Quantity.parse("1GiB"),
        description="Size on disk; epochs beyond it ask the live teacher, with equal results.",
    )


class DistillationSpec(_Spec):
    """How the teacher guides the student."""

    losses: tuple[LossSpec, ...] = Field(min_length=1)
    task_weight: float | None = Field(
        None, ge=0, description="Weight of the labels' cross-entropy; left out: 1 - sum of weights."
    )
    teach_once: TeachOnceSpec = TeachOnceSpec()


class BudgetSpec(_Spec):
    """Limits of the student on its device; `0.1x` is a tenth of the teacher's figure."""

    parameters: Quantity | None = None
    weight_bytes: Quantity | None = None
    peak_activation_bytes: Quantity | None = None
    macs: Quantity | None = None
    latency_ms: Quantity | None = None


Metric = Literal[
    "accuracy",
    "loss",
    "parameters",
    "weight_bytes",
    "peak_activation_bytes",
    "macs",
    "latency_ms",
]


class ObjectiveSpec(_Spec):
    """One axis of the Pareto front."""

    metric: Metric
    direction: Literal["maximize", "minimize"]


class RandomSpec(_Spec):
    """Independent uniform points of the domain."""

    name: Literal["random"]


class OptunaSpec(_Spec):
    """A sampler of Optuna: `tpe`, `nsga2`, `gp`, or any by its class name with `optuna`."""

    name: Literal["tpe", "nsga2", "gp", "optuna"]
    sampler: str | None = Field(
        None, description="Class in optuna.samplers, only with `name: optuna`."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Arguments of the sampler.")

    @model_validator(mode="after")
    def _names_a_sampler(self) -> OptunaSpec:
        if (self.name == "optuna") != (self.sampler is not None):
            raise ValueError(
                "expected `sampler: <class in optuna.samplers>` together with `name: optuna` only"
            )
        return self


StrategySpec = Annotated[RandomSpec | OptunaSpec, Field(discriminator="name")]


class FidelitySpec(_Spec):
    """Successive halving over epochs: rungs at `min_epochs * eta**k`, the last at `max_epochs`."""

    min_epochs: int = Field(gt=0)
    max_epochs: int = Field(gt=0)
    eta: int = Field(3, ge=2, description="One of `eta` trials of a rung is promoted.")

    @model_validator(mode="after")
    def _is_a_ladder(self) -> FidelitySpec:
        if self.min_epochs > self.max_epochs:
            raise ValueError(
                f"expected min_epochs <= max_epochs, got {self.min_epochs} and {self.max_epochs}"
            )
        return self

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which each rung ends, ascending; the last is `max_epochs`."""
        rungs, epochs = [], self.min_epochs
        while epochs < self.max_epochs:
            rungs.append(epochs)
            epochs *= self.eta
        return (*rungs, self.max_epochs)


class LimitsSpec(_Spec):
    """When the search ends, whichever comes first."""

    trials: int = Field(100, gt=0)
    epochs: int | None = Field(None, gt=0, description="Epochs of training over all trials.")
    seconds: float | None = Field(None, gt=0, description="Wall time of the search.")
    failures: int = Field(10, ge=0, description="Failed trials that are borne.")


class FinalSpec(_Spec):
    """Stage 2: the best of the front retrained in full, scored on the test split."""

    top: int = Field(3, gt=0, description="How many candidates of the front.")
    epochs: int = Field(60, gt=0)
    seeds: int = Field(2, gt=0, description="Repeats of each, with and without the teacher.")


class ExecutionSpec(_Spec):
    """Where the trials run; changes nothing about what is searched."""

    executor: Literal["local"] = "local"
    workers: int | None = Field(None, gt=0, description="Left out: one per core (or per GPU).")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    lease_seconds: float = Field(60, ge=3, description="A worker silent for so long is lost.")


class StudySpec(_Spec):
    """A whole study file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    data: DataSpec
    teacher: TeacherSpec
    space: SpaceSpec
    distillation: DistillationSpec
    budget: BudgetSpec = BudgetSpec()
    objectives: tuple[ObjectiveSpec, ...] = Field(
        (ObjectiveSpec(metric="accuracy", direction="maximize"),), min_length=1
    )
    strategy: StrategySpec = OptunaSpec(name="tpe")
    fidelity: FidelitySpec
    training: TrainingSpec = TrainingSpec()
    limits: LimitsSpec = LimitsSpec()
    final: FinalSpec | None = FinalSpec()
    execution: ExecutionSpec = ExecutionSpec()
    seed: int = Field(0, ge=0)

    @property
    def identity(self) -> dict[str, Any]:
        """What two runs must share to be one study: all but limits, final stage and execution."""
        return self.model_dump(mode="json", exclude={"limits", "final", "execution"})
