"""What a study's record shows: pure functions from its trials to JSON data."""

from __future__ import annotations

from autokd.analysis.candidates import Candidates
from autokd.analysis.curves import down_sample
from autokd.analysis.front import best, front
from autokd.analysis.health import health
from autokd.analysis.hypervolume import hypervolume, sparkline
from autokd.analysis.importances import importances
from autokd.analysis.progress import progress
from autokd.analysis.report_html import report_html
from autokd.analysis.rungs import rank_correlation, survival
from autokd.analysis.timeline import timeline

__all__ = [
    "Candidates",
    "best",
    "down_sample",
    "front",
    "health",
    "hypervolume",
    "importances",
    "progress",
    "rank_correlation",
    "report_html",
    "sparkline",
    "survival",
    "timeline",
]
