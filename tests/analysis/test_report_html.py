from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from autokd.analysis import report_html
from autokd.trial import StopReason, StudyState, TrialKind

HOSTILE = "<script>alert('x')</script>"
_VOID = {"meta"}


class Page(HTMLParser):
    """Checks that every element ends, and collects what is in the page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


@pytest.fixture
def trials(make_trial, retrain):
    best = make_trial(0, 0.5, 0.7, 0.93, parameters=80, choices={"width": 8, "top": "ring"})
    return [
        best,
        make_trial(1, 0.5, 0.6, 0.8, parameters=40),
        make_trial(2, 0.3, parameters=60),
        make_trial(3, 0.7, 0.7, 0.75, parameters=70),
        *retrain(best, [0.90, 0.94]),
        *retrain(best, [0.88, 0.90], TrialKind.BASELINE),
    ]


@pytest.fixture
def page(record, trials):
    return Page(report_html(record, trials))


def test_report_stands_alone(page):
    assert not {"script", "link", "img", "iframe", "object", "a", "form"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {"src", "href", "style", "xlink:href"} & names
    assert not any(name.startswith("on") for name in names)


def test_its_own_policy_allows_its_one_style_and_nothing_else(record, trials):
    text = report_html(record, trials)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{digest}'\"" in text
    assert "url(" not in style and "@import" not in style
    assert "color-scheme:light dark" in style


def test_report_shows_front_final_stage_baseline_teacher_budget_and_settings(page):
    for part in (
        "made-up",
        "running; created 2026-01-01; searched for 1 min 40 s; 4 trials: 3 complete, 1 pruned",
        "Pareto front (search)",
        "dominated or stopped early",
        "retrained, with teacher",
        "retrained, without teacher",
        "teacher, further right: 1,000",
        "budget",
        "93.00 %",
        "92.00 % ± 2.83 %",
        "89.00 % ± 1.41 %",
        "8.0 %",
        "ring",
        "What they are made of",
        "Up to the reference point validation accuracy 0.00 %, parameters 100",
        "min_epochs: 1",
    ):
        assert part in page.text, part
    assert page.tags.count("table") == 3
    # Both charts, and the keys of what is in the first.
    assert page.tags.count("svg") == 2 + 6


def test_teacher_near_the_students_is_drawn_in_its_place(make_record, trials):
    near = make_record({"teacher": {"accuracy": 0.95, "parameters": 120}})
    assert "further right" not in Page(report_html(near, trials)).text
    assert "teacher: 95.00 %, 120" in Page(report_html(near, trials)).text


def test_hopeless_trials_are_counted_instead_of_drawn(record, trials, make_trial):
    assert "1 trial beyond the picture" in report_html(record, trials)
    hopeless = [make_trial(10 + n, 0.01, parameters=50) for n in range(2)]
    assert "3 trials beyond the picture" in report_html(record, [*trials, *hopeless])
    assert "beyond the picture" not in report_html(record, trials[:2])


def test_notes_on_the_study_are_in_the_report(make_record, trials):
    ended = {"state": StudyState.COMPLETED, "stop_reason": StopReason.CONVERGED}
    text = Page(report_html(make_record(ended), trials)).text
    assert "completed (converged)" in text
    assert "promised less than limits.converged" in text


def test_study_that_has_not_begun_has_a_report(make_record):
    text = Page(report_html(make_record({"teacher": None}), [])).text
    assert "No student has finished yet." in text and "nothing yet" in text


@pytest.mark.parametrize(
    "objectives",
    [
        [{"metric": "loss", "direction": "minimize"}],
        [{"metric": "loss", "direction": "minimize"}, {"metric": "macs", "direction": "minimize"}],
    ],
)
def test_other_objectives_are_drawn_too(make_record, trials, objectives):
    text = Page(report_html(make_record(objectives=objectives), trials)).text
    assert "validation loss" in text


def test_nothing_in_the_record_is_markup(make_record, make_trial):
    record = make_record({"name": HOSTILE})
    record.spec["space"][HOSTILE] = HOSTILE
    trials = [
        make_trial(n, 0.5, 0.6, 0.7 + n / 10, parameters=90 - n, choices={HOSTILE: HOSTILE})
        for n in range(2)
    ]
    text = report_html(record, trials)
    assert "<script" not in text
    assert Page(text).text.count(HOSTILE) >= 3


def test_one_run_has_no_spread(record, make_trial, retrain):
    trial = make_trial(0, 0.5, 0.6, 0.7)
    assert (
        "±" not in Page(report_html(record, [trial, *retrain(trial, [0.9])])).text.split("Mean")[0]
    )


def test_draws_of_a_family_have_a_row(record, make_trial, retrain):
    trial = make_trial(0, 0.5, 0.6, 0.7)
    family = retrain(trial, [0.8, 0.9], TrialKind.FAMILY)
    family = [
        type(run)(**{**vars(run), "candidate": 50 + n, "architecture": trial.architecture})
        for n, run in enumerate(family)
    ]
    text = Page(report_html(record, [trial, *retrain(trial, [0.9, 0.9]), *family])).text
    assert "family of 0" in text and "2 draws" in text and "85.00 % ± 7.07 %" in text
