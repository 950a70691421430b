"""The record of studies in a database: SQLite beside your files, or PostgreSQL by URL."""

from __future__ import annotations

from autokd.store.access import ReusedKeyError
from autokd.store.once import one_request
from autokd.store.operations import TRIAL_REQUESTS
from autokd.store.records import ArtifactRecord, AttemptRecord, EventRecord, StudyRecord
from autokd.store.service_records import (
    AuditRecord,
    CoordinatorRecord,
    DeliveryRecord,
    OperationRecord,
    TokenRecord,
    UploadRecord,
    WebhookRecord,
)
from autokd.store.store import Store

__all__ = [
    "TRIAL_REQUESTS",
    "ArtifactRecord",
    "AttemptRecord",
    "AuditRecord",
    "CoordinatorRecord",
    "DeliveryRecord",
    "EventRecord",
    "OperationRecord",
    "ReusedKeyError",
    "Store",
    "StudyRecord",
    "TokenRecord",
    "UploadRecord",
    "WebhookRecord",
    "one_request",
]
