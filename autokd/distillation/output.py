"""What a network gives for one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class ModelOutput:
    """Output of a teacher or a student for a batch of n images.

    Attributes:
        logits: (n, classes), before the softmax.
        features: named feature maps (n, channels, height, width) or vectors (n, d).
    """

    logits: Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict)
