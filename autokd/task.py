"""The task: what data, teacher and search space agree on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """Image classification into `classes` classes.

    Attributes:
        input_shape: (channels, height, width) of one image.
        classes: number of classes, at least 2.
        metric: name of the validation metric that says how well the task is solved.
    """

    input_shape: tuple[int, int, int]
    classes: int
    metric: str = "accuracy"

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise ValueError(
                f"input_shape must be (channels, height, width), got {self.input_shape}"
            )
        if self.classes < 2:
            raise ValueError(f"a classification task has at least 2 classes, got {self.classes}")
