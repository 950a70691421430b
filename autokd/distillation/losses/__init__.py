"""The distillation losses, one file per paper."""

from __future__ import annotations

from autokd.distillation.losses.kd import KDLoss

__all__ = ["KDLoss"]
