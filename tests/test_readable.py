"""Figures beside axes; those in tables are tested with the command line's output."""

from __future__ import annotations

import pytest

from autokd.readable import metric_title, tick


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("accuracy", 0.985, "98.5 %"),
        ("test_accuracy", 1.0, "100 %"),
        ("parameters", 20_000, "20k"),
        ("parameters", 500, "500"),
        ("macs", 1.5e9, "1.5G"),
        ("loss", 0.25, "0.25"),
        ("latency_ms", 0.001, "0.001"),
        ("hypervolume", 0, "0"),
    ],
)
def test_tick_is_short(metric, value, text):
    assert tick(metric, value) == text


@pytest.mark.parametrize(
    ("metric", "title"),
    [("accuracy", "validation accuracy"), ("peak_activation_bytes", "peak activation bytes")],
)
def test_metric_has_a_title_in_words(metric, title):
    assert metric_title(metric) == title
