"""How a teacher guides a student: what networks give, the losses, and the schemes."""

from __future__ import annotations

from autokd.distillation.loss import DistillationLoss
from autokd.distillation.losses import KDLoss
from autokd.distillation.offline import OfflineDistillation
from autokd.distillation.output import ModelOutput

__all__ = ["DistillationLoss", "KDLoss", "ModelOutput", "OfflineDistillation"]
