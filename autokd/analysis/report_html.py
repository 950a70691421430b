"""The report of a study as one HTML file that stands alone: no script, nothing to load."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

import yaml

from autokd.analysis.charts import Axis, Chart, Point
from autokd.analysis.front import front
from autokd.analysis.health import health
from autokd.analysis.hypervolume import hypervolume
from autokd.readable import duration, figure, metric_title, plural, share_of, tick
from autokd.report import finite_figures, summarise
from autokd.store import StudyRecord
from autokd.trial import Trial, TrialKind

_FAR = 2
"""What is so many times beyond the students is not drawn: it would press them into a corner."""

_RETRAINED = ("validation_accuracy", "baseline_validation_accuracy")
_SCORES = ("validation_accuracy", "test_accuracy", "baseline_test_accuracy")
_TRIAL = "trial {trial}"
_NO_FIGURES = ("trial", "candidate", "epochs", "choices", "distillation")
_SHARES = ("parameters", "peak_activation_bytes", "macs")

# Okabe and Ito's palette: told apart by colour-blind readers, and in grey.
_STYLE = """
:root{color-scheme:light dark;--ink:light-dark(#1b1f24,#e6e8eb);--paper:light-dark(#fff,#15181c);
--dim:light-dark(#5f6872,#9aa5b1);--rule:light-dark(#d8dde3,#3a4149);
--front:light-dark(#0072b2,#56b4e9);--teacher:#d55e00;--budget:#cc79a7;--final:#009e73}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
margin:2rem auto;max-width:62rem;padding:0 1rem}
h1{margin-bottom:0}h2{margin-top:2.2rem}.dim,figcaption{color:var(--dim)}figure{margin:1rem 0}
svg{width:100%;height:auto}svg text{font-size:12px;fill:var(--ink)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
pre{overflow-x:auto;border:1px solid var(--rule);padding:.8rem}
path,circle{fill:none;stroke-width:1.5}.grid{stroke:var(--rule);stroke-width:1}
.speck{stroke:var(--dim);stroke-width:4;stroke-linecap:round;stroke-opacity:.5}
.front{stroke:var(--front)}.final,.baseline{stroke:var(--final)}circle.final{fill:var(--final)}
circle.baseline{fill:var(--paper)}
.teacher{stroke:var(--teacher);stroke-dasharray:2 3}circle.teacher{fill:var(--teacher);stroke:none}
.budget{stroke:var(--budget);stroke-dasharray:6 4}
svg.key{width:1em;height:1em;vertical-align:-.1em;margin-right:.3em}
figcaption span{white-space:nowrap;margin-right:1em}
@media print{.scroll,pre{overflow:visible}pre{white-space:pre-wrap}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def report_html(record: StudyRecord, trials: Sequence[Trial]) -> str:
    """The whole report: health, front, final stage, hypervolume and settings of a study.

    Args:
        record: the study.
        trials: all its trials.
    """
    summary = summarise(record, trials)
    name = escape(record.name)
    settings = yaml.safe_dump(dict(record.spec), sort_keys=False, allow_unicode=True)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; style-src 'sha256-{_HASH}'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{name}: report</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{name}</h1>{_opening(record, summary)}{_notes(record, trials)}"
        "<h2>Pareto front (validation split)</h2>"
        f"{_front_chart(record, trials, summary)}{_front_table(summary)}{_choices_table(summary)}"
        f"<h2>Retrained in full</h2>{_final_table(summary)}"
        f"<h2>Hypervolume</h2>{_hypervolume_chart(record, trials)}"
        f"<h2>Settings</h2><pre>{escape(settings)}</pre></main></body></html>\n"
    )


def _opening(record: StudyRecord, summary: Mapping[str, Any]) -> str:
    counts = summary["trials"]
    reason = f" ({summary['stop_reason']})" if summary["stop_reason"] else ""
    ended = ", ".join(f"{number} {how}" for how, number in counts.items() if how != "total")
    return (
        f'<p class="dim">{summary["state"]}{reason}; created {record.created:%Y-%m-%d}; searched '
        f"for {duration(record.seconds)}; {plural(counts['total'], 'trial')}: {ended}</p>"
    )


def _notes(record: StudyRecord, trials: Sequence[Trial]) -> str:
    notes = "".join(
        f"<li><strong>{note['level']}</strong>: {escape(note['message'])}</li>"
        for note in health(record, trials)
    )
    return f"<h2>What to know</h2><ul>{notes}</ul>" if notes else ""


def _front_chart(record: StudyRecord, trials: Sequence[Trial], summary: Mapping[str, Any]) -> str:
    data = front(record, trials)
    x, y = data["x"]["metric"], data["y"]["metric"]
    searched = (finite_figures(trial) for trial in trials if trial.kind is TrialKind.SEARCH)
    points, best = _points(searched, x, y), _points(data["front"], x, y, _TRIAL)
    if not best:
        return "<p>No student has finished yet.</p>"
    teacher = _points([summary["teacher"]], x, y, "teacher")
    edge = _FAR * max(each.x for each in points)
    near = [each for each in teacher if each.x <= edge]
    limit = data["budget"]["x"]
    budget = [limit] if limit is not None and limit <= edge else []
    rows = summary["final"] if y == "accuracy" else []
    taught, plain = (_points(rows, x, name, _TRIAL) for name in _RETRAINED)
    values = [point.y for point in (*best, *teacher, *taught, *plain)]
    # What is worse by more than all these differ would flatten them.
    room = max(values) - min(values) or math.inf
    values += [each.y for each in points if min(values) - room <= each.y <= max(values) + room]
    across = [*(each.x for each in (*points, *near)), *budget]
    chart = Chart(
        f"{metric_title(y)} over {metric_title(x)}",
        Axis.around(metric_title(x), across, partial(tick, x), log=True),
        Axis.around(metric_title(y), values, partial(tick, y)),
    )
    far = f", further right: {figure(x, teacher[0].x)}" if teacher and not near else ""
    layers = [
        ("speck", "dominated or stopped early", chart.specks(points, "speck")),
        ("budget", "budget", "".join(chart.upright(value, "budget") for value in budget)),
        (
            "teacher",
            f"teacher{far}",
            "".join(chart.level(each.y, "teacher") for each in teacher)
            + chart.dots(near, "teacher", 6),
        ),
        (
            "front",
            "Pareto front (search)",
            chart.stairs(sorted(best, key=lambda each: each.x), "front")
            + chart.dots(best, "front", 5),
        ),
        ("final", "retrained, with teacher", chart.dots(taught, "final", 4)),
        ("baseline", "retrained, without teacher", chart.dots(plain, "baseline", 4)),
    ]
    drawn = [layer for layer in layers if layer[2]]
    hidden = sum(not chart.shows(point) for point in points)
    left_out = f" {plural(hidden, 'trial')} beyond the picture." if hidden else ""
    legend = " ".join(f"<span>{_key(css)}{escape(text)}</span>" for css, text, _ in drawn)
    return _figure(chart.svg(*(marks for _, _, marks in drawn)), legend + left_out)


def _hypervolume_chart(record: StudyRecord, trials: Sequence[Trial]) -> str:
    data = hypervolume(record, trials)
    points = [Point(row["finished"], row["hypervolume"]) for row in data["points"]]
    if len(points) < 2:
        return "<p>Too few trials have finished.</p>"
    chart = Chart(
        "hypervolume over finished trials",
        Axis.around("finished trials", [point.x for point in points], partial(tick, "")),
        Axis.around("hypervolume", [point.y for point in points], partial(tick, "")),
    )
    worst = ", ".join(
        f"{metric_title(name)} {figure(name, value)}" for name, value in data["reference"].items()
    )
    return _figure(
        chart.svg(chart.stairs(points, "front")), f"Up to the reference point {escape(worst)}."
    )


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _key(css: str) -> str:
    """The mark of a legend's entry."""
    line = '<path class="{}" d="M{}"/>'
    shapes = {"speck": line.format(css, "6 6h0"), "budget": line.format(css, "6 0V12")}
    mark = shapes.get(css, f'<circle class="{css}" cx="6" cy="6" r="4"/>')
    return f'<svg class="key" viewBox="0 0 12 12" aria-hidden="true">{mark}</svg>'


def _front_table(summary: Mapping[str, Any]) -> str:
    asked = [axis["metric"] for axis in summary["objectives"]]
    found = [name for name in (summary["front"] or [{}])[0] if name not in _NO_FIGURES]
    names = list(dict.fromkeys(asked + found))
    rows = [
        ("teacher", "", summary["teacher"]),
        ("budget", "", summary["budget"]),
        *((str(row["trial"]), str(row["epochs"]), row) for row in summary["front"]),
    ]
    return _table(
        ["trial", "epochs", *map(metric_title, names)],
        [[*head, *(figure(name, row.get(name)) for name in names)] for *head, row in rows],
    )


def _choices_table(summary: Mapping[str, Any]) -> str:
    rows = [(row["trial"], {**row["choices"], **row["distillation"]}) for row in summary["front"]]
    names = list(dict.fromkeys(name for _, choices in rows for name in choices))
    return "<h3>What they are made of</h3>" + _table(
        ["trial", *names],
        [[str(trial), *(_choice(choices.get(name)) for name in names)] for trial, choices in rows],
    )


def _final_table(summary: Mapping[str, Any]) -> str:
    if not summary["final"]:
        return "<p>nothing yet</p>"
    teacher = summary["teacher"]
    scores = [figure(name, teacher.get(name)) for name in ("accuracy", "test_accuracy")]
    rows = [["teacher", "", "", *scores, *[""] * (1 + len(_SHARES))]]
    for row in summary["final"]:
        shares = [share_of(row.get(name), teacher.get(name)) for name in _SHARES]
        head = [str(row["trial"]), str(row["epochs"]), plural(row["seeds"], "seed")]
        rows.append([*head, *_scores(row, row["seeds"]), *shares])
        if "family" in row:
            family, draws = row["family"], row["family"]["draws"]
            head = [f"family of {row['trial']}", str(row["epochs"]), plural(draws, "draw")]
            rows.append([*head, *_scores(family, draws), *[""] * len(_SHARES)])
    heads = ["validation", "test", "test without teacher", *map(metric_title, _SHARES)]
    table = _table(["trial", "epochs", "runs", *heads], rows)
    return (
        f'{table}<p class="dim">Mean ± standard deviation; costs as a share of the teacher\'s.</p>'
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>" for cells in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _points(rows: Iterable[Mapping[str, Any]], x: str, y: str, name: str = "") -> list[Point]:
    """The places of the rows that have both figures; `name` is how one is called."""
    return [
        Point(
            row[x],
            row[y],
            name and f"{name.format_map(row)}: {figure(y, row[y])}, {figure(x, row[x])}",
        )
        for row in rows
        if row.get(x) is not None and row.get(y) is not None
    ]


def _scores(row: Mapping[str, Any], runs: int) -> list[str]:
    """Means over the runs, with their spread if there are several."""
    means = [figure(name, row.get(name)) for name in _SCORES]
    spreads = [figure(name, row.get(f"{name}_sd")) for name in _SCORES]
    pairs = zip(means, spreads, strict=True)
    return [f"{mean} ± {sd}" if runs > 1 and sd != "-" else mean for mean, sd in pairs]


def _choice(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
