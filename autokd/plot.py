"""The Pareto front as a picture: front, dominated trials, teacher, budget and baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autokd.analysis import report_html
from autokd.errors import NotFoundError, UnknownNameError
from autokd.multiobjective import ParetoFront
from autokd.readable import metric_title
from autokd.report import axes_of, budget_of, final_rows, objectives_of
from autokd.store import StudyRecord
from autokd.trial import Trial, TrialKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

_SUFFIXES = (".html", ".png", ".svg")

_FAR = 2
"""A teacher so many times beyond the right edge of what else is drawn is not drawn in its place."""

# Okabe and Ito's palette: told apart by colour-blind readers, and in grey.
_FRONT, _DIM, _TEACHER, _BUDGET, _FINAL = "#0072B2", "#9aa5b1", "#D55E00", "#CC79A7", "#009E73"


def plot_front(record: StudyRecord, trials: Sequence[Trial], path: Path) -> None:
    """Draws the front of a study's first objective against its second (or the parameters).

    Args:
        record: the study.
        trials: all its trials.
        path: a `.png`, `.svg` or `.html` file; the last is the report of the study, a page that
            stands alone.

    Raises:
        UnknownNameError: another suffix.
        NotFoundError: no trial has finished yet.
    """
    if path.suffix not in _SUFFIXES:
        raise UnknownNameError("kind of picture", path.suffix, _SUFFIXES)
    if not any(trial.evaluations for trial in trials):
        raise NotFoundError(
            "no trial has finished yet: there is nothing to draw", hint="let the search go on"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".html":
        path.write_text(report_html(record, trials), encoding="utf-8")
    else:
        _draw(record, trials).savefig(path, dpi=160)


def _draw(record: StudyRecord, trials: Sequence[Trial]) -> Figure:
    # The figure class alone, not pyplot: no display, no global state.
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    objectives = objectives_of(record)
    x, y = axes_of(record)
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    _draw_trials(axes, trials, ParetoFront.from_trials(trials, objectives), x, y)
    _draw_final(axes, record, trials, x, y)
    _draw_context(axes, record, x, y)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(_ticks_of(x))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(metric_title(x))
    axes.set_ylabel(metric_title(y))
    axes.set_title(f"{record.name}: Pareto front", loc="left")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    _zoom(axes, record, trials, y)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _ticks_of(metric: str) -> Formatter:
    """Counts and bytes with a unit (20k); milliseconds, which have theirs, as plain numbers."""
    from matplotlib.ticker import EngFormatter, FuncFormatter

    if metric == "latency_ms":
        return FuncFormatter(lambda value, _position: f"{value:.3g}")
    return EngFormatter(sep="")


def _draw_trials(axes: Axes, trials: Sequence[Trial], front: ParetoFront, x: str, y: str) -> None:
    chosen = {trial.number for trial in front.trials}
    searched = [trial for trial in trials if trial.kind is TrialKind.SEARCH and y in trial.figures]
    dim = [trial.figures for trial in searched if trial.number not in chosen]
    axes.scatter(
        [figures[x] for figures in dim],
        [figures[y] for figures in dim],
        s=14,
        color=_DIM,
        alpha=0.6,
        label="dominated or stopped early",
    )
    points = sorted((trial.figures[x], trial.figures[y]) for trial in front.trials)
    # Rings, so that what lies on them is seen.
    axes.plot(
        [point[0] for point in points],
        [point[1] for point in points],
        drawstyle="steps-post",
        color=_FRONT,
        marker="o",
        markersize=10,
        markerfacecolor="none",
        markeredgewidth=1.5,
        label="Pareto front (search)",
        zorder=3,
    )


def _draw_final(axes: Axes, record: StudyRecord, trials: Sequence[Trial], x: str, y: str) -> None:
    """Retrained students and, hollow and a little to the right, the same without the teacher."""
    from matplotlib.transforms import ScaledTranslation

    if y != "accuracy":
        return
    rows = final_rows(record, trials)
    styles = (
        ("validation_accuracy", _FINAL, 0, "retrained, with teacher (± sd)"),
        ("baseline_validation_accuracy", "white", 9, "retrained, without teacher (± sd)"),
    )
    figure = axes.get_figure(root=True)
    assert figure is not None
    for name, face, points, label in styles:
        shown = [row for row in rows if name in row and x in row]
        if shown:
            beside = ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)
            axes.errorbar(
                [row[x] for row in shown],
                [row[name] for row in shown],
                yerr=[row[f"{name}_sd"] for row in shown],
                fmt="D",
                markersize=4.5,
                color=_FINAL,
                markerfacecolor=face,
                elinewidth=1,
                capsize=2,
                label=label,
                transform=axes.transData + beside,
                zorder=4,
            )


def _draw_context(axes: Axes, record: StudyRecord, x: str, y: str) -> None:
    limit = budget_of(record).limits.get(x)
    if limit is not None:
        axes.axvline(limit, color=_BUDGET, linestyle="--", label="budget")
    teacher = record.teacher or {}
    if x not in teacher or y not in teacher:
        return
    axes.axhline(teacher[y], color=_TEACHER, linewidth=0.8, linestyle=":")
    low, high = axes.get_xlim()
    far = teacher[x] > _FAR * high
    if far:  # In its true place it would press all the students into a corner.
        axes.set_xlim(low, high)
    axes.scatter(
        [0.985 if far else teacher[x]],
        [teacher[y]],
        transform=axes.get_yaxis_transform() if far else axes.transData,
        clip_on=False,
        marker="*",
        s=180,
        color=_TEACHER,
        label=f"teacher, further right: {_ticks_of(x)(teacher[x])}" if far else "teacher",
        zorder=5,
    )


def _zoom(axes: Axes, record: StudyRecord, trials: Sequence[Trial], y: str) -> None:
    """Leaves out the hopeless, and says how many: they would flatten all the others.

    What the picture is about (front, teacher, the retrained) is always in it.
    """
    front = ParetoFront.from_trials(trials, objectives_of(record))
    if y != "accuracy" or not front.trials:
        return
    shown = [trial.figures[y] for trial in front.trials]
    shown += [record.teacher[y]] if record.teacher and y in record.teacher else []
    for row in final_rows(record, trials):
        for name in ("validation_accuracy", "baseline_validation_accuracy"):
            if name in row:
                spread = row[f"{name}_sd"]
                shown += [row[name] - spread, row[name] + spread]
    searched = [trial.figures for trial in trials if trial.kind is TrialKind.SEARCH]
    values = sorted(figures[y] for figures in searched if y in figures)
    top, low = max(shown), min(shown)
    low = min(low, max(values[len(values) // 4], low - (top - low)))
    margin = max((top - low) * 0.08, 0.002)
    axes.set_ylim(low - margin, top + margin)
    below = sum(value < low - margin for value in values)
    if below:
        trials_below = "1 trial" if below == 1 else f"{below} trials"
        axes.text(
            0.008,
            0.012,
            f"{trials_below} below the picture",
            transform=axes.transAxes,
            ha="left",
            va="bottom",
            fontsize=8,
            color="grey",
        )
