"""What the training loop and the teacher's guidance cost, as a Markdown table.

    python benchmarks/training.py
    python benchmarks/training.py --fashion-root /path/to/fashion_mnist --repeats 15

Epochs of four kinds take turns, so that a busy machine slows all of them alike:

    by hand   a PyTorch loop written out: same network, views, batch size and optimiser; neither
              schedule, nor checks, nor metrics
    plain     `Training` without a teacher
    taught    `Training` with Hinton's loss, the teacher's logits taken from the files of the study
    live      the loop by hand with Hinton's loss and the teacher inside the loop

A cell is the median over the repeats of the quotient of two epochs that ran one after the other,
and in brackets the quotient of the fastest ones. Targets: plain / by hand and taught / plain at
most 1.05.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from autokd.data import Augmentation, Data, digits, torchvision_set
from autokd.distillation import KDLoss, ModelOutput, OfflineDistillation
from autokd.layers import Normalised
from autokd.space import Architecture
from autokd.spec import TrainingSpec
from autokd.teacher import Teacher, TeacherOutputs, build_teacher_network
from autokd.training import Training, seeded_torch
from search_spaces.hierarchical_graph import HierarchicalGraph

SEED = 0
RECIPE = TrainingSpec(learning_rate=0.01)
COMMON = {
    "top_neighbours": 2,
    "top_rewiring": 0.5,
    "middle_probability": 0.5,
    "bottom_neighbours": 2,
    "bottom_rewiring": 0.5,
    "parameter_fraction": 1.0,
}
STUDENTS = {
    "small": {"top_nodes": 3, "middle_nodes": 1, "bottom_nodes": 3, "parameter_limit": 5_000},
    "medium": {"top_nodes": 4, "middle_nodes": 2, "bottom_nodes": 3, "parameter_limit": 30_000},
    "large": {"top_nodes": 6, "middle_nodes": 3, "bottom_nodes": 4, "parameter_limit": 150_000},
}


@dataclass(frozen=True)
class Setting:
    """One data set with its teacher, on a device."""

    data: Data
    teacher: Teacher
    outputs: TeacherOutputs
    device: torch.device

    def augmentation(self) -> Augmentation:
        """A fresh one, so that no loop profits from what another has cached."""
        return Augmentation(self.data.augmentation, len(self.data.train), SEED)

    def student(self, choices: dict[str, int]) -> nn.Module:
        """A freshly initialised student, laid out in memory as `StudentRunner` does it."""
        space = HierarchicalGraph()
        architecture = Architecture(space.name, {**COMMON, **choices}, SEED)
        with seeded_torch(SEED, torch.device("cpu")):
            network = space.build(architecture, self.data.task)
        student = Normalised(network, self.data.mean, self.data.std).to(self.device)
        if self.device.type == "cpu":
            student = student.to(memory_format=torch.channels_last)
        return student


def by_hand(setting: Setting, student: nn.Module, teacher: Teacher | None) -> Iterator[float]:
    """Mean loss of one epoch after the other; with a teacher, that of distillation."""
    images, augmentation = setting.data.train, setting.augmentation()
    generator = torch.Generator().manual_seed(SEED)
    kd = KDLoss(4)
    decayed = [p for p in student.parameters() if p.ndim > 1]
    spared = [p for p in student.parameters() if p.ndim <= 1]
    optimiser = torch.optim.SGD(
        [{"params": decayed, "weight_decay": RECIPE.weight_decay}, {"params": spared}],
        lr=RECIPE.learning_rate,
        momentum=RECIPE.momentum,
        nesterov=True,
        fused=True,
    )
    epoch = 0
    student.train()
    while True:
        total = torch.zeros((), device=setting.device)
        order = torch.randperm(len(images), generator=generator).to(setting.device)
        for indices in order.split(RECIPE.batch_size):
            view = augmentation.view(images.fetch(indices), indices, epoch)
            logits = student(view)
            loss = F.cross_entropy(logits, images.labels[indices])
            if teacher is not None:
                loss = 0.1 * loss + 0.9 * kd(ModelOutput(logits), teacher(view), indices)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach() * len(indices)
        yield total.item() / len(images)
        epoch += 1


def arms(
    setting: Setting, choices: dict[str, int], horizon: int
) -> dict[str, Callable[[], object]]:
    """What runs one epoch, by kind."""

    def training(scheme: OfflineDistillation) -> Training:
        return Training(
            setting.student(choices),
            setting.data.train,
            setting.augmentation(),
            scheme,
            RECIPE,
            horizon=horizon,
            seed=SEED,
            teacher_logits=setting.outputs.epoch,
        )

    hand = by_hand(setting, setting.student(choices), None)
    live = by_hand(setting, setting.student(choices), setting.teacher)
    return {
        "by hand": lambda: next(hand),
        "plain": training(OfflineDistillation()).run_epoch,
        "taught": training(OfflineDistillation([("kd", 0.9, KDLoss(4))])).run_epoch,
        "live": lambda: next(live),
    }


def measure(
    kinds: dict[str, Callable[[], object]],
    repeats: int,
    device: torch.device,
    clock: Callable[[], float],
) -> dict[str, list[float]]:
    """Seconds of each epoch, by kind."""
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    order = list(kinds)
    for repeat in range(repeats + 1):
        for kind in order:
            start = clock()
            kinds[kind]()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if repeat:  # the first epoch warms up
                seconds[kind].append(clock() - start)
        order.reverse()  # so that neither of two kinds is always the first
    return seconds


def quotient(seconds: dict[str, list[float]], above: str, below: str) -> str:
    """Median over the repeats, and that of the fastest epochs."""
    pairs = zip(seconds[above], seconds[below], strict=True)
    median = statistics.median(a / b for a, b in pairs)
    return f"{median:.3f} ({min(seconds[above]) / min(seconds[below]):.3f})"


def settings(options: argparse.Namespace, folder: Path) -> Iterator[Setting]:
    """Digits, and Fashion-MNIST if there is a folder of it."""
    device = torch.device(options.device)
    sets = [digits(seed=SEED, device=device)]
    if options.fashion_root is not None:
        sets.append(
            torchvision_set(
                "fashion_mnist",
                options.fashion_root,
                seed=SEED,
                device=device,
                train_limit=options.images,
            )
        )
    for data in sets:
        with seeded_torch(SEED, torch.device("cpu")):
            network = build_teacher_network(options.teacher, data.task)
        teacher = Teacher(Normalised(network, data.mean, data.std).to(device))
        outputs = TeacherOutputs(
            teacher,
            data.train,
            Augmentation(data.augmentation, len(data.train), SEED),
            folder / data.name,
            1 << 30,
            device,
            classes=data.task.classes,
        )
        for epoch in range(options.repeats + 1):
            outputs.epoch(epoch)
        yield Setting(data, teacher, outputs, device)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, help="epochs of each kind")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument(
        "--cpu-time", action="store_true", help="time of the processor: for a busy machine, no GPU"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--teacher", default="resnet20", help="its network")
    parser.add_argument("--fashion-root", type=Path, help="folder of Fashion-MNIST")
    parser.add_argument("--images", type=int, default=1280, help="images of Fashion-MNIST used")
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, {options.threads} thread(s), {options.device} "
        f"({platform.processor() or platform.machine()}), teacher {options.teacher}, "
        f"batch size {RECIPE.batch_size}, {options.repeats} repeats, seed {SEED}, "
        f"{'processor' if options.cpu_time else 'wall'} time\n"
    )
    titles = ["data", "student", "parameters", "plain epoch", "plain / by hand"]
    titles += ["taught / plain", "live / plain"]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    with tempfile.TemporaryDirectory() as folder:
        for setting in settings(options, Path(folder)):
            for name, choices in STUDENTS.items():
                kinds = arms(setting, choices, options.repeats + 1)
                seconds = measure(kinds, options.repeats, setting.device, clock)
                parameters = sum(p.numel() for p in setting.student(choices).parameters())
                cells = [
                    f"{setting.data.name}, {len(setting.data.train):,} images",
                    name,
                    f"{parameters:,}",
                    f"{1000 * statistics.median(seconds['plain']):.0f} ms",
                    quotient(seconds, "plain", "by hand"),
                    quotient(seconds, "taught", "plain"),
                    quotient(seconds, "live", "plain"),
                ]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
