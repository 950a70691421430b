"""The client and the service together, over loopback."""

from __future__ import annotations

import hashlib
import importlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from autokd import Client
from autokd.client import connection, models
from autokd.errors import (
    AccessError,
    AutokdError,
    ConflictError,
    NotFoundError,
    NothingFeasibleError,
    SpecError,
    TeacherError,
)
from autokd.trial import StudyState
from service import schemas
from tests.scripted.processes import until
from tests.service.conftest import searched

from .serving import Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_spec: dict[str, Any]) -> Iterator[Served]:
    """A service whose record has one study, `searched`."""
    folder = tmp_path_factory.mktemp("served")
    with serving(str(folder / "autokd.db")) as served:
        searched(served.store, {**tiny_spec, "name": "searched"})
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    """May do everything."""
    with Client(served.url, served.token) as client:
        yield client


@pytest.fixture
def spec(tiny_spec: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    """A study file with a name of the test's own."""
    return {**tiny_spec, "name": request.node.name.removeprefix("test_").replace("[", "-")[:60]}


def test_the_client_knows_the_fields_that_the_service_tells():
    """A field that the client must have, the service must have too."""
    theirs: dict[str, type[BaseModel]] = {}
    for module in (schemas, *map(importlib.import_module, _ROUTES)):
        theirs |= {
            name: value
            for name, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, BaseModel)
        }
    for ours, name in _NAMES.items():
        needed = {
            info.alias or field
            for field, info in getattr(models, ours).model_fields.items()
            if info.is_required()
        }
        told = {info.alias or field for field, info in theirs[name].model_fields.items()}
        assert needed <= told, ours


_ROUTES = [
    f"service.routes.{name}"
    for name in ("analyses", "candidates", "exports", "tokens", "trials", "uploads")
]
_NAMES = {
    "Candidate": "Candidate",
    "Check": "CheckResult",
    "Export": "Export",
    "ExportedFile": "ExportedFile",
    "FinalRow": "FinalRow",
    "Front": "Front",
    "LogPart": "Log",
    "Operation": "Operation",
    "Row": "Row",
    "Study": "Study",
    "StudyDetail": "StudyDetail",
    "Token": "Token",
    "Trial": "TrialSummary",
    "TrialDetail": "TrialDetail",
    "Upload": "Upload",
}


def test_a_study_is_created_steered_and_forgotten(client, spec):
    study = client.studies.create(spec, labels={"team": "a"}, paused=True)
    assert (study.state, study.labels, study.limits["trials"]) == ("paused", {"team": "a"}, 3)
    assert client.studies.resume(study).state == "queued"
    assert client.studies.pause(study).state == "paused"
    assert client.studies.stop(study).state == "stopping"
    with pytest.raises(ConflictError, match="is stopping"):
        client.studies.resume(study)
    assert client.studies.cancel(study).state == "cancelled"
    assert client.studies.extend(study, trials=9).limits["trials"] == 9
    assert client.studies.change(study, labels={}).labels == {}
    assert study.id in [each.id for each in client.studies.list(state="queued")]
    clone = client.studies.clone(study, f"{study.name}-2", {"limits.trials": 4}, paused=True)
    assert (clone.state, clone.limits["trials"]) == ("paused", 4)
    client.studies.cancel(study)
    assert client.studies.delete(study).deleted is not None
    assert study.id in [each.id for each in client.studies.list(deleted=True)]
    with pytest.raises(NotFoundError):
        client.studies.read(study.name)
    assert client.studies.undelete(study).name == study.name
    with pytest.raises(ConflictError, match="is not deleted"):
        client.studies.purge(study)
    client.studies.delete(study)
    operation = client.studies.purge(study)
    assert (operation.kind, operation.study, operation.done) == ("purge", study.id, False)
    assert client.operations.cancel(operation.id).state == "cancelled"
    assert operation.id in [each.id for each in client.operations.list(state="cancelled")]


def test_a_study_is_read(client, served):
    study = client.studies.read("searched")
    assert (study.state, study.stop_reason) == ("completed", "trials")
    assert study.trials.total == 6
    assert study.best is not None
    assert study.best.figures["accuracy"] == pytest.approx(0.82, abs=0.1)
    assert study.spec["space"]["name"] == "hierarchical_graph"
    front = client.studies.front("searched", x="parameters", y="accuracy", max_parameters="5k")
    assert all(row.figures["parameters"] <= 5000 for row in front.front)
    assert client.studies.best("searched").trial == study.best.trial
    report = client.studies.report("searched")
    assert report["front"][0]["trial"] == study.front[0].trial
    trials = list(client.studies.trials("searched", state=["failed", "infeasible"]))
    assert {trial.state for trial in trials} == {"failed", "infeasible"}
    failed = next(trial for trial in trials if trial.failure)
    detail = client.studies.trial("searched", failed.number)
    assert detail.attempts[0].state == "failed"
    log = "".join(client.logs("searched", failed.number))
    assert log == f"attempt 1 of trial {failed.number}\n"
    found = list(
        client.studies.candidates("searched", filter="parameters<=6k", order_by="-accuracy")
    )
    assert [each.figures["parameters"] for each in found] == sorted(
        (each.figures["parameters"] for each in found), reverse=True
    )


def test_errors_are_those_of_this_machine(client, spec):
    with pytest.raises(NotFoundError, match="no study 'sarched'") as missing:
        client.studies.read("sarched")
    assert missing.value.hint == "did you mean 'searched'?"
    with pytest.raises(NotFoundError, match="no trial 99"):
        client.studies.trial("searched", 99)
    with pytest.raises(NothingFeasibleError):
        client.studies.best("searched", max_parameters="1")
    with pytest.raises(AutokdError, match="parameters<=20k") as no_filter:
        list(client.studies.candidates("searched", filter="parameters"))
    assert no_filter.value.exit_code == 2
    with pytest.raises(ConflictError, match="already a study 'searched'"):
        client.studies.create({**spec, "name": "searched"})
    with pytest.raises(SpecError) as wrong:
        client.studies.create({**spec, "fidelity": {"min_epochs": 0}, "seed": "x"})
    assert {mistake.path for mistake in wrong.value.mistakes} >= {"seed", "fidelity.min_epochs"}
    with pytest.raises(SpecError) as elsewhere:
        client.studies.create({**spec, "teacher": {"model": "resnet8", "weights": "/etc/passwd"}})
    assert elsewhere.value.mistakes[0].path == "teacher.weights"


def test_who_may_not_is_refused(client, served, spec):
    with Client(served.url, "akd_unknown") as stranger, pytest.raises(AccessError) as unknown:
        next(stranger.studies.list(), None)
    assert unknown.value.exit_code == 5
    with Client(served.url) as nobody, pytest.raises(AccessError, match="expected a token") as none:
        nobody.studies.read("searched")
    assert "AUTOKD_TOKEN" in str(none.value)
    token = client.tokens.create("reads", "read", expires_in_days=1)
    with Client(served.url, token.token) as reader:
        assert reader.studies.read("searched").name == "searched"
        with pytest.raises(AccessError, match="scope launch"):
            reader.studies.create(spec)
        client.tokens.revoke(token.id)
        with pytest.raises(AccessError):
            reader.studies.read("searched")
    assert "reads" not in [each.name for each in client.tokens.list()]


def test_long_lists_come_in_parts(client, monkeypatch):
    monkeypatch.setattr(connection, "_PAGE", 2)
    numbers = [trial.number for trial in client.studies.trials("searched")]
    assert numbers == list(range(6))


def test_what_happens_is_told(client, served, spec):
    study = client.studies.create(spec, paused=True)
    with client.events(study=study.id) as events:
        client.studies.resume(study)
        # What happened a moment before may be told, too.
        first = next(event for event in events if event.data["status"] == "queued")
        assert (first.kind, first.study) == ("study", study.id)
        number = int(study.id.removeprefix("std_"))
        served.store.update_study(number, state=StudyState.RUNNING)
        assert next(events).data["status"] == "running"
    with client.events(study=study.id, after=first.number) as since:
        assert next(since).data["status"] == "running"


def test_a_file_of_the_shipped_studies_is_what_the_service_takes(client):
    path = Path(__file__).parents[2] / "studies" / "digits.yaml"
    study = client.studies.create(path, paused=True)
    assert client.studies.read(study).spec["teacher"]["model"] == "resnet20"


def test_a_student_is_exported(client, served, tmp_path):
    with written_by_a_coordinator(served):
        export = client.export("searched", tmp_path / "student", max_parameters="6k")
    names = ["student.onnx", "student.json", "README.md"]
    assert [file.name for file in export.files] == names
    assert {path.name for path in (tmp_path / "student").iterdir()} == {*names}
    assert (tmp_path / "student" / "student.onnx").read_bytes() == ONNX
    assert json.loads((tmp_path / "student" / "student.json").read_text()) == export.student
    assert client.studies.trial("searched", export.trial).state == "complete"


def test_what_can_not_be_exported_is_told_at_once(client, tmp_path):
    with pytest.raises(NothingFeasibleError):
        client.export("searched", tmp_path / "student", max_parameters="10")
    with pytest.raises(NotFoundError):
        client.export("searched", tmp_path / "student", trial=99)
    with pytest.raises(SpecError, match="formats"):
        client.export("searched", tmp_path / "student", formats=["pickle"])
    assert not (tmp_path / "student").exists()


def test_files_are_sent_and_named_in_a_study(client, served, spec, tmp_path):
    arrays = {"x": np.zeros((4, 8, 8), np.uint8), "y": np.array([0, 1, 0, 1])}
    data = {f"{name}_{split}": arrays[name] for name in "xy" for split in ("train", "test")}
    np.savez(tmp_path / "images.npz", **data)
    sent = client.upload_data(tmp_path / "images.npz")
    assert (sent.state, sent.kind, sent.name) == ("ready", "data", "images.npz")
    assert client.upload_data(tmp_path / "images.npz").id == sent.id
    study = client.studies.create({**spec, "data": {"name": "npz", "path": sent.id}}, paused=True)
    assert client.studies.read(study).spec["data"]["path"] == sent.id
    with pytest.raises(ConflictError, match="is used by"):
        client.uploads.delete(sent.id)
    (tmp_path / "teacher.safetensors").write_bytes(b"no weights")
    with pytest.raises(TeacherError, match="refuses"):
        client.upload_teacher(tmp_path / "teacher.safetensors")
    assert {each.state for each in client.uploads.list()} == {"ready", "refused"}


ONNX = bytes(range(256)) * 4


@contextmanager
def written_by_a_coordinator(served: Served) -> Iterator[None]:
    """In a thread, the next export is written as a coordinator would."""

    def write() -> None:
        queued = until(
            lambda: served.store.operations(kinds=["export"], states=["queued"]), "an export"
        )
        operation = served.store.begin_operation(queued[0].id)
        assert operation.study_id is not None
        study = served.store.study(operation.study_id)
        folder = study.folder / "exports" / str(operation.id)
        folder.mkdir(parents=True)
        (folder / "student.onnx").write_bytes(ONNX)
        (folder / "README.md").write_text("# A student\n")
        file = {
            "name": "student.onnx",
            "bytes": len(ONNX),
            "sha256": hashlib.sha256(ONNX).hexdigest(),
            "verified": "test accuracy 81.25 %",
        }
        student = {"study": study.name, "trial": 1, "spec": dict(study.spec), "files": [file]}
        response = {"export": operation.id, "student": student}
        served.store.end_operation(operation.id, response=response)

    thread = threading.Thread(target=write)
    thread.start()
    yield
    thread.join()
