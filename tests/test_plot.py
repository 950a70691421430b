"""The front as a picture: what is in it, and that each kind of file can be opened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from autokd.budget import Cost
from autokd.errors import NotFoundError, UnknownNameError
from autokd.plot import plot_front
from autokd.space import Architecture
from autokd.spec import read_study
from autokd.store import StudyRecord
from autokd.trial import Evaluation, StopReason, StudyState, Trial, TrialKind, TrialState


def record(*metrics: str, name: str = "made-up") -> StudyRecord:
    directions = {"accuracy": "maximize"}
    spec = read_study(
        {
            "name": name,
            "data": {"name": "digits"},
            "teacher": {"model": "resnet20"},
            "space": {"name": "hierarchical_graph"},
            "distillation": {"losses": [{"name": "kd"}]},
            "budget": {"parameters": "0.1x"},
            "objectives": [
                {"metric": metric, "direction": directions.get(metric, "minimize")}
                for metric in metrics or ("accuracy", "parameters")
            ],
            "fidelity": {"min_epochs": 1, "max_epochs": 9},
        }
    )
    return StudyRecord(
        id=1,
        name=name,
        spec=spec.model_dump(mode="json"),
        state=StudyState.COMPLETED,
        stop_reason=StopReason.TRIALS,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        seconds=10.0,
        teacher={"accuracy": 0.98, "loss": 0.1, "parameters": 20_000},
        folder=Path("nowhere"),
        wish=None,
        error=None,
        labels={},
        owner=None,
        updated=datetime(2026, 1, 1, tzinfo=UTC),
        deleted=None,
        version=1,
        events=0,
    )


def trial(number: int, accuracy: float, kind: TrialKind = TrialKind.SEARCH) -> Trial:
    metrics = {"accuracy": accuracy, "loss": 1 - accuracy, "test_accuracy": accuracy}
    return Trial(
        number=number,
        kind=kind,
        candidate=number % 1000,
        architecture=Architecture("made-up", {"width": number}),
        distillation={},
        cost=Cost(300 * (1 + number % 1000), 4000, 50, 600),
        repeat=0,
        state=TrialState.COMPLETE,
        epochs=9,
        evaluations=(Evaluation(9, metrics),),
    )


TRIALS = (
    *(trial(number, accuracy) for number, accuracy in enumerate([0.6, 0.9, 0.2, 0.93, 0.91])),
    trial(1_000_003, 0.95, TrialKind.FINAL),
    trial(1_001_003, 0.94, TrialKind.BASELINE),
)


def svg_text(path: Path) -> str:
    """All that is written in the picture (matplotlib leaves text beside its outlines)."""
    return " ".join(re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8")))


def test_png_is_a_picture(tmp_path: Path) -> None:
    plot_front(record(), TRIALS, tmp_path / "front.png")
    with Image.open(tmp_path / "front.png") as picture:
        picture.load()
        width, height = picture.size
        assert width > 1000 < height * 2
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


def test_svg_shows_front_teacher_budget_and_baseline(tmp_path: Path) -> None:
    plot_front(record(), TRIALS, tmp_path / "front.svg")
    ElementTree.parse(tmp_path / "front.svg")
    text = svg_text(tmp_path / "front.svg")
    for label in (
        "made-up: Pareto front",
        "Pareto front (search)",
        "dominated or stopped early",
        "teacher",
        "budget",
        "retrained, with teacher",
        "retrained, without teacher",
        "validation accuracy",
        "parameters",
    ):
        assert label in text


class Loads(HTMLParser):
    """Collects what a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attributes:
            if name in ("src", "srcset", "data", "action", "poster"):
                self.found.append(f"{tag} {name}={value}")
            elif name in ("href", "xlink:href") and not (value or "").startswith("#"):
                self.found.append(f"{tag} {name}={value}")


def test_html_stands_alone(tmp_path: Path) -> None:
    plot_front(record(), TRIALS, tmp_path / "front.html")
    text = (tmp_path / "front.html").read_text(encoding="utf-8")
    loads = Loads()
    loads.feed(text)
    assert loads.found == []
    assert {"svg", "table"} <= loads.tags
    assert not {"script", "link", "img", "iframe", "object"} & loads.tags
    assert not re.search(r"@import|url\((?!#)", text)
    assert re.search(r"<h2>Retrained in full</h2><div[^>]*><table>", text)


def test_names_are_no_markup(tmp_path: Path) -> None:
    # A spec refuses such a name; a page must not depend on it.
    plot_front(replace(record(), name="<script>alert(1)</script>"), TRIALS, tmp_path / "front.html")
    assert "<script>" not in (tmp_path / "front.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "metrics", [("accuracy",), ("loss", "macs"), ("accuracy", "macs", "weight_bytes")]
)
def test_other_objectives_are_drawn_too(tmp_path: Path, metrics: tuple[str, ...]) -> None:
    plot_front(record(*metrics), TRIALS, tmp_path / "front.svg")
    text = svg_text(tmp_path / "front.svg")
    titles = {"accuracy": "validation accuracy", "loss": "validation loss", "macs": "multiply"}
    assert all(titles[metric] in text for metric in metrics[:2])


def tick_labels(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return re.findall(
        r"<!-- (.*?) -->", text[text.index('id="xtick_1"') : text.index('id="ytick_1"')]
    )


def test_latency_has_plain_numbers_and_counts_have_units(tmp_path: Path) -> None:
    timed = tuple(
        replace(each, cost=replace(each.cost, latency_ms=0.31 + 0.02 * n))
        for n, each in enumerate(TRIALS)
    )
    plot_front(record("accuracy", "latency_ms"), timed, tmp_path / "latency.svg")
    plot_front(record(), TRIALS, tmp_path / "parameters.svg")
    assert {"0.31", "0.36"} <= set(tick_labels(tmp_path / "latency.svg"))
    assert {"500", "1k"} <= set(tick_labels(tmp_path / "parameters.svg"))


def test_trials_below_the_picture_are_counted(tmp_path: Path) -> None:
    plot_front(record(), TRIALS[:2], tmp_path / "front.svg")
    assert "below the picture" not in svg_text(tmp_path / "front.svg")
    plot_front(record(), (*TRIALS, trial(6, 0.05), trial(7, 0.04)), tmp_path / "front.svg")
    assert "2 trials below the picture" in svg_text(tmp_path / "front.svg")


def test_teacher_far_beyond_the_students_does_not_press_them_into_a_corner(tmp_path: Path) -> None:
    far = replace(record(), teacher={"accuracy": 0.98, "loss": 0.1, "parameters": 2_000_000})
    plot_front(far, TRIALS, tmp_path / "front.svg")
    assert "teacher, further right: 2M" in svg_text(tmp_path / "front.svg")
    assert "1M" not in tick_labels(tmp_path / "front.svg")


def test_study_that_is_still_searching_is_drawn(tmp_path: Path) -> None:
    plot_front(record(), TRIALS[:1], tmp_path / "new" / "front.svg")
    assert "retrained" not in svg_text(tmp_path / "new" / "front.svg")


def test_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'.jpg'; expected one of '.html', '.png', '.svg'"):
        plot_front(record(), TRIALS, tmp_path / "front.jpg")


def test_study_without_results_has_no_picture(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing to draw"):
        plot_front(record(), [], tmp_path / "front.png")
    assert list(tmp_path.iterdir()) == []
