"""The client and the service together, over loopback."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
)
from autokd.trial import StudyState
from service import schemas
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


_ROUTES = [f"service.routes.{name}" for name in ("analyses", "candidates", "tokens", "trials")]
_NAMES = {
    "Candidate": "Candidate",
    "Check": "CheckResult",
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
