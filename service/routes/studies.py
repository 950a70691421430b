"""Studies: launched, steered, changed, deleted and brought back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from autokd import steering
from autokd.errors import ConflictError, Mistake, SpecError
from autokd.spec import StudySpec, read_study
from autokd.spec.text import read_yaml
from autokd.store import Store, StudyRecord
from autokd.trial import StudyState, StudyWish
from service.access import Caller, Launcher, Reader, within_quota
from service.bodies import refuse_repeats
from service.context import AnyStudyOf, SettingsOf, StoreOf, StudiesOf, StudyOf, inspected
from service.etags import etag_of, is_known, wanted_version
from service.intake import admitted_spec, shown_spec
from service.names import Kind, id_of
from service.once import OnceRoute
from service.paging import PagingOf
from service.problems import RESPONSES, Refusal, pointer_to, pointing
from service.schemas import (
    EXAMPLE_SPEC,
    CheckResult,
    Cloning,
    Extension,
    NewStudy,
    Operation,
    Page,
    Spelled,
    Study,
    StudyChanges,
    StudyDetail,
    StudyStatus,
)
from service.showing import operation_json, study_detail_json, study_json

router = APIRouter(tags=["studies"], responses=RESPONSES, route_class=OnceRoute)

_LARGEST_YAML = 2**16
"""Bytes; PyYAML reads some hundred thousand a second."""

_DEEPEST = 30
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)

_ORDER = Spelled(
    "-?(created|updated|name)", "created, updated or name, or one of these with '-' before it"
)

IfMatch = Annotated[
    str | None, Header(description="The ETag that was read: refused if somebody changed it since.")
]


@router.post(
    "/studies",
    status_code=201,
    response_model=Study,
    responses={200: {"model": CheckResult, "description": "With `validate_only`."}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "A spec with labels as JSON, or a study file as YAML.",
            "content": {
                "application/json": {"schema": NewStudy.model_json_schema()},
                "application/yaml": {
                    "schema": {"type": "string"},
                    "example": yaml.safe_dump(EXAMPLE_SPEC, sort_keys=False),
                },
            },
        }
    },
)
async def create_study(
    request: Request,
    response: Response,
    caller: Launcher,
    store: StoreOf,
    studies: StudiesOf,
    settings: SettingsOf,
    validate_only: Annotated[
        bool, Query(description="Say what the study means, and record nothing.")
    ] = False,
) -> Any:
    """Queues a study, or says what it would mean.

    With `validate_only` the answer (status 200) is what `autokd check` says: costs, budgets and
    feasible share, without training.
    """
    new = await _new_study(request)
    spec = await run_in_threadpool(admitted_spec, new.spec, settings, store, caller)
    if validate_only:
        content = spec.model_dump(mode="json")
        found = await inspected(request, lambda inspector: inspector.check(content))
        checked = CheckResult.model_validate(found).model_dump_json()
        return Response(checked, media_type="application/json")
    study = await run_in_threadpool(_launch, spec, new, caller, store)
    response.headers["Location"] = f"/api/v1/studies/{id_of(Kind.STUDY, study.id)}"
    response.headers["ETag"] = etag_of(study)
    return await run_in_threadpool(study_json, study, store, studies)


@router.get("/studies", response_model=Page[Study])
def list_studies(
    _caller: Reader,
    store: StoreOf,
    studies: StudiesOf,
    paging: PagingOf,
    state: Annotated[list[StudyStatus] | None, Query(description="One of these states.")] = None,
    label: Annotated[
        list[Annotated[str, Spelled("[^:]+:.*", "`key:value`")]] | None,
        Query(description="All of these labels, as `key:value`."),
    ] = None,
    q: Annotated[str | None, Query(description="Part of the name.", max_length=100)] = None,
    deleted: Annotated[bool, Query(description="Those that were deleted.")] = False,
    order_by: Annotated[str, _ORDER] = "-created",
) -> Any:
    """Lists studies."""
    found = [
        study
        for study in store.studies(deleted=deleted)
        if (q is None or q.lower() in study.name.lower())
        and all(_has_label(study, each) for each in label or ())
        and (not state or store.state_now(study) in state)
    ]
    field = order_by.removeprefix("-")
    found.sort(key=lambda study: (getattr(study, field), study.id), reverse=order_by[0] == "-")
    return paging.page(found, lambda study: study_json(study, store, studies))


@router.get(
    "/studies/{study}",
    response_model=StudyDetail,
    responses={304: {"description": "It is as it was when it had the ETag of `If-None-Match`."}},
)
def read_study_detail(
    _caller: Reader,
    study: AnyStudyOf,
    store: StoreOf,
    studies: StudiesOf,
    settings: SettingsOf,
    response: Response,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Any:
    """Reads a study: its file, its front, its retrained students."""
    etag = etag_of(study)
    # How a running study stands may change without an event: its process may have died.
    is_still = study.state is not StudyState.RUNNING
    if is_known(if_none_match, etag if is_still else None):
        return Response(status_code=304, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return study_detail_json(study, store, studies, settings)


@router.patch("/studies/{study}", response_model=Study)
def change_study(
    caller: Launcher,
    study: StudyOf,
    changes: StudyChanges,
    store: StoreOf,
    studies: StudiesOf,
    response: Response,
    if_match: IfMatch = None,
) -> Any:
    """Changes a study's name, labels or limits."""
    given: dict[str, Any] = {}
    if changes.name is not None:
        if study.state is StudyState.RUNNING:
            raise ConflictError("a study that runs keeps its name", hint="pause it first")
        given["name"] = changes.name
    if changes.labels is not None:
        given["labels"] = changes.labels
    if changes.limits is not None:
        with pointing(_in_limits):
            spec = read_study(steering.with_limits(study.spec, changes.limits))
        given["spec"] = spec.model_dump(mode="json")
    changed = store.change_study(study.id, version=wanted_version(if_match, study), **given)
    return _answer(changed, store, studies, response)


@router.delete("/studies/{study}", response_model=Study)
def delete_study(
    _caller: Launcher,
    study: StudyOf,
    store: StoreOf,
    studies: StudiesOf,
    response: Response,
    if_match: IfMatch = None,
) -> Any:
    """Deletes a study so that it can be brought back; its name is free at once."""
    return _answer(
        store.hide_study(study.id, version=wanted_version(if_match, study)),
        store,
        studies,
        response,
    )


@router.post("/studies/{study}:undelete", response_model=Study)
def undelete_study(
    caller: Launcher, study: AnyStudyOf, store: StoreOf, studies: StudiesOf, response: Response
) -> Any:
    """Brings a deleted study back, as it was: one that was queued will run."""
    with within_quota(caller, store) as run:
        brought = store.unhide_study(study.id)
        if brought.wish is StudyWish.RUN:
            run.add(study.id)
    return _answer(brought, store, studies, response)


@router.post("/studies/{study}:purge", status_code=202, response_model=Operation)
def purge_study(caller: Launcher, study: AnyStudyOf, store: StoreOf, response: Response) -> Any:
    """Removes a deleted study for good, with its files; the operation says how many bytes."""
    if study.deleted is None:
        raise ConflictError(f"study {study.name!r} is not deleted", hint="delete it first")
    operation = store.add_operation("purge", study.id, {}, caller.id)
    response.headers["Location"] = f"/api/v1/operations/{id_of(Kind.OPERATION, operation.id)}"
    return operation_json(operation)


@router.post("/studies/{study}:pause", response_model=Study)
def pause_study(
    _caller: Launcher, study: StudyOf, store: StoreOf, studies: StudiesOf, response: Response
) -> Any:
    """Stops training after the running epochs; `:resume` goes on from there."""
    return _wish(study, StudyWish.PAUSE, store, studies, response)


@router.post("/studies/{study}:resume", response_model=Study)
def resume_study(
    caller: Launcher, study: StudyOf, store: StoreOf, studies: StudiesOf, response: Response
) -> Any:
    """Goes on with a study that was paused, cancelled, interrupted, or failed."""
    with within_quota(caller, store) as run:
        if study.wish is not StudyWish.RUN:
            run.add(study.id)
        changed = steering.steer(store, study, StudyWish.RUN)
    return _answer(changed, store, studies, response)


@router.post("/studies/{study}:stop", response_model=Study)
def stop_study(
    _caller: Launcher, study: StudyOf, store: StoreOf, studies: StudiesOf, response: Response
) -> Any:
    """Ends the search: what runs ends its rung, the best are retrained, the study is completed."""
    return _wish(study, StudyWish.STOP, store, studies, response)


@router.post("/studies/{study}:cancel", response_model=Study)
def cancel_study(
    _caller: Launcher, study: StudyOf, store: StoreOf, studies: StudiesOf, response: Response
) -> Any:
    """Ends all training now, without a final stage. What is finished stays."""
    return _wish(study, StudyWish.CANCEL, store, studies, response)


@router.post("/studies/{study}:extend", response_model=Study)
def extend_study(
    caller: Launcher,
    study: StudyOf,
    extension: Extension,
    store: StoreOf,
    studies: StudiesOf,
    response: Response,
) -> Any:
    """Goes on with larger limits, also when the study has ended."""
    with pointing(_in_limits), within_quota(caller, store) as run:
        if study.wish is not StudyWish.RUN:
            run.add(study.id)
        extended = steering.extend(store, study, extension.limits)
    return _answer(extended, store, studies, response)


@router.post("/studies/{study}:clone", status_code=201, response_model=Study)
def clone_study(
    caller: Launcher,
    study: AnyStudyOf,
    cloning: Cloning,
    store: StoreOf,
    studies: StudiesOf,
    settings: SettingsOf,
    response: Response,
) -> Any:
    """Queues a new study from the file of this one, with changes."""
    with pointing(lambda path: _in_changes(path, cloning.changes)):
        content = steering.with_changes(shown_spec(study.spec, settings, store), cloning.changes)
        spec = admitted_spec({**content, "name": cloning.name}, settings, store, caller)
    new = NewStudy(spec={}, labels=cloning.labels, paused=cloning.paused)
    cloned = _launch(spec, new, caller, store)
    response.headers["Location"] = f"/api/v1/studies/{id_of(Kind.STUDY, cloned.id)}"
    return _answer(cloned, store, studies, response)


async def _new_study(request: Request) -> NewStudy:
    """The study in the body of a request, JSON or YAML."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind == "application/json":
        refuse_repeats(body)
        try:
            return NewStudy.model_validate_json(body)
        except ValidationError as error:
            if _is_bare(body):
                raise Refusal(
                    422,
                    "invalid_request",
                    "expected the study in the field `spec`, got its fields themselves",
                    hint='{"spec": {…}, "labels": {}}; or the study alone as application/yaml',
                ) from error
            mistakes = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
            raise RequestValidationError(mistakes) from error
    if kind in ("application/yaml", "application/x-yaml", "text/yaml"):
        # As it is: YAML has more kinds of values than JSON, and the reader of specs names each.
        return NewStudy.model_construct(spec=await run_in_threadpool(_spec_from_yaml, body))
    raise Refusal(
        415,
        "unsupported_media_type",
        f"expected a body of application/json or application/yaml, got {kind[:50] or 'none'}",
        hint="curl: -H 'Content-Type: application/yaml' --data-binary @study.yaml",
    )


def _spec_from_yaml(body: bytes) -> dict[str, Any]:
    if len(body) > _LARGEST_YAML:
        raise Refusal(413, "too_large", f"expected a study file of at most {_LARGEST_YAML} bytes")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise SpecError("the study", [Mistake("", f"expected UTF-8; got {error}")]) from error
    bomb = _bomb(text)
    if bomb:
        raise SpecError("the study", [Mistake("", f"expected {bomb}")])
    content, mistakes = read_yaml(text)
    if mistakes or not isinstance(content, dict):
        what = Mistake("", "expected the fields of a study")
        raise SpecError("the study", mistakes or [what])
    return content


def _bomb(text: str) -> str | None:
    """What was expected of a text that would take more time or memory to read than it should."""
    depth = 0
    with suppress(yaml.YAMLError):  # which reading it says better
        for token in yaml.scan(text):
            if isinstance(token, yaml.AliasToken):
                return "no YAML aliases (`*name`)"  # few of them stand for data without end
            depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
            if depth > _DEEPEST:
                return f"at most {_DEEPEST} levels"
    return None


def _is_bare(body: bytes) -> bool:
    """Whether a body is a study file and not an object that holds one."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "spec" not in content and "data" in content


def _launch(spec: StudySpec, new: NewStudy, caller: Caller, store: Store) -> StudyRecord:
    with within_quota(caller, store) as run:
        study = steering.queue(store, spec, labels=new.labels, paused=new.paused, owner=caller.id)
        if not new.paused:
            run.add(study.id)
    return study


def _wish(
    study: StudyRecord, wish: StudyWish, store: Store, studies: StudiesOf, response: Response
) -> Any:
    return _answer(steering.steer(store, study, wish), store, studies, response)


def _answer(study: StudyRecord, store: Store, studies: StudiesOf, response: Response) -> Any:
    response.headers["ETag"] = etag_of(study)
    return study_json(study, store, studies)


def _in_limits(path: Sequence[str]) -> str:
    """Where a body that holds a study's limits alone has the mistake of a spec."""
    return pointer_to("limits", *path[1:]) if path[:1] == ["limits"] else "/limits"


def _in_changes(path: Sequence[str], changes: Mapping[str, Any]) -> str:
    """Where a body of changes by dotted path has the mistake of a spec, if in one of them."""
    for length in range(len(path), 0, -1):
        change = ".".join(path[:length])
        if change in changes:
            return pointer_to("changes", change, *path[length:])
    return "/name" if path == ["name"] else "/changes"


def _has_label(study: StudyRecord, text: str) -> bool:
    name, _, value = text.partition(":")
    return study.labels.get(name) == value
