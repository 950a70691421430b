"""A search that ends before its end: what it says, what it leaves behind, and how it goes on."""

from __future__ import annotations

import json
import os
import queue
import shutil
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

from autokd.cli import progress
from autokd.study import Happening

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

    def kill(self) -> None:
        """All of its group, with the signal that nobody can hold back."""
        os.killpg(self._process.pid, signal.SIGKILL)

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
            self.kill()
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


def workers_of_this_process() -> list[psutil.Process]:
    """Not the tracker of resources, which multiprocessing keeps."""
    return [
        child
        for child in psutil.Process().children()
        if not any("resource_tracker" in word for word in child.cmdline())
    ]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch):
    """Sends signals to this process: the first when a thing happens, each other at the next."""
    observe = progress._Lines.observe

    def interrupt(kind: str, *numbers: signal.Signals) -> None:
        to_send = list(numbers)

        def observe_and_send(self: Any, study: Any, happening: Happening) -> None:
            observe(self, study, happening)
            if to_send and (happening.kind == kind or len(to_send) < len(numbers)):
                signal.raise_signal(to_send.pop(0))

        monkeypatch.setattr(progress._Lines, "observe", observe_and_send)

    return interrupt


@pytest.mark.slow
def test_search_that_is_interrupted_and_killed_loses_nothing_and_leaves_nothing(
    run, interrupt, folder, searched
):
    interrupt("finished", signal.SIGINT)
    once = run("search", "tiny.json", "--json")
    assert once.code == 130
    assert (once.json["state"], once.json["stop_reason"]) == ("stopped", "user")
    assert "stopping after the running epochs; Ctrl-C again stops at once" in once.err
    assert "run the same command again to go on" in once.err

    with searching(folder) as killed:
        killed.wait_for("trial ")
        workers = killed.children()
        killed.kill()
        code, out, _ = killed.end()
    assert (code, out) == (-signal.SIGKILL, "")
    assert workers
    assert psutil.wait_procs(workers, SECONDS)[1] == []

    interrupt("started", signal.SIGTERM, signal.SIGINT)
    twice = run("search", "tiny.json", "--json")
    assert (twice.code, twice.out) == (130, "")
    assert "Traceback" not in twice.err
    assert workers_of_this_process() == []
    (study,) = run("study", "list", "--json").json
    assert (study["state"], study["stop_reason"]) == ("stopped", "user")

    ended = run("search", "tiny.json", "--json")
    assert (ended.code, ended.json["state"]) == (0, "completed")
    assert_whole(run, folder, searched)


INTERRUPTED_IMPORT = """
import contextlib, signal, sys
from autokd.cli import main

class Swallowing:
    def find_spec(self, name, *_):
        if name == "torch._C":
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Swallowing())
sys.argv = ["autokd", *sys.argv[1:]]
main()
"""
"""Ctrl-C while torch is imported, which swallows it as NumPy's and pybind11's set-up do."""


@pytest.mark.parametrize(
    "command", [("search", "no.yaml"), ("check", "no.yaml"), ("spaces", "show", "no")]
)
def test_interrupt_while_torch_is_imported_ends_at_once_with_one_line(command, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 130
    assert done.stderr == "stopped; run the same command again to go on\n"
    assert list(tmp_path.iterdir()) == []


def test_interrupted_training_of_the_teacher_goes_on(run, interrupt, tmp_path, tiny_spec):
    teacher = {**tiny_spec["teacher"], "epochs": 5}
    spec = {**tiny_spec, "teacher": teacher, "limits": {"trials": 1}, "final": None}
    (tmp_path / "tiny.json").write_text(json.dumps(spec), encoding="utf-8")
    interrupt("teacher_epoch", signal.SIGINT)
    stopped = run("search", "tiny.json", "--json")
    assert stopped.code == 130
    assert stopped.json["stop_reason"] == "user"
    assert stopped.json["teacher"]["accuracy"] is None
    costs = {"parameters", "weight_bytes", "peak_activation_bytes", "macs"}
    assert all(stopped.json["teacher"][name] > 0 for name in costs)
    assert stopped.json["budget"].keys() == {"parameters", "peak_activation_bytes"}
    assert "teacher: epoch 1 of 5" in stopped.err
    assert "teacher: epoch 2 of 5" not in stopped.err
    # And at once, while it goes on.
    interrupt("teacher_epoch", signal.SIGINT, signal.SIGINT)
    again = run("search", "tiny.json", "--json")
    assert again.code == 130
    assert "teacher: epoch 1 of 5" not in again.err
    assert "teacher: epoch 2 of 5" in again.err


def comparable(summary: dict[str, Any]) -> dict[str, Any]:
    """Without what a clock measured."""
    teacher = {name: value for name, value in summary["teacher"].items() if name != "latency_ms"}
    return {**summary, "teacher": teacher, "seconds": None}


def test_search_in_two_parts_and_without_cached_outputs_equals_one_in_a_piece(
    run, tmp_path, tiny_spec, searched
):
    (tmp_path / "tiny.json").write_text(json.dumps(tiny_spec), encoding="utf-8")
    stopped = run("search", "tiny.json", "--trials", 2)
    assert stopped.code == 0
    assert "2 trials" in stopped.out
    assert "autokd export tiny --best" in stopped.err
    outputs = tmp_path / "autokd.files" / "teacher-outputs"
    assert list(outputs.glob("*/*.npy"))

    shutil.rmtree(outputs)
    distillation = {**tiny_spec["distillation"], "teach_once": {"memory_limit": "1B"}}
    uncached = {**tiny_spec, "distillation": distillation}
    (tmp_path / "tiny.json").write_text(json.dumps(uncached), encoding="utf-8")
    continued = run("search", "tiny.json", "--json")
    assert continued.code == 0
    assert comparable(continued.json) == comparable(searched.summary)
    assert search_trials(run) == search_trials(run, searched.storage)
    assert not list(outputs.glob("*/*.npy"))
