"""A server of autokd from Python: `autokd.Client`, and the values that it gives."""

from __future__ import annotations

from autokd.client.client import Client
from autokd.client.events import EventStream
from autokd.client.models import (
    Attempt,
    Candidate,
    Check,
    Event,
    Export,
    ExportedFile,
    FinalRow,
    Front,
    Operation,
    Row,
    Study,
    StudyDetail,
    Token,
    Trial,
    TrialDetail,
    Upload,
)

__all__ = [
    "Attempt",
    "Candidate",
    "Check",
    "Client",
    "Event",
    "EventStream",
    "Export",
    "ExportedFile",
    "FinalRow",
    "Front",
    "Operation",
    "Row",
    "Study",
    "StudyDetail",
    "Token",
    "Trial",
    "TrialDetail",
    "Upload",
]
