"""Whether an upload is a safetensors file, from its header alone.

8 bytes       N, little-endian
N bytes       JSON: {"name": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}, …},
              and strings about the file under "__metadata__"
the rest      the tensors, in one piece: no gaps, no overlaps
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from service.uploads.errors import Limits, TooLargeError, UploadError

_BITS_64 = 2**63
_MOST_AXES = 8
_LONGEST_NAME = 512
_ITEM_BYTES = {  # of the types that weights and buffers have
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "F32": 4,
    "I64": 8,
    "F64": 8,
}
_FIELDS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True)
class WeightsSummary:
    """What is in a file of weights.

    Attributes:
        tensors: how many.
        parameters: numbers in all of them, buffers included.
        dtypes: parameters of each type (`F32`).
    """

    tensors: int
    parameters: int
    dtypes: dict[str, int]


@dataclass(frozen=True)
class _Tensor:
    name: str
    dtype: str
    items: int
    start: int
    end: int


def check_safetensors(path: Path, limits: Limits) -> WeightsSummary:
    """What is in a safetensors file; its tensors are not read.

    Raises:
        TooLargeError: the header or the number of tensors is beyond the limits.
        UploadError: it is no safetensors file, is damaged, or holds types that weights do not have.
    """
    header, data_bytes = _read_header(path, limits)
    entries = _parse(header)
    about = entries.pop("__metadata__", {})
    if not isinstance(about, dict) or not all(isinstance(text, str) for text in about.values()):
        raise UploadError("expected __metadata__ to hold texts by name")
    if len(entries) > limits.tensors:
        raise TooLargeError(f"expected at most {limits.tensors} tensors, got {len(entries)}")
    if not entries:
        raise UploadError("expected tensors, got a file without any")
    tensors = [_tensor(name, entry) for name, entry in entries.items()]
    _check_layout(tensors, data_bytes)
    dtypes: Counter[str] = Counter()
    for tensor in tensors:
        dtypes[tensor.dtype] += tensor.items
    return WeightsSummary(len(tensors), dtypes.total(), dict(sorted(dtypes.items())))


def _read_header(path: Path, limits: Limits) -> tuple[bytes, int]:
    """The header, and how many bytes follow it."""
    with path.open("rb") as file:
        start = file.read(8)
        size = int.from_bytes(start, "little")
        data_bytes = path.stat().st_size - 8 - size
        if len(start) < 8 or data_bytes < 0:
            raise UploadError(
                "expected a safetensors file, but it ends before its header does",
                hint="it was cut off, or is of another format: convert a PyTorch checkpoint with "
                "safetensors.torch.save_file(torch.load(path, weights_only=True), …)",
            )
        if size > limits.header_bytes:
            raise TooLargeError(
                f"expected a safetensors header of at most {limits.header_bytes} bytes, got {size}"
            )
        return file.read(size), data_bytes


def _parse(header: bytes) -> dict[str, Any]:
    if not header.startswith(b"{"):
        raise UploadError(
            f"expected a safetensors header that begins with {{, got {header[:1]!r}",
            hint="this is a file of another format",
        )
    try:
        entries = json.loads(
            header.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_number,
            parse_int=_whole,
        )
    except UploadError:
        raise
    except (ValueError, RecursionError) as error:
        raise UploadError(f"expected a safetensors header in JSON: {error}") from error
    assert isinstance(entries, dict)  # it begins with {
    return entries


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(
            name for name, count in Counter(name for name, _ in pairs).items() if count > 1
        )
        raise UploadError(f"expected each name once, got {_shown(twice)} twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise UploadError(f"expected a number, got {text}")


def _whole(text: str) -> int:
    if len(text) > 19 or not 0 <= (number := int(text)) < _BITS_64 or text.startswith("-"):
        raise UploadError(f"expected whole numbers of 0 to 2^63, got {text[:24]}")
    return number


def _tensor(name: str, entry: Any) -> _Tensor:
    shown = _shown(name)
    if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        raise UploadError(
            f"expected names of 1 to {_LONGEST_NAME} printable characters, got {shown}"
        )
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        raise UploadError(f"{shown}: expected {', '.join(sorted(_FIELDS))}, got {_shown(entry)}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise UploadError(
            f"{shown}: expected a dtype of {', '.join(_ITEM_BYTES)}, got {_shown(dtype)}"
        )
    if not _are_whole(shape) or len(shape) > _MOST_AXES or 0 in shape:
        raise UploadError(
            f"{shown}: expected a shape of at most {_MOST_AXES} lengths of 1 or more, "
            f"got {_shown(shape)}"
        )
    if not _are_whole(offsets) or len(offsets) != 2:
        raise UploadError(f"{shown}: expected data_offsets [start, end], got {_shown(offsets)}")
    start, end = offsets
    items = math.prod(shape)
    if end - start != items * _ITEM_BYTES[dtype]:
        raise UploadError(
            f"{shown}: expected {items * _ITEM_BYTES[dtype]} bytes of {dtype} {_shown(shape)}, got "
            f"{end - start}"
        )
    return _Tensor(name, dtype, items, start, end)


def _check_layout(tensors: list[_Tensor], data_bytes: int) -> None:
    position = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.start):
        if tensor.start != position:
            raise UploadError(
                f"{_shown(tensor.name)}: expected it to start where the one before it ends, at "
                f"{position}, got {tensor.start}"
            )
        position = tensor.end
    if position != data_bytes:
        raise UploadError(
            f"expected {position} bytes of tensors, got {data_bytes}",
            hint="the file was cut off or something was added; upload it again",
        )


def _are_whole(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int for value in values)


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
