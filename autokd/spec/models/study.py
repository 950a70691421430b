"""A whole study file."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from autokd.spec.models.base import Spec, refuse_repeats
from autokd.spec.models.data import DataSpec
from autokd.spec.models.learning import (
    DistillationSpec,
    TeacherSpec,
    TrainingSpec,
    refuse_long_warmup,
)
from autokd.spec.models.search import (
    QUALITY,
    BayesianSpec,
    BudgetSpec,
    ExecutionSpec,
    FidelitySpec,
    FinalSpec,
    LimitsSpec,
    ObjectiveSpec,
    SpaceSpec,
    StrategySpec,
)

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


class StudySpec(Spec):
    """A whole study file."""

    name: str = Field(
        json_schema_extra={"pattern": _NAME.pattern},
        description="Identifies the study in its database: letters, digits, '.', '_' and '-'.",
    )
    data: DataSpec = Field(description="What is learned.")
    teacher: TeacherSpec = Field(description="Who teaches.")
    space: SpaceSpec = Field(description="Which students there are.")
    distillation: DistillationSpec = Field(
        description="Losses against the teacher, and their weights."
    )
    budget: BudgetSpec = Field(BudgetSpec(), description="What a student may cost.")
    objectives: tuple[ObjectiveSpec, ...] = Field(
        (ObjectiveSpec(metric="accuracy", direction="maximize"),),
        min_length=1,
        description="Axes of the Pareto front; the first ranks trials and candidates.",
    )
    strategy: StrategySpec = Field(
        BayesianSpec(name="bayesian"), description="What proposes students."
    )
    fidelity: FidelitySpec = Field(description="How long a trial trains before it is compared.")
    training: TrainingSpec = Field(TrainingSpec(), description="How a student is trained.")
    limits: LimitsSpec = Field(LimitsSpec(), description="When the search ends.")
    final: FinalSpec | None = Field(FinalSpec(), description="The final stage; null: none.")
    execution: ExecutionSpec = Field(ExecutionSpec(), description="Where the trials run.")
    seed: int = Field(0, ge=0, lt=2**63, description="All randomness follows from it.")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if _NAME.fullmatch(name) is None:
            raise ValueError(
                "expected at most 100 letters, digits, '.', '_' and '-', the first a letter or "
                f"digit; got {name[:120]!r}"
            )
        return name

    @field_validator("training")
    @classmethod
    def _warms_up_in_time(cls, training: TrainingSpec, info: ValidationInfo) -> TrainingSpec:
        fidelity = info.data.get("fidelity")
        if fidelity is not None:
            refuse_long_warmup(training, fidelity.max_epochs, "fidelity.max_epochs")
        return training

    @field_validator("final")
    @classmethod
    def _warms_up_at_last(cls, final: FinalSpec | None, info: ValidationInfo) -> FinalSpec | None:
        training = info.data.get("training")
        if final is not None and training is not None:
            refuse_long_warmup(training, final.epochs, "final.epochs")
        return final

    @field_validator("objectives")
    @classmethod
    def _ask_for_quality(cls, objectives: tuple[ObjectiveSpec, ...]) -> tuple[ObjectiveSpec, ...]:
        metrics = [objective.metric for objective in objectives]
        refuse_repeats("objective", metrics)
        if not QUALITY.keys() & set(metrics):
            raise ValueError(f"expected 'accuracy' or 'loss' among the metrics; got {metrics}")
        return objectives

    @field_validator("strategy")
    @classmethod
    def _learns_from_others(cls, strategy: StrategySpec, info: ValidationInfo) -> StrategySpec:
        if isinstance(strategy, BayesianSpec) and info.data.get("name") in strategy.warm_start:
            raise ValueError(
                f"expected other studies in warm_start, got this one, {info.data['name']!r}"
            )
        return strategy

    @field_validator("limits")
    @classmethod
    def _converges_by_a_model(cls, limits: LimitsSpec, info: ValidationInfo) -> LimitsSpec:
        name = getattr(info.data.get("strategy"), "name", None)
        if limits.converged is not None and name not in (None, "bayesian", "autokd_gp"):
            raise ValueError(
                "expected converged with a strategy that tells its expected gain, bayesian or "
                f"autokd_gp; got {name}"
            )
        return limits

    @property
    def identity(self) -> dict[str, Any]:
        """What two runs must share to be one study: all that can change a trial's result.

        Left out are limits, final stage, execution and caches; a budget counts by its amounts,
        however they are written.
        """
        dump = self.model_dump(
            mode="json",
            exclude={
                "limits": True,
                "final": True,
                "execution": True,
                "budget": True,
                "data": {"memory_limit", "download"},
                "distillation": {"teach_once"},
            },
        )
        budget = {name: limit.canonical for name, limit in self.budget.given().items()}
        return {**dump, "budget": budget}
