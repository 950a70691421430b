"""The record of studies in a database: SQLite beside your files, or PostgreSQL by URL."""

from __future__ import annotations

from autokd.store.records import ArtifactRecord, AttemptRecord, EventRecord, StudyRecord
from autokd.store.store import Store

__all__ = ["ArtifactRecord", "AttemptRecord", "EventRecord", "Store", "StudyRecord"]
