"""What of a study file a request may say: names, never places on the server.

A file on disk may name folders, weights and packages, since whoever wrote it could read them
anyway. A request may not: it names uploads (`upl_3`), and image folders that the operator has
listed. What it may not name, the operator has decided.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autokd.errors import AutokdError, Mistake, NotFoundError, SpecError
from autokd.spec import StudySpec, read_study
from autokd.store import Store, StudyRecord
from service.access import Caller
from service.names import Kind, id_of, is_id, number_of
from service.settings import Settings

_ON_THE_SERVER = "a request may not name places on the server"


def admitted_spec(
    content: Mapping[str, Any], settings: Settings, store: Store, caller: Caller
) -> StudySpec:
    """The study that a request asks for, with its uploads and folders found.

    Raises:
        SpecError: it has mistakes, or names what a request may not; says all of them.
    """
    found = copy.deepcopy(dict(content))
    refused = [*_resolve(found, settings, store, caller)]
    try:
        spec = read_study(found)
    except SpecError as error:
        raise SpecError("the study", [*refused, *error.mistakes]) from error
    if refused:
        raise SpecError("the study", refused)
    return spec


def shown_spec(spec: Mapping[str, Any], settings: Settings, store: Store) -> dict[str, Any]:
    """A recorded spec as a request would write it: without places on the server."""
    shown = copy.deepcopy(dict(spec))
    uploads = {
        str(store.upload_path(each)): id_of(Kind.UPLOAD, each.id) for each in store.uploads()
    }
    folders = {str(path): name for name, path in settings.image_folders.items()}
    data, teacher = shown.get("data") or {}, shown.get("teacher") or {}
    if "path" in data:
        data["path"] = uploads.get(str(data["path"]), Path(str(data["path"])).name)
    if data.get("name") == "image_folder":
        data["root"] = folders.get(str(data["root"]), Path(str(data["root"])).name)
    elif "root" in data:
        del data["root"]
        data.pop("download", None)
    if teacher.get("weights"):
        weights = str(teacher["weights"])
        teacher["weights"] = uploads.get(weights, Path(weights).name)
    return shown


def shown_record(study: StudyRecord, settings: Settings, store: Store) -> StudyRecord:
    """A study whose spec is as a request would write it."""
    return replace(study, spec=shown_spec(study.spec, settings, store))


def _resolve(
    content: dict[str, Any], settings: Settings, store: Store, caller: Caller
) -> Iterator[Mistake]:
    """Puts places where names are; says what may not be named."""
    name = content.get("name")
    if isinstance(name, str) and is_id(name):
        yield Mistake("name", f"expected a name that is no id, got {name!r}")
    for part in ("data", "teacher", "space"):
        section = content.get(part)
        if isinstance(section, dict) and "custom" in (section.get("name"), section.get("model")):
            yield Mistake(part, "objects of a Python program cannot come with a request")
    data = content.get("data")
    if isinstance(data, dict):
        yield from _resolve_data(data, settings, store)
    teacher = content.get("teacher")
    if isinstance(teacher, dict) and teacher.get("weights") is not None:
        yield from _upload(teacher, "weights", "teacher", "teacher.weights", store)
    strategy = content.get("strategy")
    if isinstance(strategy, dict) and strategy.get("hub") is not None:
        yield Mistake("strategy.hub", "a request may not have code downloaded and run")
    most = caller.limit("slots")
    if most is not None:
        yield from _limit_workers(content, most)


def _limit_workers(content: dict[str, Any], most: int) -> Iterator[Mistake]:
    """At most so many workers, also where the study leaves their number open."""
    execution = content.get("execution", {})
    if not isinstance(execution, dict):
        return  # which reading it says better
    workers = execution.get("workers")
    if workers is None:
        content["execution"] = {**execution, "workers": most}
    elif isinstance(workers, int) and workers > most:
        yield Mistake("execution.workers", f"expected at most {most}, which your token allows")


def _resolve_data(data: dict[str, Any], settings: Settings, store: Store) -> Iterator[Mistake]:
    name = data.get("name")
    if name == "npz":
        yield from _upload(data, "path", "data", "data.path", store)
    elif name == "image_folder":
        folder = settings.image_folders.get(str(data.get("root")))
        if folder is None:
            known = ", ".join(sorted(settings.image_folders)) or "(none)"
            yield Mistake(
                "data.root",
                f"{_ON_THE_SERVER}: expected the name of an image folder of this server, one of "
                f"{known}",
            )
        data["root"] = str(folder or "none")
    elif name != "digits" and isinstance(name, str):
        for field in ("root", "download"):
            if field in data:
                yield Mistake(f"data.{field}", f"{_ON_THE_SERVER}; leave it out")
        data["root"] = str(settings.data_root)
        data["download"] = settings.downloads


def _upload(
    section: dict[str, Any], field: str, kind: str, path: str, store: Store
) -> Iterator[Mistake]:
    """Puts the path of an upload in the place of its id."""
    given = section.get(field)
    try:
        upload = store.upload(number_of(Kind.UPLOAD, str(given)))
        if upload.kind != kind or upload.state != "ready":
            raise NotFoundError(f"upload {given} is {upload.state} and of kind {upload.kind}")
        section[field] = str(store.upload_path(upload))
    except AutokdError as error:
        yield Mistake(
            path,
            f"{_ON_THE_SERVER}: expected the id of an upload of kind {kind} that is ready; "
            f"{error.message}",
        )
        section[field] = "none"
