"""What users upload: received into a file, then checked without trusting a byte of it.

Nothing here knows torch, and nothing is unpacked or unpickled.
"""

from service.uploads.errors import Limits, TooLargeError, UploadError
from service.uploads.images import ImagesSummary, check_npz
from service.uploads.receiving import PART_SUFFIX, Received, receive, remove_stale_parts
from service.uploads.weights import WeightsSummary, check_safetensors

__all__ = [
    "PART_SUFFIX",
    "ImagesSummary",
    "Limits",
    "Received",
    "TooLargeError",
    "UploadError",
    "WeightsSummary",
    "check_npz",
    "check_safetensors",
    "receive",
    "remove_stale_parts",
]
