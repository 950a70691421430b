"""An upload is there in whole, or not at all."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from autokd.errors import StorageFullError
from service.uploads import Received, TooLargeError, UploadError, receive

_CHUNKS = [b"some", b"", b"thing", b"x" * 100_000]
_CONTENT = b"".join(_CHUNKS)
_SHA256 = hashlib.sha256(_CONTENT).hexdigest()


async def _sent(*chunks: bytes, failure: BaseException | None = None) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if failure is not None:
        raise failure


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_what_is_sent_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    length = len(_CONTENT)
    received = asyncio.run(
        receive(_sent(*_CHUNKS), path, limit=length, length=length, sha256=_SHA256.upper())
    )
    assert received == Received(length, _SHA256)
    assert path.read_bytes() == _CONTENT
    assert _names(tmp_path) == ["upload"]


def test_nothing_sent_is_an_empty_file(tmp_path: Path) -> None:
    received = asyncio.run(receive(_sent(), tmp_path / "upload", limit=0))
    assert received == Received(0, hashlib.sha256(b"").hexdigest())


def test_one_byte_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TooLargeError, match=f"at most {len(_CONTENT) - 1} bytes, got more"):
        asyncio.run(receive(_sent(*_CHUNKS), tmp_path / "upload", limit=len(_CONTENT) - 1))
    assert _names(tmp_path) == []


def test_an_announced_length_beyond_the_limit_is_refused_before_it_comes(tmp_path: Path) -> None:
    never = _sent(failure=AssertionError("read"))
    with pytest.raises(TooLargeError, match="at most 10 bytes, got 11 bytes"):
        asyncio.run(receive(never, tmp_path / "upload", limit=10, length=11))
    assert _names(tmp_path) == []


@pytest.mark.parametrize("length", [len(_CONTENT) - 1, len(_CONTENT) + 1])
def test_another_length_than_announced_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(UploadError, match=f"expected {length} bytes, got {len(_CONTENT)}"):
        asyncio.run(receive(_sent(*_CHUNKS), tmp_path / "upload", limit=10**6, length=length))
    assert _names(tmp_path) == []


def test_other_content_than_announced_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UploadError, match=f"got {_SHA256}"):
        asyncio.run(receive(_sent(*_CHUNKS), tmp_path / "upload", limit=10**6, sha256="0" * 64))
    assert _names(tmp_path) == []


@pytest.mark.parametrize(
    "failure", [ConnectionResetError(), RuntimeError("hung up"), asyncio.CancelledError()]
)
def test_a_sender_that_hangs_up_leaves_nothing_and_the_old_file(
    tmp_path: Path, failure: BaseException
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"old")
    with pytest.raises(type(failure)):
        asyncio.run(receive(_sent(*_CHUNKS, failure=failure), path, limit=10**6))
    assert _names(tmp_path) == ["upload"]
    assert path.read_bytes() == b"old"


def test_two_senders_to_one_path_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "upload"

    async def both() -> None:
        sent = (_sent(*[letter * 1000] * 50) for letter in (b"a", b"b"))
        await asyncio.gather(*(receive(each, path, limit=10**6) for each in sent))

    asyncio.run(both())
    assert path.read_bytes() in (b"a" * 50_000, b"b" * 50_000)
    assert _names(tmp_path) == ["upload"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_says_so_and_leaves_nothing(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFullError, match=r"no space left(.|\n)*free some"):
        asyncio.run(receive(_sent(*_CHUNKS), tmp_path / "upload", limit=10**6))
    assert _names(tmp_path) == []
