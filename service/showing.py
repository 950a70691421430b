"""Records as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from autokd.analysis import health, progress, sparkline
from autokd.multiobjective import ParetoFront
from autokd.report import budget_of, count, front_row, objectives_of, summarise
from autokd.store import OperationRecord, Store, StudyRecord
from autokd.trial import Trial
from service.intake import shown_spec
from service.names import Kind, id_of
from service.record import Studies
from service.settings import Settings


def study_json(study: StudyRecord, store: Store, studies: Studies) -> dict[str, Any]:
    """A `Study`."""
    derived = studies.derived(study, "study", lambda trials: _derived(study, trials))
    limits = study.spec["limits"]
    return {
        "id": id_of(Kind.STUDY, study.id),
        "name": study.name,
        "state": store.state_now(study),
        "stop_reason": study.stop_reason,
        "error": study.error,
        "labels": study.labels,
        "created": study.created,
        "updated": study.updated,
        "deleted": study.deleted,
        "seconds": study.seconds,
        "limits": {
            name: limits.get(name)
            for name in ("trials", "epochs", "seconds", "failures", "converged")
        },
        "teacher": study.teacher or {},
        **derived,
        **progress(study, studies.trials(study)),
    }


def study_detail_json(
    study: StudyRecord, store: Store, studies: Studies, settings: Settings
) -> dict[str, Any]:
    """A `StudyDetail`."""

    def results(trials: list[Trial]) -> dict[str, Any]:
        summary = summarise(study, trials)
        return {
            "front": summary["front"],
            "final": summary["final"],
            "health": health(study, trials),
        }

    return {
        **study_json(study, store, studies),
        **studies.derived(study, "detail", results),
        "spec": shown_spec(study.spec, settings, store),
        "teacher_epoch": _teacher_epoch(study, store),
    }


def _teacher_epoch(study: StudyRecord, store: Store) -> Mapping[str, Any] | None:
    """How far the teacher's training is; None before and after it."""
    if "accuracy" in (study.teacher or {}):
        return None
    event = store.newest_event(study.id, "teacher_epoch")
    return None if event is None else event.data


def _derived(study: StudyRecord, trials: list[Trial]) -> dict[str, Any]:
    front = ParetoFront.from_trials(trials, objectives_of(study))
    return {
        "objectives": [
            {"metric": each.metric, "direction": each.direction} for each in objectives_of(study)
        ],
        "budget": dict(budget_of(study).limits),
        "trials": count(trials),
        "best": front_row(front.trials[0]) if front.trials else None,
        "front_size": len(front.trials),
        "hypervolume": sparkline(study, trials),
    }


def operation_json(operation: OperationRecord) -> dict[str, Any]:
    """An `Operation`."""
    study = operation.study_id
    return {
        "id": id_of(Kind.OPERATION, operation.id),
        "kind": operation.kind,
        "study": id_of(Kind.STUDY, study) if study is not None else None,
        "state": operation.state,
        "done": operation.done,
        "created": operation.created,
        "started": operation.started,
        "ended": operation.ended,
        "request": operation.request,
        "response": _response(operation),
        "error": _problem(operation.error) if operation.error is not None else None,
    }


def _response(operation: OperationRecord) -> Mapping[str, Any] | None:
    if operation.response is None or operation.kind != "export":
        return operation.response
    return {"export": id_of(Kind.EXPORT, operation.id)}


_STATUS_OF_EXIT = {2: 422, 3: 404, 4: 409, 6: 404, 7: 500, 8: 507}


def _problem(error: Mapping[str, Any]) -> dict[str, Any]:
    status = _STATUS_OF_EXIT.get(error.get("exit_code", 1), 500)
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error["message"],
        "code": _snake(error["class"]),
        "hint": error.get("hint"),
    }


def _snake(name: str) -> str:
    """`VerificationError` → `verification`."""
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return words.strip("_").removesuffix("_error")
