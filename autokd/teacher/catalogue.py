"""The networks that a study file can name as its teacher."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from autokd.errors import Mistake, SpecError, UnknownNameError
from autokd.task import Task
from autokd.teacher.resnet import RESNETS, ResNet
from autokd.teacher.wide_resnet import WideResNet

_WIDE = re.compile(r"wrn(\d{1,3})_(\d{1,2})")
_WIDE_EXAMPLES = ("wrn16_1", "wrn16_2", "wrn28_10", "wrn40_1", "wrn40_2")
_TORCHVISION = "torchvision/"


def build_teacher_network(model: str, task: Task) -> nn.Module:
    """The untrained network `model` for a task; takes normalised images, gives logits.

    Args:
        model: `resnet<depth>`, `resnet8x4`, `resnet32x4`, `wrn<6n+4>_<k>` (all for images of 8x8
            pixels and more) or `torchvision/<name>`.
        task: image shape and number of classes.

    Raises:
        UnknownNameError: no network has this name.
        TeacherError: the network cannot take the task's images.
    """
    if model.startswith(_TORCHVISION):
        # Imported late: it takes seconds that studies with another teacher need not spend.
        from autokd.teacher import torchvision_networks

        return torchvision_networks.build(model.removeprefix(_TORCHVISION), task)
    channels = task.input_shape[0]
    if model in RESNETS:
        depth, widths = RESNETS[model]
        return ResNet(depth, widths, channels, task.classes)
    wide = _WIDE.fullmatch(model)
    if wide and int(wide[1]) >= 10 and int(wide[1]) % 6 == 4 and int(wide[2]) >= 1:
        return WideResNet(int(wide[1]), int(wide[2]), channels, task.classes)
    raise _unknown(model, is_wide=wide is not None)


def input_channels(model: str, task: Task) -> int:
    """Channels of the images that the network takes; grey images are repeated up to it."""
    return 3 if model.startswith(_TORCHVISION) else task.input_shape[0]


def normalisation(
    model: str, task: Task, mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation for `Normalised`, one grey value repeated for each input channel.

    Args:
        model: name of the teacher's network.
        task: says how many channels an image has.
        mean: per channel, of pixels in [0, 1].
        std: per channel, positive; as many numbers.

    Raises:
        SpecError: there is neither one number nor one for each channel.
    """
    channels = input_channels(model, task)
    if len(mean) not in (1, channels):
        expected = "1 number" if channels == 1 else f"{channels} numbers"
        message = f"expected {expected}, one per channel; got {len(mean)}"
        raise SpecError("the study", [Mistake("teacher.mean", message)])

    def fit(values: Sequence[float]) -> tuple[float, ...]:
        return tuple(values) * channels if len(values) == 1 else tuple(values)

    return fit(mean), fit(std)


def _unknown(model: str, is_wide: bool) -> UnknownNameError:
    from autokd.teacher import torchvision_networks

    known = [*RESNETS, *_WIDE_EXAMPLES, f"{_TORCHVISION}<name>"]
    error = UnknownNameError("teacher model", model, known)
    if is_wide:
        error.hint = (
            "wide ResNets are wrn<depth>_<widening> with a depth of 6n + 4: 10, 16, 22, ..."
        )
    elif model in torchvision_networks.names():
        error.hint = f"did you mean '{_TORCHVISION}{model}'?"
    return error
