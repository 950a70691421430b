"""Receives an upload into a file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
import time
from collections.abc import AsyncIterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread

from autokd.errors import NO_ROOM, StorageFullError
from service.uploads.errors import TooLargeError, UploadError

PART_SUFFIX = ".part"
"""Of a file that is being received; one that no process receives was left by a killed one."""


@dataclass(frozen=True)
class Received:
    """What came.

    Attributes:
        bytes: of the file.
        sha256: of its content, in hexadecimal.
    """

    bytes: int
    sha256: str


async def receive(
    chunks: AsyncIterable[bytes],
    path: Path,
    *,
    limit: int,
    length: int | None = None,
    sha256: str | None = None,
) -> Received:
    """Writes `chunks` to `path`, which is there in whole and on disk, or not touched at all.

    Args:
        chunks: as they come. What they raise (the sender hung up) is raised on.
        path: where to; its folder is there.
        limit: most bytes that are taken.
        length: bytes that the sender announced; more than `limit` are refused before they come.
        sha256: of the content as its sender knows it, in hexadecimal.

    Raises:
        TooLargeError: more than `limit` bytes.
        UploadError: fewer or other bytes than announced.
        StorageFullError: the disk is full.
    """
    if length is not None and length > limit:
        raise _too_large(limit, f"{length} bytes")
    digest = hashlib.sha256()
    size = 0
    with _part_of(path) as (part, file):
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise _too_large(limit, "more")
            await to_thread.run_sync(_append, file, digest, chunk)
        _check_announced(size, digest.hexdigest(), length, sha256)
        await to_thread.run_sync(_publish, file, part, path)
    return Received(size, digest.hexdigest())


def remove_stale_parts(folder: Path, seconds: float = 3600.0) -> None:
    """Deletes what killed processes had begun to receive: parts to which so long nothing came."""
    for part in folder.glob(f"*{PART_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # it is whole by now
            if time.time() - part.stat().st_mtime > seconds:
                part.unlink()


def _check_announced(size: int, got: str, length: int | None, sha256: str | None) -> None:
    if length is not None and size != length:
        raise UploadError(
            f"expected {length} bytes, got {size}", hint="it was cut off; send it again"
        )
    if sha256 is not None and got != sha256.lower():
        raise UploadError(
            f"expected content of SHA-256 {sha256}, got {got}",
            hint="it changed on its way, or another file was sent",
        )


@contextlib.contextmanager
def _part_of(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside `path`, gone at the end unless it was renamed."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}{PART_SUFFIX}")
    try:
        with part.open("xb") as file:
            yield part, file
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFullError(
                "no space left for the upload", hint="free some space and send it again"
            ) from error
        raise
    finally:
        part.unlink(missing_ok=True)


# Disks block, so what follows runs in threads.
def _append(file: BinaryIO, digest: hashlib._Hash, chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)


def _publish(file: BinaryIO, part: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part.replace(path)
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # or the name may be lost when the power is
        finally:
            os.close(folder)


def _too_large(limit: int, got: str) -> TooLargeError:
    return TooLargeError(f"expected an upload of at most {limit} bytes, got {got}")
