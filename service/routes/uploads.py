"""Uploads: weights of teachers and data sets, which studies then name by their id."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.concurrency import run_in_threadpool
from filelock import FileLock, Timeout
from pydantic import Field
from starlette.requests import ClientDisconnect

from autokd.errors import AccessError, ConflictError
from autokd.store import Store, StudyRecord, UploadRecord
from service.access import Caller, Launcher, Reader
from service.context import SettingsOf, StoreOf
from service.names import Kind, id_of, number_of
from service.once import OnceRoute
from service.paging import PagingOf
from service.problems import RESPONSES, Refusal
from service.schemas import Given, Line, Moment, Page, Told
from service.settings import Settings
from service.uploads import (
    ImagesSummary,
    Limits,
    Received,
    TooLargeError,
    UploadError,
    WeightsSummary,
    check_npz,
    check_safetensors,
    receive,
)

router = APIRouter(tags=["uploads"], responses=RESPONSES, route_class=OnceRoute)

_DIGEST = re.compile("([A-Za-z0-9*._-]+)=:([A-Za-z0-9+/=]*):")

UploadId = Annotated[str, PathParameter(examples=["upl_3"], max_length=40)]
UploadKind = Literal["teacher", "data"]
UploadState = Literal["waiting", "ready", "refused"]

_CHECKS: dict[str, Callable[[Path, Limits], WeightsSummary | ImagesSummary]] = {
    "teacher": check_safetensors,
    "data": check_npz,
}


class NewUpload(Given):
    """A file that will come."""

    kind: UploadKind = Field(
        description="`teacher`: weights as safetensors; `data`: a NumPy archive of images, "
        "`x_train`, `y_train`, `x_test` and `y_test`."
    )
    name: Line = Field(min_length=1, max_length=200, examples=["my-resnet20"])


class Upload(Told):
    """A file that was sent, or will be."""

    id: str = Field(examples=["upl_3"])
    kind: UploadKind
    name: str
    state: UploadState = Field(description="Of use to a study when it is `ready`.")
    bytes: int
    sha256: str | None
    summary: dict[str, Any] | None = Field(
        description="What is in it: `tensors`, `parameters` and `dtypes` of weights; `train`, "
        "`test`, `shape` and `unpacked_bytes` of images."
    )
    error: str | None = Field(description="Why it was refused.")
    created: Moment


@router.post("/uploads", status_code=201, response_model=Upload)
def create_upload(caller: Launcher, new: NewUpload, store: StoreOf, response: Response) -> Any:
    """Announces a file; its content comes by PUT."""
    made = store.add_upload(new.kind, new.name, caller.id)
    response.headers["Location"] = f"/api/v1/uploads/{id_of(Kind.UPLOAD, made.id)}"
    return upload_json(made)


@router.put(
    "/uploads/{upload}/content",
    response_model=Upload,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def send_content(
    request: Request,
    caller: Launcher,
    upload: UploadId,
    store: StoreOf,
    settings: SettingsOf,
    repr_digest: Annotated[
        str | None,
        Header(
            description="SHA-256 of the content (RFC 9530); other content is then refused.",
            examples=["sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"],
        ),
    ] = None,
) -> Any:
    """Sends the content of an upload, which is then checked.

    What is cut off, too large, or other than announced changes nothing and may be sent again. What
    is no such file as it should be is refused, and the upload says why; another may be sent.
    """
    sha256 = _sha256(repr_digest)
    length = request.headers.get("content-length")
    found = await run_in_threadpool(store.upload, number_of(Kind.UPLOAD, upload))
    if found.owner != caller.id:
        raise AccessError(f"upload {upload} was announced with another token")
    path = store.upload_path(found)
    await run_in_threadpool(path.parent.mkdir, parents=True, exist_ok=True)
    with _alone(path):
        limit = await run_in_threadpool(_room, found, caller, store, settings)
        try:
            received = await receive(
                request.stream(),
                path,
                limit=limit,
                length=None if length is None else int(length),
                sha256=sha256,
            )
        except ClientDisconnect as error:
            raise UploadError("expected the whole content, but its sender hung up") from error
        ended = await run_in_threadpool(_checked, found, received, caller, store, settings)
    return upload_json(ended)


@router.get("/uploads", response_model=Page[Upload])
def list_uploads(
    _caller: Reader,
    store: StoreOf,
    paging: PagingOf,
    kind: Annotated[UploadKind | None, Query()] = None,
    state: Annotated[UploadState | None, Query()] = None,
) -> Any:
    """Lists uploads, newest first."""
    found = [
        each
        for each in store.uploads()
        if kind in (None, each.kind) and state in (None, each.state)
    ]
    return paging.page(found[::-1], upload_json)


@router.get("/uploads/{upload}", response_model=Upload)
def read_upload(_caller: Reader, upload: UploadId, store: StoreOf) -> Any:
    """Reads an upload: what is in it, or why it was refused."""
    return upload_json(store.upload(number_of(Kind.UPLOAD, upload)))


@router.delete("/uploads/{upload}", status_code=204)
def delete_upload(_caller: Launcher, upload: UploadId, store: StoreOf) -> None:
    """Deletes an upload, unless a study that is not purged names it."""
    found = store.upload(number_of(Kind.UPLOAD, upload))
    path = store.upload_path(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        users = [study.name for study in _users(path, store)]
        if users:
            raise ConflictError(
                f"upload {upload} is used by {len(users)} "
                f"{'study' if len(users) == 1 else 'studies'}: {', '.join(users[:5])}"
                f"{', …' if len(users) > 5 else ''}",
                hint="delete and purge these first",
            )
        store.remove_upload(found.id)
        path.unlink(missing_ok=True)
    _lock_of(path).unlink(missing_ok=True)


def upload_json(upload: UploadRecord) -> dict[str, Any]:
    """An `Upload`."""
    return {
        "id": id_of(Kind.UPLOAD, upload.id),
        "kind": upload.kind,
        "name": upload.name,
        "state": upload.state,
        "bytes": upload.size_bytes,
        "sha256": upload.sha256,
        "summary": upload.summary,
        "error": upload.error,
        "created": upload.created,
    }


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else writes or deletes this content, in no process, while the block lasts."""
    lock = FileLock(_lock_of(path), thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise ConflictError(
            "the content of this upload is being received", hint="wait for its end"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _room(upload: UploadRecord, caller: Caller, store: Store, settings: Settings) -> int:
    """Most bytes that an upload may have.

    Raises:
        ConflictError: it has its content already.
        TooLargeError: there is no room for any more of this token.
    """
    if store.upload(upload.id).state == "ready":
        raise ConflictError("this upload has its content already", hint="make another upload")
    most = caller.limit("disk_bytes")
    if most is None:
        return settings.upload_bytes
    used = store.uploaded_bytes(caller.id)
    if used >= most:
        raise TooLargeError(
            f"expected uploads of at most {most} bytes in all of this token, there are {used}",
            hint="delete those that are not needed",
        )
    return min(settings.upload_bytes, most - used)


def _checked(
    upload: UploadRecord, received: Received, caller: Caller, store: Store, settings: Settings
) -> UploadRecord:
    """The upload with its content; if that is refused, it says why and the content is deleted.

    Raises:
        UploadError: it is refused.
    """
    path = store.upload_path(upload)
    ended = None
    try:
        summary = _CHECKS[upload.kind](path, Limits())
        with store.together():
            if caller.id is not None:
                store.hold_token(caller.id)  # so that two at once can not both have the last room
            room = _room(upload, caller, store, settings)
            if received.bytes > room:  # others of this token have come meanwhile
                raise TooLargeError(f"expected an upload of at most {room} bytes")
            ended = store.end_upload(
                upload.id,
                size_bytes=received.bytes,
                sha256=received.sha256,
                summary=asdict(summary),
            )
        return ended
    except UploadError as error:
        store.end_upload(upload.id, size_bytes=0, sha256=received.sha256, error=str(error))
        raise
    finally:
        if ended is None:
            path.unlink(missing_ok=True)


def _users(path: Path, store: Store) -> Iterator[StudyRecord]:
    """Studies that can not do without the content at a path."""
    for study in [*store.studies(), *store.studies(deleted=True)]:
        data, teacher = study.spec.get("data") or {}, study.spec.get("teacher") or {}
        if str(path) in (data.get("path"), teacher.get("weights")):
            yield study


def _sha256(digest: str | None) -> str | None:
    """The SHA-256 in a `Repr-Digest`, in hexadecimal; None if it has other digests only."""
    found = None
    for part in filter(None, map(str.strip, (digest or "").split(","))):
        match = _DIGEST.fullmatch(part)
        try:
            decoded = base64.b64decode(match[2], validate=True) if match else None
        except binascii.Error:
            decoded = None
        is_sha256 = match is not None and match[1].lower() == "sha-256"
        if decoded is None or (is_sha256 and len(decoded) != 32):
            raise Refusal(
                400,
                "invalid_request",
                f"expected Repr-Digest: sha-256=:<base64 of 32 bytes>:, got {digest!r}",
            )
        if is_sha256:
            found = decoded.hex()
    return found
