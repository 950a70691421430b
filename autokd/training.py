"""The training loop that teachers and students share: SGD over the augmented views of one split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from autokd.distillation import ModelOutput, OfflineDistillation
from autokd.seeding import seed_for
from autokd.trial import FailureClass, TrialFailed

if TYPE_CHECKING:
    from autokd.data import Augmentation, ImageSet
    from autokd.spec import TrainingSpec

_STEPS_PER_CHECK = 200
"""Steps after which a loss that is not finite is noticed; looking makes a GPU wait."""


class Training:
    """Trains a network, epoch by epoch, by SGD with Nesterov momentum.

    The learning rate rises linearly from zero over the warm-up (at most half of the horizon), then
    falls as a cosine to zero at the horizon, step by step. Weight decay acts on weights of two or
    more dimensions only: not on biases, normalisation and gates.

    The sample order and all other noise are pure functions of (seed, epoch), so a training that is
    saved after an epoch and loaded goes on bit for bit as if it had never stopped (on the same
    machine, with the same number of threads).

    A last batch of a single image would break batch normalisation, and no image is dropped: the
    batch size is the smallest from `recipe.batch_size` up that leaves no single image over.

    The teacher is a table of logits, made once per epoch: no teacher runs inside the loop.

    Args:
        network: takes pixels in [0, 1] (n, channels, height, width), gives logits (n, classes);
            on the device of `images`. It is trained in place.
        images: the split to train on, n images.
        augmentation: gives the view of each image in each epoch.
        scheme: the terms of the loss.
        recipe: batch size, learning rate and the like.
        horizon: epochs over which the learning rate decays to zero.
        seed: of the sample order and of noise inside the network.
        teacher_logits: maps a 0-based epoch to the teacher's logits (n, classes) for the views of
            that epoch; asked once per epoch, and only if the scheme needs a teacher.

    Raises:
        ValueError: the scheme needs a teacher and there is none, or the horizon is no epoch long.
    """

    epoch: int
    """Finished epochs."""

    def __init__(
        self,
        network: nn.Module,
        images: ImageSet,
        augmentation: Augmentation,
        scheme: OfflineDistillation,
        recipe: TrainingSpec,
        *,
        horizon: int,
        seed: int,
        teacher_logits: Callable[[int], Tensor] | None = None,
    ) -> None:
        if scheme.needs_teacher and teacher_logits is None:
            raise ValueError("expected teacher_logits, since the scheme has distillation losses")
        if horizon < 1:
            raise ValueError(f"horizon: expected at least 1 epoch, got {horizon}")
        self.epoch = 0
        self.network = network
        self.scheme = scheme.to(images.labels.device)
        self._images = images
        self._augmentation = augmentation
        self._recipe = recipe
        self._horizon = horizon
        self._seed = seed
        self._teacher_logits = teacher_logits
        self._batch_size = _batch_size(len(images), recipe.batch_size)
        self._steps = math.ceil(len(images) / self._batch_size)
        self._optimiser = _optimiser([*network.parameters(), *scheme.parameters()], recipe)

    def run_epoch(self) -> dict[str, float]:
        """Trains one epoch.

        Returns:
            Mean over the images of the loss and of each of its terms, by name.

        Raises:
            TrialFailed: with `NAN`, if the loss is not finite.
            ValueError: the horizon is reached; the learning rate would be zero.
        """
        if self.epoch >= self._horizon:
            raise ValueError(
                f"expected fewer finished epochs than the horizon of {self._horizon}, "
                f"got {self.epoch}; train with a longer horizon"
            )
        self.network.train()
        noise_seed = seed_for(self._seed, self.epoch, "noise")
        with seeded_torch(noise_seed, self._images.labels.device):
            means = self._train_batches()
        self.epoch += 1
        return means

    def learning_rate(self, step: int) -> float:
        """The rate of a step, counted from 0 over all epochs."""
        warmup = min(self._recipe.warmup_epochs, self._horizon / 2) * self._steps
        if step + 1 < warmup:
            return self._recipe.learning_rate * (step + 1) / warmup
        progress = (step + 1 - warmup) / (self._horizon * self._steps + 1 - warmup)
        return self._recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))

    def state_dict(self) -> dict[str, Any]:
        """All that the next epoch depends on; shares its tensors with the training."""
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "scheme": self.scheme.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up the training where `state` was saved.

        Raises:
            KeyError, RuntimeError, ValueError: the state is of another network, scheme or
                recipe; the training may then be half loaded.
        """
        self.network.load_state_dict(state["network"])
        self.scheme.load_state_dict(state["scheme"])
        self._optimiser.load_state_dict(state["optimiser"])
        # The fused step walks memory in order: momentum must lie as its parameter does, also when
        # it was saved on a device where the network has another memory layout.
        for parameter, kept in self._optimiser.state.items():
            if kept.get("momentum_buffer") is not None:
                aligned = torch.empty_like(parameter).copy_(kept["momentum_buffer"])
                kept["momentum_buffer"] = aligned
        self.epoch = state["epoch"]

    def _train_batches(self) -> dict[str, float]:
        labels, order = self._images.labels, self._order()
        table = self._teacher_table()
        sums: Tensor | None = None
        terms: dict[str, Tensor] = {}
        for index, (indices, images) in enumerate(self._images.batches(order, self._batch_size)):
            self._set_learning_rate(self.epoch * self._steps + index)
            student = ModelOutput(
                self.network(self._augmentation.view(images, indices, self.epoch))
            )
            teacher = None if table is None else ModelOutput(table[indices])
            terms = self.scheme(student, teacher, labels[indices])
            self._optimiser.zero_grad()
            terms["loss"].backward()  # type: ignore[no-untyped-call]  # torch leaves it so
            self._optimiser.step()
            with torch.no_grad():
                # Summed on the device: reading a number each step would make a GPU wait for it.
                values = torch.stack(list(terms.values())).double() * len(indices)
                sums = values if sums is None else sums.add_(values)
            if (index + 1) % _STEPS_PER_CHECK == 0:
                self._check_finite(sums)
        assert sums is not None  # a split has at least one image
        self._check_finite(sums)
        return dict(zip(terms, (sums / len(self._images)).tolist(), strict=True))

    def _order(self) -> Tensor:
        generator = torch.Generator().manual_seed(seed_for(self._seed, self.epoch, "order"))
        order = torch.randperm(len(self._images), generator=generator)
        return order.to(self._images.labels.device)

    def _teacher_table(self) -> Tensor | None:
        if self._teacher_logits is None or not self.scheme.needs_teacher:
            return None
        table = self._teacher_logits(self.epoch)
        if len(table) != len(self._images):
            raise ValueError(
                f"expected the teacher's logits of {len(self._images)} images, got {len(table)}"
            )
        return table.to(self._images.labels.device, torch.float32)

    def _set_learning_rate(self, step: int) -> None:
        rate = self.learning_rate(step)
        for group in self._optimiser.param_groups:
            group["lr"] = rate

    def _check_finite(self, sums: Tensor) -> None:
        # A loss that was not finite once keeps the sum from ever being finite again.
        if not bool(torch.isfinite(sums).all()):
            raise TrialFailed(
                FailureClass.NAN,
                f"expected a finite loss, got nan or infinity in epoch {self.epoch + 1}; lower "
                f"the learning rate (now {self._recipe.learning_rate:g})",
            )


@contextmanager
def seeded_torch(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, torch's own generators start at `seed`; afterwards they are as they were before.

    For code that draws from torch's global generators: initialisation, dropout.

    Args:
        seed: in [0, 2**63).
        device: whose generator is seeded, beside the CPU's.
    """
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _batch_size(images: int, wanted: int) -> int:
    size = wanted
    while images > 1 and images % size == 1:
        size += 1
    return size


def _optimiser(parameters: Iterable[nn.Parameter], recipe: TrainingSpec) -> torch.optim.SGD:
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        # One kernel for all weights: half the time of the other implementations on small networks.
        fused=True,
    )
