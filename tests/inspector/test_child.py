"""The child's end: what it answers, and that a request makes it neither train nor download."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from typing import Any

import numpy as np
import pytest
import torch

from autokd import checking
from autokd.assemble import Parts, teacher_cost
from autokd.cost import measure_cost
from autokd.inspector import child
from autokd.space import Architecture
from autokd.spec import read_study
from autokd.task import Task
from search_spaces.hierarchical_graph import HierarchicalGraph

DIGITS = Task((1, 8, 8), 10)


def answer(**request: Any) -> dict[str, Any]:
    answered: dict[str, Any] = json.loads(child.answer(json.dumps(request).encode()))
    return answered


def error_of(**request: Any) -> dict[str, Any]:
    error: dict[str, Any] = answer(**request)["error"]
    return error


@pytest.fixture
def architecture(tiny_spec: dict[str, Any]) -> Architecture:
    options = {name: value for name, value in tiny_spec["space"].items() if name != "name"}
    domain = HierarchicalGraph(**options).domain(DIGITS, 15_000)
    (choices,) = domain.sample(np.random.default_rng(0), 1)
    return Architecture("hierarchical_graph", choices, 3)


def test_check_says_what_the_command_says(tiny_spec, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    result = answer(id=7, do="check", spec=tiny_spec, samples=5)
    assert result["id"] == 7
    expected = checking.check_study(read_study(tiny_spec), samples=5)
    for timed in ("estimated_seconds", "teacher_seconds"):
        assert result["result"].pop(timed) >= 0
        del expected[timed]
    assert result["result"] == expected


def test_graph_has_the_totals_of_student_and_teacher(tiny_spec, architecture) -> None:
    result = answer(id=1, do="graph", spec=tiny_spec, architecture=architecture.to_json())["result"]
    with torch.device("meta"):
        network = HierarchicalGraph().build(architecture, DIGITS)
    assert result["totals"] == measure_cost(network, DIGITS).figures()
    assert result["teacher"] == Parts.of(read_study(tiny_spec)).teacher_cost.figures()
    assert result["nodes"][-1]["shape"] == [10]


def test_graph_needs_no_gpu_no_weights_and_no_package_of_the_search(
    tiny_spec, architecture
) -> None:
    spec = {
        **tiny_spec,
        "execution": {"device": "cuda"},
        "teacher": {"model": "custom", "weights": "gone.safetensors"},
        "strategy": {"name": "optuna", "hub": "samplers/nowhere"},
    }
    result = answer(id=1, do="graph", spec=spec, architecture=architecture.to_json())["result"]
    assert result["teacher"] == {}
    assert result["totals"]["parameters"] > 0


@pytest.mark.parametrize("name", ["resnet8", "wrn10_1", "torchvision/mobilenet_v3_small"])
def test_teacher_costs_what_a_search_records(tiny_spec, name: str) -> None:
    spec = read_study({**tiny_spec, "teacher": {"model": name}})
    assert teacher_cost(spec, DIGITS) == Parts.of(spec).teacher_cost


def test_a_candidate_that_somebody_names_is_judged_by_the_domain_of_its_study(tiny_spec) -> None:
    losses = [{"name": "kd", "temperature": {"low": 1, "high": 20}}]
    spec = {
        **tiny_spec,
        "space": {"name": "hierarchical_graph", "top_nodes": [3, 4]},
        "distillation": {"losses": losses},
    }
    choices = {
        "top_nodes": 3,
        "middle_nodes": 1,
        "bottom_nodes": 3,
        "parameter_fraction": 0.5,
    }
    candidate = {"choices": choices, "distillation": {"kd.temperature": 4}, "draw": 7}
    result = answer(id=1, do="admit", spec=spec, candidate=candidate)["result"]
    (limit,) = Parts.of(read_study(spec)).domain.parameters["parameter_limit"].choices
    assert result == {
        "space": "hierarchical_graph",
        "choices": {**choices, "parameter_limit": limit},
        "seed": 7,
    }
    wrong = {"choices": {**choices, "top_nodes": 5, "width": 3}, "distillation": {}}
    mistakes = error_of(id=1, do="admit", spec=spec, candidate=wrong)["mistakes"]
    assert [(each["path"], each["message"]) for each in mistakes] == [
        ("choices.width", "there is no such parameter"),
        ("choices.top_nodes", "expected a whole number from 3 to 4; got 5"),
        ("distillation.kd.temperature", "expected a number from 1.0 to 20.0; got nothing"),
    ]


def test_space_is_described(tiny_spec) -> None:
    result = answer(id=1, do="space", name="hierarchical_graph")["result"]
    assert result["name"] == "hierarchical_graph"
    assert "top_nodes" in [parameter["name"] for parameter in result["parameters"]]


def test_mistakes_are_data_with_their_paths(tiny_spec) -> None:
    spec = {**tiny_spec, "name": "a b", "budget": {"parameterz": 1}}
    error = error_of(id=1, do="check", spec=spec)
    assert (error["class"], error["exit_code"]) == ("SpecError", 2)
    assert [mistake["path"] for mistake in error["mistakes"]] == ["name", "budget.parameterz"]
    assert error["mistakes"][1]["hint"] == "did you mean 'parameters'?"


def test_unknown_names_are_data_with_a_hint() -> None:
    space = error_of(id=1, do="space", name="hierarchical_grap")
    assert space["class"] == "UnknownNameError"
    assert space["hint"] == "did you mean 'hierarchical_graph'?"
    assert error_of(id=1, do="chek")["hint"] == "did you mean 'check'?"


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[1]", b"\xff", b'{"do": "graph"}', b'{"do": "space", "name": []}']
)
def test_whatever_comes_is_answered(line: bytes) -> None:
    error = json.loads(child.answer(line))["error"]
    assert error.keys() <= {"class", "message", "hint", "exit_code", "mistakes"}
    assert "Traceback" not in json.dumps(error)


def test_a_check_downloads_nothing(tiny_spec, tmp_path, monkeypatch) -> None:
    fetched: list[object] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, *_, **__: fetched.append(url))
    data = {"name": "cifar10", "root": str(tmp_path), "download": True}
    for request in ({"do": "check"}, {"do": "graph", "architecture": {}}):
        error = error_of(id=1, spec={**tiny_spec, "data": data}, **request)
        assert "cifar10: expected the files" in error["message"]
    assert fetched == []
    assert list(tmp_path.iterdir()) == []


def test_a_check_runs_no_downloaded_code(tiny_spec) -> None:
    spec = {**tiny_spec, "strategy": {"name": "optuna", "hub": "samplers/auto_sampler"}}
    (mistake,) = error_of(id=1, do="check", spec=spec)["mistakes"]
    assert mistake["path"] == "strategy.hub"


def test_a_check_trains_nothing_and_writes_nothing(tiny_spec, tmp_path, monkeypatch) -> None:
    from autokd.evaluation import runner
    from autokd.teacher import trained

    def train(*_: object, **__: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(trained, "Training", train)
    monkeypatch.setattr(runner, "Training", train)
    monkeypatch.chdir(tmp_path)
    assert "result" in answer(id=1, do="check", spec=tiny_spec, samples=2)
    assert list(tmp_path.iterdir()) == []


def test_requests_from_a_pipe_are_answered_before_it_ends() -> None:
    requests = [{"id": number, "do": "space", "name": "none"} for number in (1, 2)]
    done = subprocess.run(
        [sys.executable, "-m", "autokd.inspector"],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["id"] for each in answers] == [1, 2]
    assert answers[0]["error"]["class"] == "UnknownNameError"
