"""Data on stdout, all the rest on stderr; tables and units as people read them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from autokd.errors import AutokdError
from autokd.readable import duration as duration
from autokd.readable import figure as figure
from autokd.readable import plural as plural
from autokd.readable import scaled as scaled
from autokd.readable import share_of as share_of

Json = Annotated[bool, typer.Option("--json", help="Data as JSON on stdout.")]
Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar="AUTOKD_STORAGE",
        help="Database: a path, or an SQLAlchemy URL. Files lie beside it.",
    ),
]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name or number of the study.")]

DEFAULT_STORAGE = "autokd.db"

_TEXT_COLUMNS = frozenset(
    (
        "choice",
        "created",
        "default",
        "figure",
        "kind",
        "log",
        "name",
        "option",
        "range",
        "reason",
        "state",
        "study",
        "verified",
        "when",
    )
)
"""Columns that stand to the left; numbers stand to the right."""


@contextmanager
def importing() -> Iterator[None]:
    """Around imports that load torch: Ctrl-C ends the process there and then, with one line.

    The libraries below swallow an exception in the middle of their set-up, or crash on it; and
    nothing has begun yet that would have to be put away.
    """

    def end(number: int, frame: Any) -> None:
        os.write(2, b"stopped; run the same command again to go on\n")
        os._exit(130)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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
    """A message for people; wrapped on a terminal, left as it is in a log."""
    console = stderr()
    console.print(message, highlight=False, markup=False, soft_wrap=not console.is_terminal)


def fail(error: AutokdError) -> None:
    """An error: what was expected and got, and on its own line what to do."""
    console = stderr()
    console.print(f"[bold red]error:[/] {_escape(error.message)}", highlight=False, soft_wrap=True)
    if error.hint:
        console.print(f"[bold]hint:[/] {_escape(error.hint)}", highlight=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """A table on stdout. No cell is ever cut: a wide table runs over the edge of the terminal."""
    drawn = Table(box=None, pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "left" if column in _TEXT_COLUMNS else "right"
        drawn.add_column(column, justify=justify, no_wrap=True)
    for row in rows:
        drawn.add_row(*map(Text, row))
    console = stdout()
    natural = Measurement.get(console, console.options.update(max_width=10_000), drawn).maximum
    console.width = max(console.width, natural)
    if title:
        console.print(Text(title, style="italic"))
    console.print(drawn)


def write(message: str = "") -> None:
    """A line of data for people, on stdout."""
    stdout().print(message, highlight=False, markup=False)


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
    write()
    names = _columns(summary)
    budget = summary["budget"]
    rows = [("teacher", "", *(figure(name, teacher.get(name)) for name in names))]
    if budget:
        limits = (f"≤ {figure(name, budget[name])}" if name in budget else "" for name in names)
        rows.append(("budget", "", *limits))
    rows += [
        (str(row["trial"]), str(row["epochs"]), *(figure(name, row.get(name)) for name in names))
        for row in summary["front"]
    ]
    table(
        ("trial", "epochs", *(_HEADINGS.get(name, name) for name in names)),
        rows,
        title="Pareto front (validation split)",
    )
    if not summary["front"]:
        say("no student has finished yet")
    if summary["final"]:
        write()
        _print_final(summary["final"], teacher, names)


_HEADINGS = {
    "weight_bytes": "weights",
    "peak_activation_bytes": "peak memory",
    "macs": "MACs",
    "latency_ms": "latency/ms",
}

_SHARES = {**_HEADINGS, "latency_ms": "latency"}


def _columns(summary: Mapping[str, Any]) -> list[str]:
    """The figures that a front is shown with: some always, and all that the study asks about."""
    asked = [axis["metric"] for axis in summary["objectives"]] + list(summary["budget"])
    quality = ["accuracy"] + ["loss"] * ("loss" in asked)
    always = [*quality, "parameters", "peak_activation_bytes", "macs"]
    return list(dict.fromkeys(always + asked))


def _print_final(
    final: Sequence[Mapping[str, Any]], teacher: Mapping[str, Any], names: Sequence[str]
) -> None:
    costs = ["parameters", "peak_activation_bytes"] + ["latency_ms"] * ("latency_ms" in names)
    scores = (figure(name, teacher.get(name)) for name in ("accuracy", "test_accuracy"))
    rows = [("teacher", *scores, *[""] * (2 + len(costs)))]
    rows += [
        (
            str(row["trial"]),
            *(
                _with_sd(row, name)
                for name in ("validation_accuracy", "test_accuracy", "baseline_test_accuracy")
            ),
            *(share_of(row.get(name), teacher.get(name)) for name in costs),
            str(row["seeds"]),
        )
        for row in final
    ]
    rows += [
        (
            f"family of {row['trial']}",
            *(_with_sd(row["family"], name) for name in ("validation_accuracy", "test_accuracy")),
            *[""] * (1 + len(costs)),
            f"{plural(row['family']['draws'], 'draw')}, best {row['family']['best_trial']}",
        )
        for row in final
        if "family" in row
    ]
    table(
        (
            "trial",
            "validation",
            "test",
            "test without KD",
            *(_SHARES.get(name, name) for name in costs),
            "seeds",
        ),
        rows,
        title="Retrained in full (mean ± sd over seeds; costs as a share of the teacher's)",
    )


def _with_sd(row: Mapping[str, Any], name: str) -> str:
    """A mean with its spread, if there is more than one seed to speak of a spread."""
    if row.get(name) is None or row.get("seeds", row.get("draws")) < 2:
        return figure(name, row.get(name))
    return f"{100 * row[name]:.2f} ± {100 * row[f'{name}_sd']:.2f} %"


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
