"""Files that other processes see either whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from autokd.errors import StorageFullError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Of an OSError: the disk, what a user may have of it, or the largest file there is full."""


def write_atomically(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Writes `parts` one after another to `path`: to a file beside it, which is then renamed.

    The caller holds a lock on `path`, so that no two writers share the file beside it.

    Raises:
        StorageFullError: the disk is full; nothing is left behind.
    """
    beside = path.with_name(f"{path.name}.tmp")
    try:
        with beside.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        if error.errno in NO_SPACE:
            raise StorageFullError(
                f"no space left to write {path}", hint="free some space and run again"
            ) from error
        raise


def bytes_in(folder: Path) -> int:
    """Size of all files in a folder and below it; 0 if there is no such folder.

    What goes away in the meantime does not count.
    """
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += 0 if path.is_dir() else path.lstat().st_size
    return total
