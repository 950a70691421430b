"""What is searched, for what, by which strategy, and for how long."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from autokd.spec.models.base import MOST_EPOCHS, Spec
from autokd.spec.quantity import Bytes, Count, Milliseconds, Quantity

_MOST_TRIALS = 999_999
"""From a million on, trials are numbered that belong to the final stage."""

_MOST_INITIAL = 10_000
_MOST_ALIVE = 10_000
_MOST_RETRAININGS = 1_000


class SpaceSpec(BaseModel):
    """The search space by its entry-point name; other fields are options of that space."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(description="Name of an installed search space: `autokd spaces list`.")

    @property
    def options(self) -> dict[str, Any]:
        """The fields beside `name`."""
        return dict(self.model_extra or {})


class BudgetSpec(Spec):
    """Limits of the student on its device; `0.1x` is a tenth of the teacher's figure."""

    parameters: Count | None = Field(None, description="Number of trainable scalars.")
    weight_bytes: Bytes | None = Field(None, description="Bytes of all parameters and buffers.")
    peak_activation_bytes: Bytes | None = Field(
        None, description="Most bytes of live tensors at any moment of an inference of one image."
    )
    macs: Count | None = Field(None, description="Multiply-accumulates of one image's inference.")
    latency_ms: Milliseconds | None = Field(
        None, description="Median wall time of one image's inference, in ms."
    )

    def given(self) -> dict[str, Quantity]:
        """The limits that are set, by figure."""
        return {name: limit for name, limit in self if limit is not None}


Metric = Literal[
    "accuracy",
    "loss",
    "parameters",
    "weight_bytes",
    "peak_activation_bytes",
    "macs",
    "latency_ms",
]

QUALITY = {"accuracy": "maximize", "loss": "minimize"}
"""Metrics that say how well the task is solved, and which way is better."""


class ObjectiveSpec(Spec):
    """One axis of the Pareto front."""

    metric: Metric = Field(description="Figure of the student, on the validation split.")
    direction: Literal["maximize", "minimize"] = Field(description="Which way is better.")

    @model_validator(mode="after")
    def _wants_the_better(self) -> ObjectiveSpec:
        better = QUALITY.get(self.metric, self.direction)
        if self.direction != better:
            raise ValueError(f"expected {better!r} for {self.metric}; got {self.direction!r}")
        return self


class RandomSpec(Spec):
    """Independent uniform points of the domain."""

    name: Literal["random"] = Field(description="Always `random`.")


class BayesianSpec(Spec):
    """A model of the unknown objectives on choices and known costs; the one we recommend."""

    name: Literal["bayesian"] = Field(description="Always `bayesian`.")
    initial: int | None = Field(
        None,
        ge=2,
        le=_MOST_INITIAL,
        description="Random candidates before the first model, of which two must have a value; "
        "left out: by the number of parameters.",
    )
    warm_start: tuple[str, ...] = Field(
        (),
        description="Studies of the same database to learn from, by name, as they stand when this "
        "one begins or goes on; without those that were deleted since.",
    )


class TradeSpec(Spec):
    """Bayesian optimisation within trust regions, one for each family of architectures."""

    name: Literal["trade"] = Field(description="Always `trade`.")
    acquisition: Literal["log_ei", "thompson"] = Field(
        "log_ei", description="`log_ei`: largest expected improvement; `thompson`: best of a draw."
    )


class AutoKDSpec(Spec):
    """AutoKD's search, at the highest rung that has enough trials; it knows no costs.

    `autokd`: BOHB's densities of good and bad candidates; `autokd_gp`: a Gaussian process.
    """

    name: Literal["autokd", "autokd_gp"] = Field(description="Which model.")


class EvolutionSpec(Spec):
    """Regularised evolution: mutations of the best of a few of the youngest."""

    name: Literal["regularized_evolution"] = Field(description="Always `regularized_evolution`.")
    population: int = Field(
        20, ge=1, le=_MOST_ALIVE, description="So many of the youngest trials are alive."
    )
    sample: int = Field(
        5, ge=1, le=_MOST_ALIVE, description="Of which so many compete to be the parent."
    )

    @model_validator(mode="after")
    def _samples_the_living(self) -> EvolutionSpec:
        if self.sample > self.population:
            raise ValueError(
                f"expected a sample of at most the population ({self.population}); "
                f"got {self.sample}"
            )
        return self


class CmaEsSpec(Spec):
    """Covariance matrix adaptation, on numbers and on categories as numbers; one objective."""

    name: Literal["cmaes"] = Field(description="Always `cmaes`.")
    population: int | None = Field(
        None,
        ge=4,
        le=_MOST_ALIVE,
        description="Trials of a generation; left out: by the number of parameters.",
    )


class SMACSpec(Spec):
    """SMAC's random forest, which knows conditions; needs `pip install "autokd[smac]"`."""

    name: Literal["smac"] = Field(description="Always `smac`.")
    initial: int = Field(
        10, ge=1, le=_MOST_INITIAL, description="Random candidates before the first forest."
    )


class AxSpec(Spec):
    """Ax's default Bayesian optimisation; needs `pip install "autokd[ax]"`."""

    name: Literal["ax"] = Field(description="Always `ax`.")
    initial: int = Field(
        5, ge=1, le=_MOST_INITIAL, description="Random candidates before the first model."
    )


class OptunaSpec(Spec):
    """A sampler of Optuna: `tpe`, `nsga2`, `nsga3`, `gp`, or any by its class with `optuna`."""

    name: Literal["tpe", "nsga2", "nsga3", "gp", "optuna"] = Field(description="Which sampler.")
    sampler: str | None = Field(
        None,
        description="Class in optuna.samplers or in the hub's package, only with `name: optuna`.",
    )
    hub: str | None = Field(
        None,
        description="Package of OptunaHub that has the sampler, `samplers/auto_sampler` say, only "
        "with `name: optuna`. Its code is downloaded and run with all your rights.",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Arguments of the sampler.")

    @model_validator(mode="after")
    def _names_a_sampler(self) -> OptunaSpec:
        named = self.sampler is not None or self.hub is not None
        if (self.name == "optuna") != named:
            raise ValueError(
                "expected `sampler: <class in optuna.samplers>` or `hub: <package of OptunaHub>` "
                f"together with `name: optuna` only; got name {self.name!r}, sampler "
                f"{self.sampler!r} and hub {self.hub!r}"
            )
        return self


StrategySpec = Annotated[
    BayesianSpec
    | TradeSpec
    | AutoKDSpec
    | EvolutionSpec
    | CmaEsSpec
    | SMACSpec
    | AxSpec
    | RandomSpec
    | OptunaSpec,
    Field(discriminator="name"),
]


class FidelitySpec(Spec):
    """Successive halving over epochs: rungs at `min_epochs * eta**k`, the last at `max_epochs`.

    With several brackets it is Hyperband: some trials start at a higher rung.
    """

    min_epochs: int = Field(
        gt=0, le=MOST_EPOCHS, description="Epochs after which trials are first compared."
    )
    max_epochs: int = Field(
        gt=0, le=MOST_EPOCHS, description="Epochs of a trial that is never stopped early."
    )
    eta: int = Field(
        3, ge=2, le=MOST_EPOCHS, description="One of `eta` trials of a rung is promoted."
    )
    brackets: int = Field(
        1, ge=1, description="1: all trials start at the first rung; k: at the first k rungs."
    )

    promotion: Literal["halving", "gain"] = Field(
        "halving",
        description="`halving`: the best of each rung train on; `gain`: what the learning curves "
        "promise to gain most per epoch, a new trial included.",
    )

    @model_validator(mode="after")
    def _is_a_ladder(self) -> FidelitySpec:
        if self.min_epochs > self.max_epochs:
            raise ValueError(
                f"expected min_epochs <= max_epochs; got {self.min_epochs} and {self.max_epochs}"
            )
        if self.brackets > len(self.rungs):
            raise ValueError(
                f"expected at most {len(self.rungs)} brackets, one for each of the rungs "
                f"{self.rungs}; got {self.brackets}"
            )
        if self.promotion == "gain" and self.brackets > 1:
            raise ValueError(
                f"expected one bracket with `promotion: gain`; got {self.brackets} brackets"
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


class LimitsSpec(Spec):
    """When the search ends, whichever comes first."""

    trials: int = Field(
        100, gt=0, le=_MOST_TRIALS, description="Trials of the search, infeasible ones included."
    )
    epochs: int | None = Field(
        None, gt=0, le=10**12, description="Epochs of training over all trials."
    )
    seconds: float | None = Field(
        None, gt=0, description="Wall time of the search over all runs, in seconds."
    )
    failures: int = Field(10, ge=0, le=_MOST_TRIALS, description="Failed trials that are borne.")
    converged: float | None = Field(
        None,
        gt=0,
        description="End when five proposals in a row expect to gain less than so many standard "
        "deviations of a training's noise; 0.1, say. Strategies `bayesian` and `autokd_gp` only.",
    )


class FinalSpec(Spec):
    """Stage 2: the best of the front retrained in full, scored on the test split."""

    top: int = Field(3, gt=0, le=_MOST_RETRAININGS, description="How many candidates of the front.")
    epochs: int = Field(60, gt=0, le=MOST_EPOCHS, description="Epochs of each retraining.")
    seeds: int = Field(
        2,
        gt=0,
        le=_MOST_RETRAININGS,
        description="Repeats of each, with and without the teacher.",
    )
    draws: int = Field(
        0,
        ge=0,
        le=_MOST_RETRAININGS,
        description="Fresh draws of each one's generator, trained with the teacher, to tell how "
        "good its family is. Spaces of random graphs only.",
    )


class ExecutionSpec(Spec):
    """Where the trials run; changes nothing about what is searched."""

    executor: Literal["local"] = Field("local", description="`local`: processes of this machine.")
    workers: int | None = Field(
        None, gt=0, le=1_000, description="Left out: one per core, or one for the GPU."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="`auto`: the GPU if there is one."
    )
    lease_seconds: float = Field(
        60.0, ge=3, le=86_400, description="A worker silent for so long is lost, in seconds."
    )
