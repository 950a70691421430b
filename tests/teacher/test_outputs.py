"""Teach once."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import autokd
from autokd.data import Augmentation, TensorImages
from autokd.errors import StorageFullError, TeacherError
from autokd.spec import AugmentationSpec
from autokd.teacher import Teacher, TeacherOutputs, outputs, outputs_key

torch.set_num_threads(1)

N, CLASSES, BATCH = 21, 3, 8
BATCHES = 3
EPOCH_BYTES = 4 * N * CLASSES
CPU = torch.device("cpu")
MOVING = AugmentationSpec(pad=1, flip=True)


class Counting(nn.Module):
    """Counts its forward passes."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        self.passes += 1
        logits: Tensor = self.layers(images)
        return logits


@pytest.fixture
def network() -> Counting:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Counting()


def images() -> TensorImages:
    pixels = torch.randint(256, (N, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    return TensorImages(pixels.to(torch.uint8), torch.arange(N) % CLASSES)


def make(
    teacher: Teacher | Callable[[], Teacher],
    folder: Path,
    memory_limit: float = 10 * EPOCH_BYTES,
    spec: AugmentationSpec = MOVING,
    classes: int = CLASSES,
) -> TeacherOutputs:
    return TeacherOutputs(
        teacher,
        images(),
        Augmentation(spec, N, seed=5),
        folder,
        memory_limit,
        CPU,
        classes=classes,
        batch_size=BATCH,
    )


def refuse() -> Teacher:
    raise AssertionError("the teacher was built although every epoch is cached")


def test_rows_are_the_teachers_logits_for_the_views_of_the_epoch(
    network: Counting, tmp_path: Path
) -> None:
    table = make(Teacher(network), tmp_path).epoch(3)
    assert table.shape == (N, CLASSES)
    assert table.dtype == torch.float32
    split, augmentation = images(), Augmentation(MOVING, N, seed=5)
    for row in (20, 0, 7):
        index = torch.tensor([row])
        view = augmentation.view(split.fetch(index), index, 3)
        torch.testing.assert_close(table[row : row + 1], network(view), rtol=1e-5, atol=1e-6)


def test_live_written_and_read_tables_are_equal_to_the_last_bit(
    network: Counting, tmp_path: Path
) -> None:
    teacher = Teacher(network)
    live, writer = make(teacher, tmp_path, memory_limit=0), make(teacher, tmp_path)
    reader = make(refuse, tmp_path)
    for epoch in (2, 0, 1):
        expected = live.epoch(epoch)
        assert torch.equal(writer.epoch(epoch), expected)
        assert torch.equal(reader.epoch(epoch), expected)
    assert not torch.equal(live.epoch(0), live.epoch(1))


def test_each_epoch_is_computed_once_for_all_who_ask(network: Counting, tmp_path: Path) -> None:
    teacher = Teacher(network)
    for _ in range(3):
        student = make(teacher, tmp_path)
        for epoch in range(4):
            student.epoch(epoch)
            student.epoch(epoch)
    assert network.passes == 4 * BATCHES


def test_teacher_is_built_only_when_an_epoch_is_missing(network: Counting, tmp_path: Path) -> None:
    built = []

    def build() -> Teacher:
        built.append(1)
        return Teacher(network)

    first = make(build, tmp_path)
    assert not built
    first.epoch(0)
    first.epoch(1)
    assert len(built) == 1
    make(refuse, tmp_path).epoch(1)


def test_epochs_beyond_the_memory_limit_stay_off_the_disk(
    network: Counting, tmp_path: Path
) -> None:
    limited = make(Teacher(network), tmp_path, memory_limit=3 * EPOCH_BYTES - 1)
    assert limited.cached_epochs == 2
    for epoch in range(4):
        limited.epoch(epoch)
    files = sorted(path.name for path in tmp_path.glob("*.npy"))
    assert files == ["epoch-00000.npy", "epoch-00001.npy"]
    passes = network.passes
    limited.epoch(3)
    assert network.passes == passes  # the newest is remembered
    limited.epoch(2)
    assert network.passes == passes + BATCHES


def test_without_augmentation_one_table_serves_all_epochs(
    network: Counting, tmp_path: Path
) -> None:
    still = make(Teacher(network), tmp_path, memory_limit=EPOCH_BYTES, spec=AugmentationSpec())
    assert torch.equal(still.epoch(7), still.epoch(0))
    assert network.passes == BATCHES
    assert [path.name for path in tmp_path.glob("*.npy")] == ["epoch-00000.npy"]


def test_files_are_numpy_arrays(network: Counting, tmp_path: Path) -> None:
    table = make(Teacher(network), tmp_path).epoch(0)
    assert np.array_equal(np.load(tmp_path / "epoch-00000.npy"), table.numpy())


def test_writing_to_a_table_never_reaches_the_file(network: Counting, tmp_path: Path) -> None:
    expected = make(Teacher(network), tmp_path).epoch(0).clone()
    make(refuse, tmp_path).epoch(0).zero_()
    assert torch.equal(make(refuse, tmp_path).epoch(0), expected)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 + 60] ^= 1
    path.write_bytes(bytes(content))


def blank(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def other_shape(path: Path) -> None:
    np.save(path, np.zeros((N, CLASSES + 1), np.float32))


def same_size_other_shape(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(f"({N}, {CLASSES})".encode(), f"({CLASSES}, {N})".encode()))


@pytest.mark.parametrize(
    "damage", [cut, empty, flip_a_bit, blank, other_shape, same_size_other_shape]
)
def test_damaged_file_is_computed_again(
    network: Counting,
    tmp_path: Path,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    teacher, path = Teacher(network), tmp_path / "epoch-00000.npy"
    expected = make(teacher, tmp_path).epoch(0)
    content = path.read_bytes()
    damage(path)
    assert path.read_bytes() != content
    assert torch.equal(make(teacher, tmp_path).epoch(0), expected)
    assert "epoch-00000.npy is damaged" in caplog.text
    assert path.read_bytes() == content


def test_full_disk_costs_time_but_no_trial(
    network: Counting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(path: Path, _parts: object) -> None:
        raise StorageFullError(f"no space left to write {path}")

    monkeypatch.setattr(outputs, "write_atomically", full)
    with caplog.at_level(logging.WARNING):
        table = make(Teacher(network), tmp_path).epoch(0)
    assert torch.equal(table, make(Teacher(network), tmp_path, memory_limit=0).epoch(0))
    assert "not shared" in caplog.text
    assert not list(tmp_path.glob("*.npy"))


def test_teacher_of_other_classes_is_refused(network: Counting, tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="expected logits of 5 classes from the teacher, got 3"):
        make(Teacher(network), tmp_path, classes=5).epoch(0)


def test_key_depends_on_everything_that_decides_the_outputs() -> None:
    keys = [
        outputs_key("teacher", "data", MOVING, 0),
        outputs_key("other", "data", MOVING, 0),
        outputs_key("teacher", "other", MOVING, 0),
        outputs_key("teacher", "data", AugmentationSpec(pad=2, flip=True), 0),
        outputs_key("teacher", "data", MOVING, 1),
        outputs_key("teacher", "data", MOVING, 0, batch_size=3),
    ]
    assert len(set(keys)) == len(keys)
    assert outputs_key("teacher", "data", AugmentationSpec(flip=True, pad=1), 0) == keys[0]


class Noting(nn.Module):
    """Notes each forward pass in a file, which several processes can share."""

    def __init__(self, notes: Path) -> None:
        super().__init__()
        self.notes = notes

    def forward(self, images: Tensor) -> Tensor:
        with self.notes.open("a") as file:
            file.write("x")
        return images.flatten(1)[:, :CLASSES]


def digest_of_all_epochs(folder: Path) -> str:
    student = make(lambda: Teacher(Noting(folder / "passes")), folder)
    digest = hashlib.sha256()
    for epoch in range(4):
        digest.update(student.epoch(epoch).numpy().tobytes())
    return digest.hexdigest()


def test_processes_share_what_one_of_them_computes(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(autokd.__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, __file__, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        other.stdin.write("go\n")
        other.stdin.flush()  # now both ask for the same epochs at once
        own = digest_of_all_epochs(tmp_path)
        assert other.communicate()[0].strip() == own
    assert (tmp_path / "passes").read_text() == "x" * (4 * BATCHES)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_live_and_cached_tables_are_equal_to_the_last_bit(
    network: Counting, tmp_path: Path
) -> None:
    device = torch.device("cuda")
    teacher, split = Teacher(network.to(device)), images().to(device)

    def table(source: Teacher | Callable[[], Teacher], memory_limit: float) -> Tensor:
        augmentation = Augmentation(MOVING, N, seed=5)
        return TeacherOutputs(
            source, split, augmentation, tmp_path, memory_limit, device, classes=CLASSES
        ).epoch(1)

    live, written, read = table(teacher, 0), table(teacher, 1e6), table(refuse, 1e6)
    assert read.device.type == "cuda"
    assert torch.equal(live, written)
    assert torch.equal(live, read)


if __name__ == "__main__":  # the other process of the test above
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(digest_of_all_epochs(Path(sys.argv[1])))
