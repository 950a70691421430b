"""The study file as typed, frozen values; every field says what it means and its unit.

Paths are kept as they are written: a relative one is relative to the folder that the study runs
in, so that one file means the same study on every machine.
"""

from __future__ import annotations

from autokd.spec.models.base import NumberRange, Searched
from autokd.spec.models.data import (
    AugmentationSpec,
    CustomDataSpec,
    DataSpec,
    DigitsSpec,
    ImageFolderSpec,
    NpzSpec,
    TorchvisionSpec,
)
from autokd.spec.models.learning import (
    DistillationSpec,
    KDLossSpec,
    LossSpec,
    TeacherSpec,
    TeachOnceSpec,
    TrainingSpec,
)
from autokd.spec.models.search import (
    AutoKDSpec,
    AxSpec,
    BayesianSpec,
    BudgetSpec,
    CmaEsSpec,
    EvolutionSpec,
    ExecutionSpec,
    FidelitySpec,
    FinalSpec,
    LimitsSpec,
    Metric,
    ObjectiveSpec,
    OptunaSpec,
    RandomSpec,
    SMACSpec,
    SpaceSpec,
    StrategySpec,
    TradeSpec,
)
from autokd.spec.models.study import StudySpec

__all__ = [
    "AugmentationSpec",
    "AutoKDSpec",
    "AxSpec",
    "BayesianSpec",
    "BudgetSpec",
    "CmaEsSpec",
    "CustomDataSpec",
    "DataSpec",
    "DigitsSpec",
    "DistillationSpec",
    "EvolutionSpec",
    "ExecutionSpec",
    "FidelitySpec",
    "FinalSpec",
    "ImageFolderSpec",
    "KDLossSpec",
    "LimitsSpec",
    "LossSpec",
    "Metric",
    "NpzSpec",
    "NumberRange",
    "ObjectiveSpec",
    "OptunaSpec",
    "RandomSpec",
    "SMACSpec",
    "Searched",
    "SpaceSpec",
    "StrategySpec",
    "StudySpec",
    "TeachOnceSpec",
    "TeacherSpec",
    "TorchvisionSpec",
    "TradeSpec",
    "TrainingSpec",
]
