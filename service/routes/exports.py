"""Exports: a student of a study as verified files, which a coordinator writes and anyone reads."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi import Path as PathParameter
from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from starlette.responses import FileResponse, MalformedRangeHeader, RangeNotSatisfiable

from autokd import analysis
from autokd.errors import NotFoundError
from autokd.spec import ExportFormat, Quantity
from autokd.store import OperationRecord, Store
from service.access import Launcher, Reader
from service.context import SettingsOf, StoreOf, StudiesOf, StudyOf
from service.etags import is_known
from service.intake import shown_spec
from service.names import Kind, id_of, number_of
from service.once import OnceRoute
from service.paging import PagingOf
from service.problems import RESPONSES, Refusal
from service.schemas import Given, Moment, Operation, Page, Told, size_of
from service.settings import Settings
from service.showing import operation_json

router = APIRouter(tags=["exports"], responses=RESPONSES, route_class=OnceRoute)

ExportId = Annotated[str, PathParameter(examples=["exp_5"], max_length=40)]

_DESCRIPTION, _CARD = "student.json", "README.md"
_LARGEST_TRIAL = 2**31 - 1


Size = Annotated[Quantity, BeforeValidator(size_of)]


class NewExport(Given):
    """Which student, and in which formats."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"best": True, "max_parameters": "20k"}, {"trial": 7}]}
    )

    best: bool = Field(False, description="The best student, within the limits below if any.")
    trial: int | None = Field(
        None, ge=0, le=_LARGEST_TRIAL, description="In place of `best`: the student of this trial."
    )
    max_parameters: Size | None = Field(None, examples=["20k"])
    max_memory: Size | None = Field(None, description="Peak activation.", examples=["64KiB"])
    max_macs: Size | None = Field(None, examples=["5M"])
    max_weight: Size | None = Field(None, description="Weight bytes.", examples=["100KiB"])
    formats: list[ExportFormat] = Field(
        ["onnx", "safetensors"], min_length=1, description="safetensors is always among them."
    )

    @model_validator(mode="after")
    def _is_of_one_student(self) -> NewExport:
        if self.best == (self.trial is not None):
            raise ValueError("expected either `best: true` or `trial`")
        if self.limits and not self.best:
            raise ValueError("expected limits together with `best: true` only")
        return self

    @property
    def limits(self) -> dict[str, float]:
        """Largest figures by name."""
        given = {
            "parameters": self.max_parameters,
            "peak_activation_bytes": self.max_memory,
            "macs": self.max_macs,
            "weight_bytes": self.max_weight,
        }
        return {name: size.amount for name, size in given.items() if size is not None}


class ExportedFile(Told):
    """A file of an export."""

    name: str = Field(examples=["student.onnx"])
    bytes: int
    sha256: str
    verified: str | None = Field(description="What the check says; null: no network is in it.")
    accuracy: float | None = Field(
        None, description="Of the file's network, on the split that `student.scored_on` names."
    )
    largest_difference: float | None = Field(
        None, description="Of a logit, from those of the student that was trained."
    )


class Export(Told):
    """A student as files."""

    id: str = Field(examples=["exp_5"])
    study: str
    trial: int
    created: Moment
    files: list[ExportedFile]
    student: dict[str, Any] = Field(description="What `student.json` holds.")


@router.post("/studies/{study}/exports", status_code=202, response_model=Operation)
def create_export(
    caller: Launcher,
    study: StudyOf,
    new: NewExport,
    store: StoreOf,
    studies: StudiesOf,
    response: Response,
) -> Any:
    """Exports a student: a coordinator writes its files and verifies them.

    The operation's response names the export. A file that computes something else than the student,
    or scores other than the record says, makes the operation fail.
    """
    if new.trial is not None:
        store.trial(study.id, new.trial)  # or else 404, and not an operation that fails
    else:
        analysis.best(study, studies.trials(study), new.limits)
    request = {"trial": new.trial, "limits": new.limits, "formats": list(new.formats)}
    operation = store.add_operation("export", study.id, request, caller.id)
    response.headers["Location"] = f"/api/v1/operations/{id_of(Kind.OPERATION, operation.id)}"
    return operation_json(operation)


@router.get("/studies/{study}/exports", response_model=Page[Export])
def list_exports(
    _caller: Reader,
    study: StudyOf,
    store: StoreOf,
    settings: SettingsOf,
    paging: PagingOf,
    trial: Annotated[int | None, Query(ge=0, le=_LARGEST_TRIAL, description="Only its.")] = None,
) -> Any:
    """Lists the exports of a study, newest first."""
    written = [
        _Export(operation, study.folder)
        for operation in store.operations(study.id, kinds=("export",), states=("succeeded",))
    ]
    found = [each for each in written if each.is_there and trial in (None, each.trial)]
    return paging.page(found[::-1], lambda each: each.shown(settings, store))


@router.get("/exports/{export}", response_model=Export)
def read_export(_caller: Reader, export: ExportId, store: StoreOf, settings: SettingsOf) -> Any:
    """Reads an export: its files with what their check said, and what is known of the student."""
    return _export(store, export).shown(settings, store)


@router.get(
    "/exports/{export}/files/{name}",
    response_class=FileResponse,
    responses={
        200: {
            "description": "The file.",
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        },
        206: {"description": "The part of it that a `Range` header names."},
        304: {"description": "It is the one that `If-None-Match` names."},
        416: {"description": "It has no such part.", "content": RESPONSES["default"]["content"]},
    },
)
def download_file(
    _caller: Reader,
    export: ExportId,
    name: Annotated[str, PathParameter(examples=["student.onnx"], max_length=100)],
    store: StoreOf,
    settings: SettingsOf,
    if_none_match: Annotated[str | None, Header()] = None,
    _range: Annotated[
        str | None,
        Header(alias="Range", description="Of bytes; one that is none is ignored."),
    ] = None,
    _if_range: Annotated[
        str | None,
        Header(alias="If-Range", description="The ETag of the file that the part is of."),
    ] = None,
) -> Response:
    """Downloads a file of an export, or a part of it; its ETag is its SHA-256."""
    found = _export(store, export)
    student = found.student(settings, store)
    files = {file["name"]: file for file in found.files(student)}
    if name not in files:
        raise NotFoundError(f"export {export} has no file {name!r}", hint=f"it has {[*files]}")
    etag = f'"{files[name]["sha256"]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if is_known(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    if name == _DESCRIPTION:
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return Response(_text_of(student), headers=headers, media_type="application/json")
    kind = "text/markdown" if name == _CARD else "application/octet-stream"
    return _FileInParts(found.folder / name, filename=name, headers=headers, media_type=kind)


@router.delete("/exports/{export}", status_code=204)
def delete_export(_caller: Launcher, export: ExportId, store: StoreOf) -> None:
    """Deletes the files of an export; the operation that wrote it stays in the record."""
    folder = _export(store, export).folder
    # In one step, so that nobody finds half of it.
    try:
        gone = folder.rename(folder.with_suffix(".deleted"))
    except FileNotFoundError as error:  # somebody else was quicker
        raise NotFoundError(f"the files of export {export} are deleted") from error
    shutil.rmtree(gone, ignore_errors=True)


class _FileInParts(FileResponse):
    """A file, or what a `Range` asks of it, refused as RFC 9110 and this API have it."""

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []  # the whole file
        except RangeNotSatisfiable as error:
            raise Refusal(
                416,
                "range_not_satisfiable",
                f"expected a part of the file's {file_size} bytes, got {http_range[:50]!r}",
                headers={"Content-Range": f"bytes */{file_size}"},
            ) from error


@dataclass(frozen=True)
class _Export:
    """An operation that wrote a student into a folder of its own."""

    operation: OperationRecord
    study_folder: Path

    @property
    def folder(self) -> Path:
        return self.study_folder / "exports" / str(self.operation.id)

    @property
    def is_there(self) -> bool:
        return self.folder.is_dir()

    @property
    def trial(self) -> int:
        return int(self._written["trial"])

    @property
    def _written(self) -> Mapping[str, Any]:
        assert self.operation.response is not None  # it has succeeded
        written: Mapping[str, Any] = self.operation.response["student"]
        return written

    def deleted(self) -> NotFoundError:
        """The error of asking for what is no more."""
        name = id_of(Kind.EXPORT, self.operation.id)
        return NotFoundError(f"export {name} was deleted", hint="export the student again")

    def student(self, settings: Settings, store: Store) -> dict[str, Any]:
        """What `student.json` holds, without places on the server."""
        return {**self._written, "spec": shown_spec(self._written["spec"], settings, store)}

    def files(self, student: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Those that were verified, and the two that describe them."""
        try:
            beside = {_DESCRIPTION: _text_of(student), _CARD: (self.folder / _CARD).read_bytes()}
        except FileNotFoundError as error:  # between the look and the reading
            raise self.deleted() from error
        return [
            *self._written["files"],
            *(
                {
                    "name": name,
                    "bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "verified": None,
                }
                for name, content in beside.items()
            ),
        ]

    def shown(self, settings: Settings, store: Store) -> dict[str, Any]:
        """An `Export`."""
        assert self.operation.study_id is not None
        student = self.student(settings, store)
        return {
            "id": id_of(Kind.EXPORT, self.operation.id),
            "study": id_of(Kind.STUDY, self.operation.study_id),
            "trial": self.trial,
            "created": self.operation.ended,
            "files": self.files(student),
            "student": student,
        }


def _export(store: Store, text: str) -> _Export:
    """The export of an id. Raises NotFoundError if there is none, or it is not written yet."""
    number = number_of(Kind.EXPORT, text)
    try:
        operation = store.operation(number)
    except NotFoundError:
        operation = None
    if operation is None or operation.kind != "export" or operation.study_id is None:
        raise NotFoundError(f"there is no export {text}")
    if operation.response is None:
        raise NotFoundError(
            f"export {text} is not there: its operation is {operation.state}",
            hint=f"GET …/operations/{id_of(Kind.OPERATION, number)} says more",
        )
    found = _Export(operation, store.study(operation.study_id).folder)
    if not found.is_there:
        raise found.deleted()
    return found


def _text_of(student: Mapping[str, Any]) -> bytes:
    return (json.dumps(student, indent=2) + "\n").encode()
