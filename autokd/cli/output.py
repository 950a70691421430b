"""Data on stdout, all the rest on stderr; tables and units as people read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from autokd.errors import AutokdError

Json = Annotated[bool, typer.Option("--json", help="Data as JSON on stdout.")]
Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar="AUTOKD_STORAGE",
        help="Database: a path, or an SQLAlchemy URL. Files lie beside it.",
    ),
]
StudyName = Annotated[str, typer.Argument(help="Name or number of the study.")]

DEFAULT_STORAGE = "autokd.db"


def stdout() -> Console:
    """Where data goes. A pipe has no width, and whoever reads it wants whole lines."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def stderr() -> Console:
    """Where messages and progress go."""
    return Console(stderr=True)


def print_json(data: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(data, indent=2, sort_keys=False, allow_nan=False, default=str))


def say(message: str) -> None:
    """A message for people."""
    stderr().print(message, highlight=False)


def fail(error: AutokdError) -> None:
    """An error: what was expected and got, and on its own line what to do."""
    console = stderr()
    console.print(f"[bold red]error:[/] {_escape(error.message)}", highlight=False, soft_wrap=True)
    if error.hint:
        console.print(f"[bold]hint:[/] {_escape(error.hint)}", highlight=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """A table on stdout; numbers to the right."""
    drawn = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        numeric = column not in ("study", "state", "space", "name", "figure", "budget", "reason")
        drawn.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*(_escape(cell) for cell in row))
    stdout().print(drawn)


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
    if name in ("parameters", "macs"):
        return scaled(value)
    return f"{value:.3g}"


def scaled(value: float) -> str:
    """A count with a decimal unit: 27.1k, 1.50M."""
    for factor, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """A time span: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def share_of(value: float, whole: float | None) -> str:
    """`value` as a share of the teacher's figure."""
    return f"{100 * value / whole:.1f} %" if whole else "-"


def print_summary(summary: Mapping[str, Any]) -> None:
    """The front and the final stage as tables."""
    counts, teacher = summary["trials"], summary["teacher"]
    reason = f" ({summary['stop_reason']})" if summary["stop_reason"] else ""
    stdout().print(
        f"[bold]{_escape(summary['study'])}[/]: {summary['state']}{reason}, "
        f"{counts['total']} trials: {counts['complete']} complete, {counts['pruned']} pruned, "
        f"{counts['infeasible']} infeasible, {counts['failed']} failed; "
        f"{duration(summary['seconds'])}",
        highlight=False,
    )
    cost = ("parameters", "peak_activation_bytes", "macs")
    rows = [
        ("teacher", "", figure("accuracy", teacher.get("accuracy")))
        + tuple(figure(name, teacher.get(name)) for name in cost)
    ]
    for row in summary["front"]:
        figures = tuple(figure(name, row.get(name)) for name in ("accuracy", *cost))
        rows.append((str(row["trial"]), str(row["epochs"]), *figures))
    stdout().print()
    table(
        ("trial", "epochs", "accuracy", "parameters", "peak memory", "MACs"),
        rows,
        title="Pareto front (validation split)",
    )
    if summary["final"]:
        stdout().print()
        _print_final(summary["final"], teacher)


def _print_final(final: Sequence[Mapping[str, Any]], teacher: Mapping[str, Any]) -> None:
    rows = [("teacher", *map(_with_sd, [teacher] * 2, ("accuracy", "test_accuracy")), *[""] * 4)]
    rows += [
        (
            str(row["trial"]),
            _with_sd(row, "validation_accuracy"),
            _with_sd(row, "test_accuracy"),
            _with_sd(row, "baseline_test_accuracy"),
            share_of(row["parameters"], teacher.get("parameters")),
            share_of(row["peak_activation_bytes"], teacher.get("peak_activation_bytes")),
            str(row["seeds"]),
        )
        for row in final
    ]
    table(
        ("trial", "validation", "test", "test without KD", "parameters", "peak memory", "seeds"),
        rows,
        title="Retrained in full (mean ± sd over seeds; sizes as a share of the teacher's)",
    )


def _with_sd(row: Mapping[str, Any], name: str) -> str:
    if row.get(name) is None:
        return "-"
    spread = row.get(f"{name}_sd")
    return f"{100 * row[name]:.2f}" + (f" ± {100 * spread:.2f} %" if spread is not None else " %")


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
