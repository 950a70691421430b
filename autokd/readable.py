"""Figures, counts and times as people read them."""

from __future__ import annotations

_UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))

_TITLES = {
    "accuracy": "validation accuracy",
    "loss": "validation loss",
    "macs": "multiply-accumulates",
    "latency_ms": "latency in ms",
    "ece": "calibration error",
}


def metric_title(metric: str) -> str:
    """What a metric is called on an axis or above a column."""
    return _TITLES.get(metric, metric.replace("_", " "))


def figure(name: str, value: float | None) -> str:
    """A figure in the unit that people read it in; an absent one is a dash."""
    if value is None:
        return "-"
    if name.endswith("_sd"):
        return figure(name.removesuffix("_sd"), value)
    if "accuracy" in name:
        return f"{100 * value:.2f} %"
    if name.endswith("_bytes"):
        return f"{value / 1024:.1f} KiB" if value < 2**20 else f"{value / 2**20:.1f} MiB"
    if name == "parameters" and value < 10**7:
        return f"{int(value):,}"
    if name in ("parameters", "macs"):
        return scaled(value)
    return f"{value:.3g}"


def scaled(value: float) -> str:
    """A count with a decimal unit: 27.1k, 1.50M."""
    for factor, unit in _UNITS:
        if value >= factor:
            return f"{value / factor:#.3g}".rstrip(".") + unit
    return f"{value:.0f}"


def plural(number: int, noun: str) -> str:
    """1 epoch, 2 epochs."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """A time span: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def share_of(value: float | None, whole: float | None) -> str:
    """`value` as a share of the teacher's figure."""
    return f"{100 * value / whole:.1f} %" if value is not None and whole else "-"


def tick(metric: str, value: float) -> str:
    """The value of a metric beside an axis, where room is short: 98.5 %, 20k."""
    if "accuracy" in metric:
        return f"{100 * value:.4g} %"
    for factor, unit in _UNITS:
        if value >= factor:
            return f"{value / factor:.4g}{unit}"
    return f"{value:.3g}"
