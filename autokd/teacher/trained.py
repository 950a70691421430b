"""Teachers ready to guide: trained once and cached, or loaded from a file of the user's."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import pickle  # noqa: TID251 (for the name of an error of torch.load)
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock
from torch import nn

from autokd.data import Augmentation
from autokd.distillation import OfflineDistillation
from autokd.errors import TeacherError
from autokd.files import write_atomically
from autokd.layers import Normalised
from autokd.seeding import seed_for
from autokd.teacher.catalogue import normalisation
from autokd.teacher.teacher import Teacher
from autokd.teacher.weights import load_weights, save_weights
from autokd.training import Training, seeded_torch
from autokd.trial import TrialFailed

if TYPE_CHECKING:
    from autokd.data import Data, ImageSet
    from autokd.spec import TeacherSpec

_LOG = logging.getLogger(__name__)

_RECIPE = 1
"""Part of the cache's key; to be raised when a teacher of the same spec would train otherwise."""

_BATCH_SIZE = 512

Report = Callable[[int, Mapping[str, float]], None]
"""Called after each epoch of training with the number of finished epochs and mean loss terms."""


def loaded_teacher(
    build: Callable[[], nn.Module],
    data: Data,
    spec: TeacherSpec,
    device: torch.device,
    features: Sequence[str] = (),
) -> Teacher:
    """The teacher whose weights the user gives.

    Args:
        build: makes the network without its weights; takes normalised images.
        data: gives the normalisation, unless the spec does.
        spec: with `weights`, a safetensors file of the network's weights.
        device: where the teacher is to run.
        features: names of modules whose outputs it shows.

    Raises:
        TeacherError: the file is missing or damaged, or does not fit the network.
    """
    if spec.weights is None:
        raise TeacherError("expected teacher.weights to name a safetensors file, got nothing")
    network = normalised_teacher(build(), spec, data)
    load_weights(network.network, spec.weights)
    return Teacher(network.to(device), features)


def trained_teacher(
    build: Callable[[], nn.Module],
    data: Data,
    spec: TeacherSpec,
    seed: int,
    folder: Path,
    device: torch.device,
    report: Report | None = None,
    features: Sequence[str] = (),
) -> Teacher:
    """The teacher trained on the training split; taken from the cache if it was trained before.

    The cache holds, under `teacher_key`, the network's weights (`.safetensors`, which another
    study may name as its `teacher.weights`) and what they are (`.json`: validation accuracy in
    [0, 1], recipe, SHA-256 of the weights). A damaged entry is trained again. Of several processes
    that want the same teacher one trains and the others wait. A training that was interrupted goes
    on after its last whole epoch.

    Args:
        build: makes the network that `spec.model` names, untrained; takes normalised images.
        data: training split, its customary augmentation, and validation split for the accuracy.
        spec: model, epochs, recipe and normalisation.
        seed: the study's seed.
        folder: of the cache; shared by studies.
        device: where to train, and where the teacher is to run.
        report: is told of each epoch; never called if the cache has the teacher.
        features: names of modules whose outputs the teacher shows.

    Raises:
        TeacherError: the training diverged.
        StorageFullError: the disk is full.
    """
    identity = _identity(data, spec, seed)
    weights = folder / f"{_key(identity)}.safetensors"
    device = torch.device(device)
    with seeded_torch(seed_for(seed, 0, "teacher/init"), torch.device("cpu")):
        network = normalised_teacher(build(), spec, data)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(weights.with_suffix(".lock")):
        cached = _restore(network.network, weights)
        network.to(device)
        if not cached:
            _train(network, data, spec, seed, weights.with_suffix(".checkpoint.pt"), report)
            _store(network, data, identity, weights)
    return Teacher(network, features)


def teacher_key(data: Data, spec: TeacherSpec, seed: int) -> str:
    """The name, 32 hexadecimal digits, under which `trained_teacher` caches; from content only."""
    return _key(_identity(data, spec, seed))


def _identity(data: Data, spec: TeacherSpec, seed: int) -> dict[str, Any]:
    """All that decides what a teacher learns, as JSON data."""
    mean, std = spec.mean or data.mean, spec.std or data.std
    return {
        "recipe": _RECIPE,
        "model": spec.model,
        "input_shape": list(data.task.input_shape),
        "classes": data.task.classes,
        "data": data.fingerprint,
        "augmentation": data.augmentation.model_dump(mode="json"),
        "mean": list(mean),
        "std": list(std),
        "epochs": spec.epochs,
        "training": spec.training.model_dump(mode="json"),
        "seed": seed,
    }


def _key(identity: Mapping[str, Any]) -> str:
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def normalised_teacher(network: nn.Module, spec: TeacherSpec, data: Data) -> Normalised:
    """The network behind the normalisation that the spec gives, or else the data.

    Raises:
        SpecError: the spec gives neither one number nor one for each channel.
    """
    mean, std = spec.mean or data.mean, spec.std or data.std
    return Normalised(network, *normalisation(spec.model, data.task, mean, std))


def _train(
    network: Normalised,
    data: Data,
    spec: TeacherSpec,
    seed: int,
    checkpoint: Path,
    report: Report | None,
) -> None:
    """Trains in place, through `checkpoint`, which is removed at the end."""
    augmentation = Augmentation(
        data.augmentation, len(data.train), seed_for(seed, 0, "teacher/augmentation")
    )
    training = Training(
        network,
        data.train,
        augmentation,
        OfflineDistillation(label_smoothing=spec.training.label_smoothing),
        spec.training,
        horizon=spec.epochs,
        seed=seed_for(seed, 0, "teacher/train"),
    )
    _resume(training, checkpoint)
    while training.epoch < spec.epochs:
        try:
            terms = training.run_epoch()
        except TrialFailed as error:
            raise TeacherError(
                f"the training of teacher {spec.model} failed: {error}",
                hint="lower teacher.training.learning_rate or lengthen its warmup_epochs",
            ) from error
        # Past the last epoch the weights themselves are about to be stored.
        if training.epoch < spec.epochs:
            _checkpoint(training, checkpoint)
        if report is not None:
            report(training.epoch, terms)
    checkpoint.unlink(missing_ok=True)


def _checkpoint(training: Training, path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(training.state_dict(), buffer)
    write_atomically(path, [buffer.getbuffer()])


def _resume(training: Training, path: Path) -> None:
    if not path.exists():
        return
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        _LOG.warning("starting the teacher's training over: %s is damaged (%s)", path, error)
        return
    training.load_state_dict(state)


def _store(network: Normalised, data: Data, identity: Mapping[str, Any], weights: Path) -> None:
    """Writes the weights, then the sidecar that vouches for them."""
    digest = save_weights(network.network, weights)
    sidecar = {
        **identity,
        "data_name": data.name,
        "validation_accuracy": _accuracy(Teacher(network), data.validation),
        "sha256": digest,
    }
    text = json.dumps(sidecar, indent=2, sort_keys=True) + "\n"
    write_atomically(weights.with_suffix(".json"), [text.encode()])


def _restore(network: nn.Module, weights: Path) -> bool:
    """Fills the network from the cache. False if the cache has no sound entry."""
    sidecar = weights.with_suffix(".json")
    if not (weights.exists() and sidecar.exists()):
        return False
    try:
        vouched = json.loads(sidecar.read_bytes())["sha256"]
        with weights.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != vouched:
                raise TeacherError(f"{weights} is not what {sidecar.name} vouches for")
        load_weights(network, weights)
    except (TeacherError, ValueError, LookupError, TypeError) as error:
        _LOG.warning("training the teacher again, its cache is damaged: %s", error)
        return False
    return True


def _accuracy(teacher: Teacher, images: ImageSet) -> float:
    """Share in [0, 1] of images that the teacher classifies rightly."""
    order = torch.arange(len(images), device=images.labels.device)
    right = 0
    for indices, pixels in images.batches(order, _BATCH_SIZE):
        predicted = teacher(pixels.float() / 255).logits.argmax(dim=1)
        right += int((predicted == images.labels[indices]).sum())
    return right / len(images)
