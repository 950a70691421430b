"""The training loop: schedule, order, guidance, failure, and that resuming changes nothing."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autokd.distillation import DistillationLoss, KDLoss, ModelOutput, OfflineDistillation
from autokd.spec import TrainingSpec
from autokd.training import Training, seeded_torch
from autokd.trial import FailureClass, TrialFailed

torch.set_num_threads(1)

CLASSES = 3
RECIPE = TrainingSpec(batch_size=4, learning_rate=0.1, warmup_epochs=1)


class Images:
    """A split in memory that notes the batches that were asked for."""

    def __init__(self, n: int = 12, size: int = 4) -> None:
        generator = torch.Generator().manual_seed(0)
        self.labels = torch.arange(n) % CLASSES
        noise = torch.randint(0, 100, (n, 1, size, size), generator=generator)
        self.pixels = (noise + 50 * self.labels.reshape(-1, 1, 1, 1)).to(torch.uint8)
        self.asked: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.labels)

    def fetch(self, indices: Tensor) -> Tensor:
        return self.pixels[indices]

    def batches(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in order.split(batch_size):
            self.asked.append(indices.tolist())
            yield indices, self.fetch(indices)


class Brightness:
    """A view that depends on the epoch and the sample."""

    def view(self, images: Tensor, indices: Tensor, epoch: int) -> Tensor:
        factor = 1 / (1 + (indices + epoch) % 3).reshape(-1, 1, 1, 1)
        return images.float() / 255 * factor


def network(dropout: float = 0.0) -> nn.Module:
    with seeded_torch(7, torch.device("cpu")):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(4, CLASSES),
        )


def training(
    net: nn.Module | None = None,
    images: Images | None = None,
    scheme: OfflineDistillation | None = None,
    recipe: TrainingSpec = RECIPE,
    **options: Any,
) -> Training:
    return Training(
        net or network(),
        images or Images(),  # type: ignore[arg-type]
        Brightness(),  # type: ignore[arg-type]
        scheme or OfflineDistillation(),
        recipe,
        **{"horizon": 4, "seed": 5, **options},
    )


def weights(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def assert_equal_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def test_computes_what_a_loop_written_by_hand_computes() -> None:
    net, by_hand, images = network(), network(), Images(n=10)
    subject = training(net, images)
    optimiser = torch.optim.SGD(
        [
            {"params": [p for p in by_hand.parameters() if p.ndim > 1], "weight_decay": 5e-4},
            {"params": [p for p in by_hand.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ],
        momentum=0.9,
        nesterov=True,
    )
    losses = []
    means = [subject.run_epoch(), subject.run_epoch()]
    for step, batch in enumerate(images.asked):
        indices = torch.tensor(batch)
        for group in optimiser.param_groups:
            group["lr"] = subject.learning_rate(step)
        view = Brightness().view(images.pixels[indices], indices, epoch=step // 3)
        loss = F.cross_entropy(by_hand(view), images.labels[indices])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item() * len(batch))
    for name, tensor in by_hand.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], tensor)
    assert means[0]["loss"] == pytest.approx(sum(losses[:3]) / 10)
    assert means[1]["cross_entropy"] == pytest.approx(sum(losses[3:]) / 10)


def test_learns() -> None:
    subject = training(images=Images(n=60), horizon=8)
    losses = [subject.run_epoch()["loss"] for _ in range(8)]
    assert losses[-1] < 0.7 * losses[0]


def test_the_learning_rate_warms_up_linearly_and_decays_as_a_cosine_to_zero() -> None:
    subject = training(horizon=5)  # 3 steps per epoch, of which 3 are warm-up
    rates = [subject.learning_rate(step) for step in range(16)]
    assert rates[:3] == pytest.approx([0.1 / 3, 0.2 / 3, 0.1])
    assert rates[3:] == pytest.approx(
        [0.05 * (1 + math.cos(math.pi * k / 13)) for k in range(1, 14)]
    )
    assert rates[15] == pytest.approx(0, abs=1e-12)


def test_warm_up_takes_at_most_half_of_the_horizon() -> None:
    rates = [training(horizon=2, recipe=RECIPE.model_copy(update={"warmup_epochs": 9}))]
    assert [round(rates[0].learning_rate(step), 9) for step in (0, 2, 6)] == [0.033333333, 0.1, 0]


def test_without_warm_up_it_starts_near_the_peak() -> None:
    recipe = RECIPE.model_copy(update={"warmup_epochs": 0})
    assert 0.09 < training(recipe=recipe).learning_rate(0) < 0.1


def test_weight_decay_spares_vectors() -> None:
    net = network()
    for parameter in net.parameters():
        nn.init.ones_(parameter)

    class Silent(DistillationLoss):
        """No gradient, so that decay alone moves the weights."""

        def forward(self, student: ModelOutput, teacher: ModelOutput, targets: Tensor) -> Tensor:
            return student.logits.sum() * 0

    scheme = OfflineDistillation([("silent", 1.0, Silent())])
    recipe = RECIPE.model_copy(update={"weight_decay": 0.5})
    training(
        net, scheme=scheme, recipe=recipe, teacher_logits=lambda epoch: torch.zeros(12, CLASSES)
    ).run_epoch()
    moved = {name: bool((p != 1).any()) for name, p in net.named_parameters()}
    assert moved == {
        "0.weight": True, "0.bias": False, "1.weight": False, "1.bias": False,
        "6.weight": True, "6.bias": False,
    }  # fmt: skip


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    def orders(seed: int, epochs: int) -> list[list[int]]:
        images = Images()
        subject = training(images=images, seed=seed)
        torch.manual_seed(seed + 99)  # the global generator has no say
        for _ in range(epochs):
            subject.run_epoch()
        flat = [index for batch in images.asked for index in batch]
        return [flat[i : i + 12] for i in range(0, len(flat), 12)]

    first, second = orders(1, 2)
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    assert orders(1, 2) == [first, second]
    assert orders(2, 1) != [first]


@pytest.mark.parametrize(
    ("n", "wanted", "sizes"),
    [(9, 4, [5, 4]), (13, 4, [5, 5, 3]), (8, 4, [4, 4]), (5, 4, [5]), (3, 8, [3])],
)
def test_no_image_is_dropped_and_none_is_left_alone(n: int, wanted: int, sizes: list[int]) -> None:
    images = Images(n=n)
    recipe = RECIPE.model_copy(update={"batch_size": wanted})
    training(images=images, recipe=recipe).run_epoch()
    assert [len(batch) for batch in images.asked] == sizes


def test_the_teacher_is_asked_once_per_epoch_and_follows_the_samples() -> None:
    images, asked, pairs = Images(), [], []

    class Spy(DistillationLoss):
        """Notes which teacher rows meet which labels."""

        def forward(self, student: ModelOutput, teacher: ModelOutput, targets: Tensor) -> Tensor:
            pairs.append((teacher.logits[:, 0].tolist(), targets.tolist()))
            return student.logits.sum() * 0

    def table(epoch: int) -> Tensor:
        asked.append(epoch)
        return torch.arange(12.0).reshape(-1, 1).expand(-1, CLASSES) + 100 * epoch

    scheme = OfflineDistillation([("spy", 0.5, Spy())])
    subject = training(images=images, scheme=scheme, teacher_logits=table)
    terms = [subject.run_epoch(), subject.run_epoch()]
    assert asked == [0, 1]
    assert terms[0].keys() == {"loss", "cross_entropy", "spy"}
    expected = [
        ([100.0 * (step // 3) + i for i in batch], [i % CLASSES for i in batch])
        for step, batch in enumerate(images.asked)
    ]
    assert pairs == expected


def test_a_scheme_without_teacher_does_not_ask_for_it() -> None:
    def table(epoch: int) -> Tensor:
        raise AssertionError("the teacher was asked")

    training(teacher_logits=table).run_epoch()


def test_a_scheme_with_losses_needs_a_teacher() -> None:
    with pytest.raises(ValueError, match="teacher_logits"):
        training(scheme=OfflineDistillation([("kd", 0.9, KDLoss(4))]))


def test_a_table_of_other_length_is_refused() -> None:
    subject = training(
        scheme=OfflineDistillation([("kd", 0.9, KDLoss(4))]),
        teacher_logits=lambda epoch: torch.zeros(7, CLASSES),
    )
    with pytest.raises(ValueError, match="12 images, got 7"):
        subject.run_epoch()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("stop", [1, 3])
def test_resuming_equals_going_on_bit_for_bit(layout: torch.memory_format, stop: int) -> None:
    def fresh() -> Training:
        return training(
            network(dropout=0.3).to(memory_format=layout),
            Images(n=50, size=6),
            OfflineDistillation([("kd", 0.7, KDLoss(3))]),
            teacher_logits=lambda epoch: torch.eye(CLASSES)[torch.arange(50) % CLASSES] * epoch,
        )

    straight = fresh()
    for _ in range(4):
        final = straight.run_epoch()
    before = fresh()
    for _ in range(stop):
        before.run_epoch()
    resumed = fresh()
    resumed.load_state_dict(through_a_file(before.state_dict()))
    assert resumed.epoch == stop
    while resumed.epoch < 4:
        again = resumed.run_epoch()
    assert again == final
    assert_equal_bits(weights(resumed.network), weights(straight.network))


def test_a_loss_with_parameters_is_trained_and_saved_with_the_student() -> None:
    class Adapter(DistillationLoss):
        """Squared error behind a learned scale."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, student: ModelOutput, teacher: ModelOutput, targets: Tensor) -> Tensor:
            return F.mse_loss(student.logits * self.scale, teacher.logits)

    def fresh() -> tuple[Adapter, Training]:
        loss = Adapter()
        scheme = OfflineDistillation([("mse", 1.0, loss)])
        return loss, training(scheme=scheme, teacher_logits=lambda e: torch.ones(12, CLASSES))

    loss, subject = fresh()
    subject.run_epoch()
    assert loss.scale.item() != 1
    other, resumed = fresh()
    resumed.load_state_dict(through_a_file(subject.state_dict()))
    assert torch.equal(other.scale, loss.scale)


def test_a_loss_that_is_not_finite_fails_the_trial() -> None:
    subject = training(recipe=RECIPE.model_copy(update={"learning_rate": 1e30}))
    with pytest.raises(TrialFailed, match="epoch 1; lower the learning rate") as caught:
        for _ in range(4):
            subject.run_epoch()
    assert caught.value.failure.failure_class is FailureClass.NAN


def test_a_long_epoch_is_given_up_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autokd.training._STEPS_PER_CHECK", 2)
    net, images = network(), Images(n=40)
    nn.init.constant_(net.get_parameter("6.bias"), math.nan)
    with pytest.raises(TrialFailed):
        training(net, images).run_epoch()
    assert len(images.asked) == 2


def test_training_beyond_the_horizon_is_refused() -> None:
    subject = training(horizon=1)
    subject.run_epoch()
    with pytest.raises(ValueError, match="longer horizon"):
        subject.run_epoch()
    with pytest.raises(ValueError, match="at least 1 epoch"):
        training(horizon=0)


def test_a_network_in_evaluation_mode_is_put_into_training_mode() -> None:
    net = network().eval()
    training(net).run_epoch()
    assert net.training


def test_the_global_generator_is_left_as_it_was() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    training(network(dropout=0.5)).run_epoch()
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_torch_repeats_and_gives_the_generator_back() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    draws = []
    for _ in range(2):
        with seeded_torch(11, torch.device("cpu")):
            draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.gpu
def test_a_gpu_trains_what_the_cpu_trains() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    losses = []
    for device in ("cpu", "cuda"):
        images = Images(n=30, size=6)
        images.labels, images.pixels = images.labels.to(device), images.pixels.to(device)
        subject = training(
            network().to(device),
            images,
            OfflineDistillation([("kd", 0.7, KDLoss(3))]),
            teacher_logits=lambda epoch: torch.eye(CLASSES)[torch.arange(30) % CLASSES],
        )
        losses.append([subject.run_epoch()["loss"] for _ in range(2)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
