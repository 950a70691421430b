"""What may be wrong with an upload, and how large one may be."""

from __future__ import annotations

from dataclasses import dataclass

from autokd.errors import AutokdError


class UploadError(AutokdError, ValueError):
    """An upload is not what it should be; the only error that its content can cause."""

    exit_code = 2


class TooLargeError(UploadError):
    """An upload is larger, or would unpack to more, than is allowed."""


@dataclass(frozen=True)
class Limits:
    """How large uploads may be.

    Attributes:
        upload_bytes: of the file.
        unpacked_bytes: of an archive's arrays in memory.
        header_bytes: of the description of tensors at the start of a safetensors file.
        tensors: in a safetensors file.
    """

    upload_bytes: int = 4 * 2**30
    unpacked_bytes: int = 16 * 2**30
    header_bytes: int = 4 * 2**20
    tensors: int = 20_000
