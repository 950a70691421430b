"""Scores of a network on a split; the runner that trains a student; what a study asks of both."""

from __future__ import annotations

from autokd.evaluation.checkpoint import CheckpointError
from autokd.evaluation.evaluator import StudyEvaluator
from autokd.evaluation.metrics import calibrate, evaluate, expected_calibration_error
from autokd.evaluation.runner import StudentRunner, restore_student

__all__ = [
    "CheckpointError",
    "StudentRunner",
    "StudyEvaluator",
    "calibrate",
    "evaluate",
    "expected_calibration_error",
    "restore_student",
]
