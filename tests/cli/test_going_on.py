"""A search that ends before its end: what it says, what it leaves behind, and how it goes on."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

SECONDS = 60
"""Enough for a slow machine; nothing waits so long on a healthy one."""


class Search:
    """`autokd search` as a process of its own, in a session of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "autokd", "search", "tiny.json", "--json", *options],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._queue.put(line)

    def wait_for(self, text: str) -> None:
        """Until a line on stderr has `text`."""
        while True:
            line = self._queue.get(timeout=SECONDS)
            self.lines.append(line)
            if text in line:
                return

    def send(self, number: signal.Signals) -> None:
        """To the process alone, as a service manager does."""
        self._process.send_signal(number)

    def interrupt_group(self, number: signal.Signals) -> None:
        """To its group, as the terminal does."""
        os.killpg(self._process.pid, number)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr when it has ended."""
        assert self._process.stdout is not None
        out = self._process.stdout.read()
        code = self._process.wait(SECONDS)
        self._reader.join(SECONDS)
        while not self._queue.empty():
            self.lines.append(self._queue.get())
        return code, out, "".join(self.lines)

    def close(self) -> None:
        if self._process.poll() is None:
            self.interrupt_group(signal.SIGKILL)
            self._process.wait(SECONDS)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def searching(folder: Path, *options: str) -> Iterator[Search]:
    search = Search(folder, *options)
    try:
        yield search
    finally:
        search.close()


@pytest.fixture
def folder(tmp_path: Path, tiny_spec: dict[str, Any]) -> Path:
    """The tiny study, with enough trials to interrupt it."""
    spec = {**tiny_spec, "limits": {"trials": 12}}
    (tmp_path / "tiny.json").write_text(json.dumps(spec), encoding="utf-8")
    return tmp_path


def search_trials(run: Any, storage: str = "autokd.db") -> list[dict[str, Any]]:
    shown = run("study", "show", "tiny", "--storage", storage, "--json").json
    return [trial for trial in shown["all_trials"] if trial["kind"] == "search"]


def assert_whole(run: Any, folder: Path, searched: Any) -> None:
    """Each of the 12 trials is there once, and the first are those of an undisturbed search."""
    trials = search_trials(run)
    assert [trial["trial"] for trial in trials] == list(range(12))
    assert len({trial["candidate"] for trial in trials}) == 12
    assert {trial["state"] for trial in trials} <= {"complete", "paused"}
    first = search_trials(run, searched.storage)
    for ours, theirs in zip(trials, first, strict=False):
        assert ours["choices"] == theirs["choices"]
        assert ours["distillation"] == theirs["distillation"]
    rungs = [run("trial", "show", "tiny", n, "--json").json["rungs"] for n in range(3)]
    undisturbed = [
        run("trial", "show", "tiny", n, "--storage", searched.storage, "--json").json["rungs"]
        for n in range(3)
    ]
    for ours, theirs in zip(rungs, undisturbed, strict=True):
        assert all(a == b for a, b in zip(ours, theirs, strict=False))


def test_search_interrupted_once_and_then_twice_stops_and_goes_on(run, folder, searched):
    with searching(folder) as once:
        once.wait_for("trial 0:")
        once.interrupt_group(signal.SIGINT)
        once.wait_for("stopping after the running epochs")
        code, out, err = once.end()
    assert code == 130
    assert (json.loads(out)["state"], json.loads(out)["stop_reason"]) == ("stopped", "user")
    assert "run the same command again to go on" in err
    assert "Traceback" not in err

    with searching(folder) as twice:
        twice.wait_for("trial ")
        workers = twice.children()
        twice.send(signal.SIGTERM)
        twice.wait_for("stopping after the running epochs")
        twice.interrupt_group(signal.SIGINT)
        code, out, err = twice.end()
    assert code == 130
    assert "Traceback" not in err
    assert psutil.wait_procs(workers, SECONDS)[1] == []
    (study,) = run("study", "list", "--json").json
    assert (study["state"], study["stop_reason"]) == ("stopped", "user")

    ended = run("search", "tiny.json", "--json")
    assert (ended.code, ended.json["state"]) == (0, "completed")
    assert_whole(run, folder, searched)


def test_killed_search_leaves_no_process_behind_and_goes_on(run, folder, searched):
    with searching(folder) as killed:
        killed.wait_for("trial 1:")
        workers = killed.children()
        killed.interrupt_group(signal.SIGKILL)
        code, out, _ = killed.end()
    assert (code, out) == (-signal.SIGKILL, "")
    assert workers
    assert psutil.wait_procs(workers, SECONDS)[1] == []

    ended = run("search", "tiny.json", "--json")
    assert (ended.code, ended.json["state"]) == (0, "completed")
    assert_whole(run, folder, searched)


def test_interrupted_training_of_the_teacher_goes_on(run, folder, tiny_spec):
    teacher = {**tiny_spec["teacher"], "epochs": 60}
    spec = {**tiny_spec, "teacher": teacher}
    (folder / "tiny.json").write_text(json.dumps(spec), encoding="utf-8")
    with searching(folder) as search:
        search.wait_for("teacher: epoch 12 of 60")
        search.send(signal.SIGINT)
        code, out, err = search.end()
    assert code == 130
    assert json.loads(out)["stop_reason"] == "user"
    assert "epoch 60 of" not in err
    assert list((folder / "autokd.files" / "teachers").glob("*.checkpoint.pt"))


def comparable(summary: dict[str, Any]) -> dict[str, Any]:
    """Without what a clock measured."""
    teacher = {name: value for name, value in summary["teacher"].items() if name != "latency_ms"}
    return {**summary, "teacher": teacher, "seconds": None}


def test_search_continued_with_more_trials_equals_one_that_was_planned_so(
    run, tmp_path, tiny_spec, searched
):
    (tmp_path / "tiny.json").write_text(json.dumps(tiny_spec), encoding="utf-8")
    stopped = run("search", "tiny.json", "--trials", 2)
    assert stopped.code == 0
    assert "2 trials" in stopped.out
    assert "autokd export tiny --best" in stopped.err
    continued = run("search", "tiny.json", "--json")
    assert continued.code == 0
    assert comparable(continued.json) == comparable(searched.summary)
    assert search_trials(run) == search_trials(run, searched.storage)


def test_results_do_not_depend_on_the_cache_of_the_teachers_outputs(
    run, tmp_path, tiny_spec, searched
):
    distillation = {**tiny_spec["distillation"], "teach_once": {"memory_limit": "1B"}}
    spec = {**tiny_spec, "distillation": distillation}
    (tmp_path / "tiny.json").write_text(json.dumps(spec), encoding="utf-8")
    uncached = run("search", "tiny.json", "--json")
    assert uncached.code == 0
    assert comparable(uncached.json) == comparable(searched.summary)
    assert not list((tmp_path / "autokd.files").glob("teacher-outputs/*/*.npy"))
    assert list((searched.folder / "autokd.files").glob("teacher-outputs/*/*.npy"))
