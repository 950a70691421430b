"""Teachers: their networks, their weights, and what they say about every training image."""

from __future__ import annotations

from autokd.teacher.catalogue import build_teacher_network, input_channels, normalisation
from autokd.teacher.outputs import TeacherOutputs, outputs_key
from autokd.teacher.resnet import ResNet
from autokd.teacher.teacher import Teacher
from autokd.teacher.trained import (
    loaded_teacher,
    normalised_teacher,
    teacher_key,
    trained_teacher,
)
from autokd.teacher.weights import load_weights, read_weights, save_weights
from autokd.teacher.wide_resnet import WideResNet

__all__ = [
    "ResNet",
    "Teacher",
    "TeacherOutputs",
    "WideResNet",
    "build_teacher_network",
    "input_channels",
    "load_weights",
    "loaded_teacher",
    "normalisation",
    "normalised_teacher",
    "outputs_key",
    "read_weights",
    "save_weights",
    "teacher_key",
    "trained_teacher",
]
