"""Files that other processes see either whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from autokd.errors import StorageFullError
from autokd.files import write_atomically


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_leaves_the_old_file_and_nothing_beside_it(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "file"
    write_atomically(path, [b"old"])
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFullError, match=r"no space left(.|\n)*free some"):
        write_atomically(path, [b"new"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
