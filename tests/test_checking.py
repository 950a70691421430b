"""What a study file means, said without training."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from autokd import checking
from autokd.assemble import Given
from autokd.budget import COST_METRICS
from autokd.checking import check_study
from autokd.errors import SpecError
from autokd.spec import StudySpec, read_study


@pytest.fixture(autouse=True)
def one_thread_in_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def read(spec: dict[str, Any], **fields: Any) -> StudySpec:
    return read_study({**spec, **fields})


def test_sizes_are_in_order_and_limits_in_absolute_numbers(tiny_spec):
    result = check_study(read(tiny_spec), samples=20)
    teacher = result["teacher"]
    assert teacher["parameters"] == 77_754
    assert result["budget"] == pytest.approx(
        {
            "parameters": 0.2 * teacher["parameters"],
            "peak_activation_bytes": 0.9 * teacher["peak_activation_bytes"],
        }
    )
    sizes = [result[name]["parameters"] for name in ("smallest", "median", "largest")]
    assert sizes == sorted(sizes)
    assert sizes[-1] <= result["budget"]["parameters"]
    assert result["samples"] == 20
    assert result["nearest"] is None


def test_same_study_gives_the_same_answer_but_for_the_time(tiny_spec):
    first, second = (check_study(read(tiny_spec), samples=10) for _ in range(2))
    for result in (first, second):
        del result["estimated_seconds"], result["teacher_seconds"]
    assert first == second


def test_global_generator_is_left_alone(tiny_spec):
    before = torch.random.get_rng_state()
    check_study(read(tiny_spec), samples=3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_share_of_the_space_within_the_budget_is_between_none_and_all(tiny_spec):
    loose = check_study(read(tiny_spec, budget={}), samples=20)
    tight = check_study(read(tiny_spec, budget={"parameters": "15k", "macs": "110k"}), samples=20)
    none = check_study(read(tiny_spec, budget={"macs": 1000}), samples=20)
    assert loose["feasible_share"] == 1
    assert 0 < tight["feasible_share"] < 1
    assert none["feasible_share"] == 0
    assert none["nearest"].startswith("the nearest has ")
    assert none["nearest"].endswith("x the limit of macs")


def test_time_grows_with_the_work(tiny_spec):
    epochs = {"min_epochs": 3, "max_epochs": 27}
    short = check_study(read(tiny_spec), samples=3)
    long = check_study(
        read(tiny_spec, fidelity=epochs, limits={"trials": 300}, final=None), samples=3
    )
    assert long["estimated_seconds"] > 5 * short["estimated_seconds"]


def test_limit_of_epochs_bounds_the_estimate(tiny_spec):
    many = read(tiny_spec, limits={"trials": 100_000}, final=None)
    few = read(tiny_spec, limits={"trials": 100_000, "epochs": 10}, final=None)
    estimates = [check_study(spec, samples=3)["estimated_seconds"] for spec in (few, many)]
    assert estimates[0] < estimates[1] / 10


def test_given_weights_need_no_training(tiny_spec, tmp_path):
    from safetensors.torch import save_file

    from autokd.task import Task
    from autokd.teacher import build_teacher_network

    network = build_teacher_network("resnet8", Task((1, 8, 8), 10))
    save_file(network.state_dict(), tmp_path / "teacher.safetensors")
    teacher = {"model": "resnet8", "weights": str(tmp_path / "teacher.safetensors")}
    assert check_study(read(tiny_spec, teacher=teacher), samples=3)["teacher_seconds"] == 0


def test_own_teacher_and_space_are_checked_too(tiny_spec):
    from torch import nn

    from search_spaces.hierarchical_graph import HierarchicalGraph

    teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 10))
    spec = read(tiny_spec, teacher={"model": "custom"}, space={"name": "custom"}, budget={})
    space = HierarchicalGraph(top_nodes=(3, 3), middle_nodes=(1, 1), bottom_nodes=(2, 3))
    result = check_study(spec, samples=3, given=Given(teacher=teacher, space=space))
    assert result["teacher"]["parameters"] == 64 * 300 + 300 + 300 * 10 + 10
    assert result["teacher_seconds"] == 0


def test_space_whose_graphs_take_long_is_sampled_less(tiny_spec, monkeypatch):
    monkeypatch.setattr(checking, "_SAMPLING_SECONDS", 0)
    told = []
    result = check_study(read(tiny_spec), samples=20, report=told.append)
    assert result["samples"] == 1
    assert result["feasible_share"] in (0, 1)
    assert told == [1]


def test_batch_beyond_all_memory_takes_no_more_than_the_images_there_are(tiny_spec):
    training = {"batch_size": 10**12, "warmup_epochs": 0}
    teacher = {**tiny_spec["teacher"], "training": training}
    result = check_study(read(tiny_spec, training=training, teacher=teacher), samples=1)
    assert 0 <= result["teacher_seconds"] <= result["estimated_seconds"]


def test_limit_relative_to_the_teachers_latency_is_measured(tiny_spec):
    spec = read(tiny_spec, budget={"latency_ms": "100x"})
    assert check_study(spec, samples=3)["budget"]["latency_ms"] > 0


def test_torchvision_teacher_of_grey_images_is_measured_and_timed(tiny_spec):
    teacher = {"model": "torchvision/mobilenet_v3_small", "epochs": 1}
    data = {**tiny_spec["data"], "train_limit": 60}
    spec = read(tiny_spec, data=data, teacher=teacher, budget={"latency_ms": "100x"})
    result = check_study(spec, samples=1)
    assert result["teacher"]["parameters"] > 700_000
    assert result["budget"]["latency_ms"] == pytest.approx(100 * result["teacher"]["latency_ms"])


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"teacher": {"model": "resnet8", "mean": [0.5, 0.5], "std": [1, 1]}}, "teacher.mean"),
        ({"strategy": {"name": "tpe", "options": {"n_startup": 1}}}, "strategy.options"),
        ({"teacher": {"model": "resnet8", "weights": "missing.safetensors"}}, "teacher.weights"),
    ],
)
def test_what_a_search_would_refuse_is_refused(tiny_spec, fields, path):
    with pytest.raises(SpecError, match=path):
        check_study(read(tiny_spec, **fields), samples=3)


def test_cost_figures_are_complete(tiny_spec):
    result = check_study(read(tiny_spec), samples=3)
    exact = set(COST_METRICS) - {"latency_ms"}
    assert all(result[name].keys() >= exact for name in ("teacher", "smallest", "largest"))
