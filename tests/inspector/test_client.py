"""The parent's end: whose turn it is, what it remembers, and children that do not answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from autokd.errors import AutokdError, DataError, SpecError
from autokd.inspector import (
    Inspector,
    InspectorBusyError,
    InspectorError,
    InspectorTimeoutError,
    client,
)
from autokd.space import Architecture

CHILD_SECONDS = 30
"""How long a test waits for what a child does, on a machine however busy."""


def test_one_child_answers_all(inspecting) -> None:
    inspector = inspecting()
    first, second = (inspector.space(name) for name in ("a", "b"))
    assert (first["name"], second["name"]) == ("a", "b")
    assert first["pid"] == second["pid"] != os.getpid()


def test_child_starts_when_it_is_first_asked(inspecting) -> None:
    inspector = inspecting(command=["/no/such/program"])
    with pytest.raises(InspectorError, match="cannot start the inspector: .*No such file"):
        inspector.space("a")


def test_each_of_many_threads_gets_its_own_answer(inspecting) -> None:
    inspector = inspecting()
    names = [f"space {number}" for number in range(40)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(inspector.space, names))
    assert [answer["name"] for answer in answers] == names
    assert len({answer["pid"] for answer in answers}) == 1


def test_threads_that_ask_the_same_at_once_ask_once(inspecting) -> None:
    inspector = inspecting()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(inspector.space, ["a"] * 40))
    assert {answer["asked"] for answer in answers} == {1}


def test_what_a_caller_does_to_an_answer_is_not_remembered(inspecting) -> None:
    inspector = inspecting()
    inspector.space("a").clear()
    inspector.space("a").clear()
    assert inspector.space("a")["asked"] == 1


def test_only_so_many_answers_are_remembered_the_newest(inspecting, monkeypatch) -> None:
    monkeypatch.setattr(client, "_REMEMBERED", 2)
    inspector = inspecting()
    asked = [inspector.space(name)["asked"] for name in ("a", "b", "a", "c", "a", "b")]
    assert asked == [1, 2, 1, 3, 1, 4]


def test_a_graph_is_remembered_by_all_that_shapes_it_and_no_more(inspecting) -> None:
    inspector = inspecting()
    spec: dict[str, Any] = {"name": "x", "data": 1, "space": 2, "teacher": 3, "limits": 4}
    one, other = (Architecture("s", {"width": width}) for width in (1, 2))

    def asked(architecture: Architecture, **changes: Any) -> int:
        number: int = inspector.graph({**spec, **changes}, architecture)["asked"]
        return number

    assert asked(one) == asked(one, name="y", limits=5) == 1
    assert [asked(other), asked(one, data=9), asked(one, space=9), asked(one, teacher=9)] == [
        2,
        3,
        4,
        5,
    ]


def test_a_check_is_made_anew_each_time(inspecting) -> None:
    inspector = inspecting()
    assert [inspector.check({})["asked"] for _ in range(2)] == [1, 2]


def test_child_that_takes_too_long_is_killed_and_the_next_request_has_a_new_one(inspecting) -> None:
    inspector = inspecting()
    first = inspector.space("a")["pid"]
    inspector._seconds = 0.05
    with pytest.raises(InspectorTimeoutError, match=r"within 0\.05 s; this takes longer"):
        inspector.space("hang")
    assert not psutil.pid_exists(first)
    inspector._seconds = 60
    assert inspector.space("b")["pid"] != first


def test_a_request_whose_turn_does_not_come_is_given_up(inspecting) -> None:
    inspector = inspecting(seconds=0.01)
    with inspector._turn, pytest.raises(InspectorBusyError, match="what others have asked"):
        inspector.space("a")


def test_child_that_dies_is_told_of_and_replaced(inspecting) -> None:
    inspector = inspecting()
    with pytest.raises(InspectorError, match=r"ended without one \(exit code -9\)") as caught:
        inspector.space("kill")
    assert not isinstance(caught.value, InspectorTimeoutError)
    assert "memory" in (caught.value.hint or "")
    assert inspector.space("a")["name"] == "a"


def test_child_that_has_died_between_requests_is_replaced(inspecting) -> None:
    inspector = inspecting()
    first = inspector.space("a")["pid"]
    os.kill(first, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(first)] if psutil.pid_exists(first) else [], CHILD_SECONDS)
    assert inspector.space("b")["pid"] != first


def test_idle_child_ends_and_the_next_request_has_a_new_one(inspecting) -> None:
    inspector = inspecting(idle_seconds=0.01)
    first = inspector.space("a")["pid"]
    child = inspector._child
    assert child is not None
    assert child.wait(CHILD_SECONDS) == 0
    assert inspector.space("b")["pid"] != first


def test_request_that_an_idle_child_did_not_see_any_more_is_asked_again(
    inspecting, tmp_path
) -> None:
    inspector = inspecting()
    first = inspector.space("a")["pid"]
    assert inspector.space(f"leave:{tmp_path / 'left'}")["pid"] != first


def test_child_that_never_answers_is_not_asked_for_ever(inspecting) -> None:
    inspector = inspecting(command=[sys.executable, "-c", "pass"])
    with pytest.raises(InspectorError, match="exit code 0"):
        inspector.space("a")


def test_what_a_library_prints_is_no_answer(inspecting, capfd) -> None:
    inspector = inspecting()
    assert inspector.space("print:noise")["name"] == "print:noise"
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.split() == ["noise", "noise"]


def test_errors_of_ours_come_back_as_they_were(inspecting) -> None:
    inspector = inspecting()
    with pytest.raises(SpecError) as spec:
        inspector.space("misspell")
    assert [(m.path, m.message, m.hint) for m in spec.value.mistakes] == [
        ("data.name", "wrong", "do this"),
        ("", "bad", None),
    ]
    assert "the study has 2 mistakes" in spec.value.message
    with pytest.raises(DataError) as data:
        inspector.space("data")
    assert (data.value.message, data.value.hint) == ("no such file", "look")
    with pytest.raises(AutokdError, match="of a module") as other:
        inspector.space("other")
    assert type(other.value) is AutokdError


@pytest.mark.parametrize("order", ["crash", "exit", "nan"])
def test_unexpected_errors_say_nothing_but_to_the_log(inspecting, capfd, order: str) -> None:
    inspector = inspecting()
    with pytest.raises(InspectorError, match="nobody foresaw") as caught:
        inspector.space(order)
    assert "secret" not in str(caught.value)
    assert "Traceback" in capfd.readouterr().err
    assert inspector.space("a")["name"] == "a"


def test_errors_are_not_remembered(inspecting, tmp_path) -> None:
    inspector = inspecting()
    for _ in range(2):
        with pytest.raises(InspectorError):
            inspector.space("crash")
    assert inspector.space("a")["asked"] == 1


def test_closed_inspector_has_no_child_and_takes_no_request(inspecting) -> None:
    inspector = inspecting()
    pid = inspector.space("a")["pid"]
    inspector.close()
    inspector.close()
    assert not psutil.pid_exists(pid)
    with pytest.raises(InspectorError, match="closed"):
        inspector.space("b")


def test_closing_ends_a_request_under_way(inspecting, tmp_path) -> None:
    inspector = inspecting()
    fifo = tmp_path / "begun"
    os.mkfifo(fifo)
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            inspector.space(f"hang:{fifo}")
        except InspectorError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    pid = int(fifo.read_text())  # comes when the child has begun
    inspector.close()
    thread.join(CHILD_SECONDS)
    assert len(caught) == 1
    assert not psutil.pid_exists(pid)


def test_busy_child_ends_with_its_parent_however_that_ends(child_command, tmp_path) -> None:
    fifo = tmp_path / "begun"
    os.mkfifo(fifo)
    code = (
        "import json, sys\n"
        "from autokd.inspector import Inspector\n"
        "Inspector(command=json.loads(sys.argv[1])).space(f'hang:{sys.argv[2]}')\n"
    )
    arguments = [json.dumps(child_command), str(fifo)]
    parent = subprocess.Popen([sys.executable, "-c", code, *arguments])
    child = psutil.Process(int(Path(fifo).read_text()))
    parent.kill()
    parent.wait(CHILD_SECONDS)
    assert psutil.wait_procs([child], timeout=CHILD_SECONDS)[1] == []


def test_inspector_is_used_as_a_context() -> None:
    with Inspector() as inspector:
        assert inspector._child is None
