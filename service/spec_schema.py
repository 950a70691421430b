"""What a request may say of a study, as a JSON Schema.

It is that of a study file, less what `intake` refuses, and with the names that this server knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from autokd.spec import TEACHERS, installed_spaces, study_schema
from autokd.store import Store, UploadRecord
from service.names import Kind, id_of, id_pattern
from service.settings import Settings

Schema = dict[str, Any]


@dataclass(frozen=True)
class Known:
    """What requests may name.

    Attributes:
        folders: names of image folders.
        uploads: those that are ready.
    """

    folders: tuple[str, ...]
    uploads: tuple[UploadRecord, ...]

    @classmethod
    def of(cls, settings: Settings, store: Store) -> Known:
        """What requests may name now."""
        ready = (upload for upload in store.uploads() if upload.state == "ready")
        return cls(tuple(sorted(settings.image_folders)), tuple(ready))

    def upload_schema(self, kind: str) -> Schema:
        """Of the id of an upload that is ready."""
        ids = [id_of(Kind.UPLOAD, upload.id) for upload in self.uploads if upload.kind == kind]
        some = {"enum": ids} if ids else {"pattern": id_pattern(Kind.UPLOAD)}
        return {"type": "string", **some, "description": f"Id of an upload of kind {kind}."}


def spec_schema(known: Known) -> Schema:
    """Of a whole study."""
    return _admitted(study_schema(), known)


def part_schema(model: type[BaseModel], known: Known) -> Schema:
    """Of a part of a study."""
    return _admitted(model.model_json_schema(), known)


def _admitted(schema: Schema, known: Known) -> Schema:
    """The schema with what may be said in the place of what may not."""
    for part in (schema, *schema.get("$defs", {}).values()):
        properties = part.get("properties", {})
        for field in properties.values():
            default = field.get("default")
            if isinstance(default, dict) and "text" in default:  # a quantity, as people write it
                field["default"] = default["text"]
        change = _CHANGES.get(part["title"])
        if change is not None:
            change(properties, known)
    if "data" in schema.get("properties", {}):
        dropped = {"CustomDataSpec", *(() if known.folders else ("ImageFolderSpec",))}
        kinds = schema["properties"]["data"]["oneOf"]
        kinds[:] = [kind for kind in kinds if kind["$ref"].rpartition("/")[2] not in dropped]
        for name in dropped:
            del schema["$defs"][name]
    return schema


def _study(properties: Schema, known: Known) -> None:
    properties["name"]["not"] = {"pattern": id_pattern(*Kind)}


def _npz(properties: Schema, known: Known) -> None:
    properties["path"] = {"title": "Path", **known.upload_schema("data")}


def _image_folder(properties: Schema, known: Known) -> None:
    properties["root"] = {
        "title": "Root",
        "type": "string",
        "enum": list(known.folders),
        "description": "Name of an image folder of this server.",
    }


def _torchvision(properties: Schema, known: Known) -> None:
    del properties["root"], properties["download"]


def _teacher(properties: Schema, known: Known) -> None:
    properties["model"] |= {
        "description": "resnet20, resnet32, …, wrn16_2, …, or torchvision/NAME.",
        "examples": [*TEACHERS, "torchvision/resnet18"],
        "not": {"const": "custom"},
    }
    properties["weights"] = {
        "title": "Weights",
        "anyOf": [known.upload_schema("teacher"), {"type": "null"}],
        "default": None,
        "description": "Id of an upload of kind teacher; left out: train.",
    }


def _optuna(properties: Schema, known: Known) -> None:
    del properties["hub"]
    properties["sampler"]["description"] = "Class in optuna.samplers, only with `name: optuna`."


def _space(properties: Schema, known: Known) -> None:
    properties["name"] |= {"enum": list(installed_spaces()), "description": "Which search space."}


_CHANGES: dict[str, Callable[[Schema, Known], None]] = {
    "StudySpec": _study,
    "NpzSpec": _npz,
    "ImageFolderSpec": _image_folder,
    "TorchvisionSpec": _torchvision,
    "TeacherSpec": _teacher,
    "OptunaSpec": _optuna,
    "SpaceSpec": _space,
}
"""By the title of the part."""
