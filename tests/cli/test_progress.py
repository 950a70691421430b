"""Progress of a search: lines where nobody watches, a panel on a terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from autokd.budget import Cost
from autokd.cli import progress
from autokd.cli.progress import progress_display
from autokd.cli.watching import _Watched
from autokd.multiobjective import Objective, ParetoFront
from autokd.space import Architecture
from autokd.spec import StudySpec, read_study
from autokd.study import Happening
from autokd.trial import Evaluation, Failure, FailureClass, Trial, TrialKind, TrialState

OBJECTIVES = (Objective("accuracy", "maximize"),)


@pytest.fixture
def spec(tiny_spec: dict[str, Any]) -> StudySpec:
    teacher = {"model": "resnet8", "epochs": 20}
    return read_study({**tiny_spec, "teacher": teacher, "limits": {"trials": 4, "seconds": 100}})


def trial(number: int, kind: TrialKind = TrialKind.SEARCH, **fields: Any) -> Trial:
    metrics = {"accuracy": 0.5 + number % 10 / 10}
    if kind is not TrialKind.SEARCH:
        metrics["test_accuracy"] = 0.75
    return Trial(
        **{
            "number": number,
            "kind": kind,
            "candidate": number % 10,
            "architecture": Architecture("made-up", {"width": number % 10}),
            "distillation": {},
            "cost": Cost(12_345, 1, 1, 1),
            "repeat": 0,
            "state": TrialState.COMPLETE,
            "epochs": 3,
            "evaluations": (Evaluation(3, metrics),),
            **fields,
        }
    )


def study(*trials: Trial, seconds: float = 30) -> Any:
    front = ParetoFront.from_trials(trials, OBJECTIVES)
    return SimpleNamespace(trials=list(trials), front=front, objectives=OBJECTIVES, seconds=seconds)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch):
    """Makes stderr a terminal, or not, and gives what is written there."""

    def shown(*, terminal: bool) -> io.StringIO:
        written = io.StringIO()
        console = Console(file=written, force_terminal=terminal, width=100)
        monkeypatch.setattr(progress, "stderr", lambda: console)
        return written

    return shown


def test_lines_tell_of_the_teacher_now_and_then(shown, spec):
    written = shown(terminal=False)
    with progress_display(spec, quiet=False) as observe:
        for epoch in range(1, 21):
            observe(study(), Happening("teacher_epoch", epoch=epoch, metrics={"loss": 1 / epoch}))
    lines = written.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[0] == "teacher: epoch 4 of 20, training loss 0.250"


def test_a_line_tells_how_a_trial_ended_and_how_the_search_stands(shown, spec):
    written = shown(terminal=False)
    with progress_display(spec, quiet=False) as observe:
        observe(study(trial(0), trial(1)), Happening("finished", trial(1)))
    assert written.getvalue() == (
        "trial 1: complete at 3 epochs, 60.00 %, 12,345 parameters  "
        "[2/4 trials, 2 complete; best 60.00 % (trial 1); 30 s, about 30 s left]\n"
    )


def test_a_line_tells_why_a_trial_failed(shown, spec):
    written = shown(terminal=False)
    failure = Failure(FailureClass.NAN, "loss is nan [epoch 1]")
    failed = trial(0, state=TrialState.FAILED, failure=failure, evaluations=())
    with progress_display(spec, quiet=False) as observe:
        observe(study(failed), Happening("failed", failed))
    assert "trial 0: failed (nan): loss is nan [epoch 1]" in written.getvalue()
    assert "1/4 trials, 0 complete, 1 failed; best -" in written.getvalue()


def test_retrainings_are_named_by_the_trial_that_found_the_student(shown, spec):
    written = shown(terminal=False)
    runs = [trial(1_000_001, TrialKind.FINAL), trial(1_000_011, TrialKind.BASELINE, repeat=1)]
    with progress_display(spec, quiet=False) as observe:
        observe(study(trial(1)), Happening("final"))
        for run in runs:
            observe(study(trial(1), *runs), Happening("finished", run))
    assert written.getvalue().splitlines() == [
        "final stage, the best of the front in full",
        "final 1, seed 0, with teacher: complete at 3 epochs, test 75.00 %  [2/2 retrainings]",
        "final 1, seed 1, without teacher: complete at 3 epochs, test 75.00 %  [2/2 retrainings]",
    ]


def test_time_left_is_at_most_what_the_limit_leaves(shown, spec):
    written = shown(terminal=False)
    with progress_display(spec, quiet=False) as observe:
        observe(study(trial(0), seconds=90), Happening("finished", trial(0)))
    assert "1 min 30 s, about 10 s left" in written.getvalue()


def test_quiet_shows_nothing(shown, spec):
    written = shown(terminal=False)
    with progress_display(spec, quiet=True) as observe:
        observe(study(trial(0)), Happening("finished", trial(0)))
    assert written.getvalue() == ""


def test_panel_shows_what_runs_and_goes_away_at_the_end(shown, spec, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")  # a dumb terminal gets no panel
    written = shown(terminal=True)
    running = trial(2, state=TrialState.RUNNING, evaluations=())
    with progress_display(spec, quiet=False) as observe:
        observe(study(), Happening("teacher_epoch", epoch=3, metrics={"loss": 1.0}))
        observe(study(trial(0), running), Happening("started", running))
        observe(study(trial(0), running), Happening("epoch", running, 2, {"accuracy": 0.5}))
    assert written.getvalue()  # what a terminal got, control codes and all


def test_panel_draws_the_state_of_the_search(spec):
    panel = progress._Panel(spec)
    console = Console(file=io.StringIO(), width=100)
    running = trial(2, state=TrialState.RUNNING, evaluations=())
    panel.observe(study(), Happening("teacher_epoch", epoch=3, metrics={"loss": 1.0}))
    console.print(panel.draw())
    panel.observe(study(trial(0), running), Happening("epoch", running, 2, {"accuracy": 0.5}))
    console.print(panel.draw())
    panel.observe(study(trial(0), trial(2)), Happening("finished", trial(2)))
    panel.observe(study(trial(0), trial(2)), Happening("final"))
    console.print(panel.draw())
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for words in (
        "tiny: training the teacher, epoch 3 of 20",
        "tiny: search",
        "2/4 trials, 1 complete",
        "50.00 % (trial 0)",
        "trial 2, epoch 2 of 3",
        "epochs/s",
        "tiny: final stage",
        "0/0 retrainings",
    ):
        assert words in text


def test_what_is_watched_from_afar_is_shown_as_it_was_then(shown, spec):
    told = Evaluation(1, {"accuracy": 0.5}), Evaluation(3, {"accuracy": 0.75})
    newest = trial(0, evaluations=told)
    records: Any = SimpleNamespace(trial=lambda record, number: newest)
    record: Any = SimpleNamespace(
        seconds=0.0, spec={"objectives": [{"metric": "accuracy", "direction": "maximize"}]}
    )
    watched = _Watched(records, record, [])
    written = shown(terminal=False)
    with progress_display(spec, quiet=False) as observe:
        for state, epochs in (("paused", 1), ("complete", 3)):
            data = {"trial": 0, "state": state, "epochs": epochs}
            watched.take(SimpleNamespace(kind="trial", data=data), observe)
    first, second = written.getvalue().splitlines()
    assert "paused at 1 epoch" in first and "50.00" in first
    assert "complete at 3 epochs" in second and "75.00" in second
