"""What a study may be made of: everything that a study file can name on this server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from autokd.errors import AutokdError
from autokd.inspector import Inspector
from autokd.spec import (
    TEACHERS,
    TORCHVISION_SETS,
    DigitsSpec,
    ImageFolderSpec,
    LossSpec,
    NpzSpec,
    StrategySpec,
    TeacherSpec,
    TorchvisionSpec,
    installed_spaces,
)
from autokd.store import UploadRecord
from service.access import Reader
from service.context import SettingsOf, StoreOf, inspected
from service.names import Kind, id_of
from service.problems import RESPONSES
from service.schemas import Page, Told
from service.spec_schema import Known, Schema, part_schema, spec_schema

router = APIRouter(tags=["catalogue"], responses=RESPONSES)

_RESNET = re.compile(r"resnet(\d+)(?:x(\d+))?")
_WIDE_RESNET = re.compile(r"wrn(\d+)_(\d+)")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}  # a bool is an int too


class CatalogueItem(Told):
    """Something that a study can be made of."""

    name: str = Field(examples=["bayesian"])
    summary: str
    schema_: Schema = Field(
        alias="schema", description="JSON Schema of the part of the study file that names it."
    )
    spec: dict[str, Any] = Field(
        description="What names it there; `schema` says what else there may be.",
        examples=[{"name": "bayesian"}],
    )


class SpaceParameter(Told):
    """What varies in a search space."""

    name: str
    range: str = Field(examples=["3 to 10"])
    condition: str = Field(description="When it is active; empty: always.")


class SpaceItem(CatalogueItem):
    """A search space, with what varies in it if its options are left as they are."""

    parameters: list[SpaceParameter]


def _known(settings: SettingsOf, store: StoreOf) -> Known:
    return Known.of(settings, store)


KnownHere = Annotated[Known, Depends(_known)]


@router.get("/spaces", response_model=Page[SpaceItem])
async def list_spaces(request: Request, _caller: Reader) -> Any:
    """Lists the search spaces that are installed; the first to ask waits until they are loaded."""
    names = installed_spaces()
    return await inspected(request, lambda asked: _whole([_space_item(n, asked) for n in names]))


@router.get("/strategies", response_model=Page[CatalogueItem])
def list_strategies(_caller: Reader, known: KnownHere) -> Any:
    """Lists search strategies."""
    return _whole([*_named_items(StrategySpec, known)])


@router.get("/losses", response_model=Page[CatalogueItem])
def list_losses(_caller: Reader, known: KnownHere) -> Any:
    """Lists distillation losses."""
    return _whole([*_named_items(LossSpec, known)])


@router.get("/datasets", response_model=Page[CatalogueItem])
def list_datasets(_caller: Reader, known: KnownHere) -> Any:
    """Lists data sets: those that come along, torchvision's, image folders, and uploads."""
    torchvision = "Classification set of torchvision."
    return _whole(
        [
            _item(DigitsSpec, known, {"name": "digits"}),
            *(
                _item(
                    ImageFolderSpec,
                    known,
                    {"name": "image_folder", "root": name},
                    name=name,
                    summary="Image folder of this server.",
                )
                for name in known.folders
            ),
            *(
                _item(
                    NpzSpec,
                    known,
                    {"name": "npz", "path": id_of(Kind.UPLOAD, upload.id)},
                    name=upload.name,
                    summary=_images(upload),
                )
                for upload in known.uploads
                if upload.kind == "data"
            ),
            *(
                _item(TorchvisionSpec, known, {"name": name}, summary=torchvision)
                for name in TORCHVISION_SETS
            ),
        ]
    )


@router.get("/teachers", response_model=Page[CatalogueItem])
def list_teachers(_caller: Reader, known: KnownHere) -> Any:
    """Lists teacher networks; weights of one's own come as an upload."""
    of_torchvision = _item(
        TeacherSpec,
        known,
        {},
        name="torchvision/NAME",
        summary="Any classification network of torchvision by its name.",
    )
    of_torchvision["schema"]["properties"]["model"] |= {"pattern": r"^torchvision/\w+$"}
    of_torchvision["spec"] = {"model": "torchvision/resnet18"}
    items = [
        _item(TeacherSpec, known, {"model": name}, name=name, summary=_network(name))
        for name in TEACHERS
    ]
    return _whole([*items, of_torchvision])


@router.get("/spec_schema", response_model=dict[str, Any])
def read_spec_schema(_caller: Reader, known: KnownHere) -> Any:
    """Reads the JSON Schema of a study file, as far as requests may use it on this server."""
    return spec_schema(known)


def _whole(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A list that is never given in parts."""
    return {"items": items, "next_page_token": None, "total": len(items)}


def _item(
    model: type[BaseModel],
    known: Known,
    spec: Mapping[str, Any],
    *,
    name: str | None = None,
    summary: str | None = None,
) -> dict[str, Any]:
    """A `CatalogueItem` of what `spec` names, among those that `model` describes."""
    schema = part_schema(model, known)
    for field, value in spec.items():
        about = schema["properties"][field]
        schema["properties"][field] = {
            "const": value,
            **{key: about[key] for key in ("title", "description") if key in about},
        }
    return {
        "name": name or spec["name"],
        "summary": summary or (model.__doc__ or "").partition("\n")[0],
        "schema": schema,
        "spec": dict(spec),
    }


def _named_items(part: object, known: Known) -> Iterator[dict[str, Any]]:
    """An item for each name that one of several models has."""
    for model in _models(part):
        for name in get_args(model.model_fields["name"].annotation):
            yield _item(model, known, {"name": name})


def _models(part: object) -> list[type[BaseModel]]:
    """The models that stand in an annotated union."""
    if isinstance(part, type) and issubclass(part, BaseModel):
        return [part]
    first, *rest = get_args(part)
    return [
        model
        for each in (first, *(() if get_origin(part) is Annotated else rest))
        for model in _models(each)
    ]


def _space_item(name: str, inspector: Inspector) -> dict[str, Any]:
    """A `SpaceItem`; of a space that can not be loaded, no more than that it is so."""
    schema: Schema = {
        "type": "object",
        "properties": {"name": {"const": name}},
        "required": ["name"],
    }
    item = {"name": name, "schema": schema, "spec": {"name": name}}
    try:
        space = inspector.space(name)
    except AutokdError as error:  # it may be anybody's
        return {**item, "summary": f"Can not be described: {error.message}", "parameters": []}
    for option in space["options"]:
        default = option["default"]
        schema["properties"][option["name"]] = {**_type_of(default), "default": default}
    return {**item, "summary": space["summary"], "parameters": space["parameters"]}


def _type_of(value: Any) -> Schema:
    """The schema of all values that are like this one."""
    if isinstance(value, list):
        return {"type": "array", "items": _type_of(value[0]) if value else {}}
    return next(({"type": name} for kind, name in _TYPES.items() if isinstance(value, kind)), {})


def _network(name: str) -> str:
    """What a teacher network is called by people."""
    if found := _RESNET.fullmatch(name):
        wide = f", {found[2]} times as wide" if found[2] else ""
        return f"ResNet of {found[1]} layers{wide}, for small images."
    found = _WIDE_RESNET.fullmatch(name)
    assert found is not None  # there are no others
    return f"Wide ResNet of {found[1]} layers, {found[2]} times as wide, for small images."


def _images(upload: UploadRecord) -> str:
    about = upload.summary or {}
    shape = "x".join(map(str, about.get("shape", ())))
    return f"Upload of {about.get('train')} and {about.get('test')} images, {shape}."
