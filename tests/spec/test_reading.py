from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autokd.errors import SpecError
from autokd.spec import StudySpec, names, read_study, study_schema

Mistakes = Callable[[Any], list[str]]

_FULL: dict[str, Any] = {
    "name": "full",
    "data": {
        "name": "cifar10",
        "root": "images",
        "augmentation": {"pad": 4, "flip": True},
        "memory_limit": "64MiB",
    },
    "teacher": {"model": "wrn16_2", "weights": "t.safetensors", "mean": [0.5], "std": [0.25]},
    "space": {"name": "hierarchical_graph", "nodes": [3, 10]},
    "distillation": {
        "losses": [{"name": "kd", "temperature": {"low": 1, "high": 20, "log": True}}],
        "task_weight": 0.1,
    },
    "budget": {"parameters": "0.1x", "peak_activation_bytes": "64KiB", "latency_ms": 5},
    "objectives": [
        {"metric": "accuracy", "direction": "maximize"},
        {"metric": "macs", "direction": "minimize"},
    ],
    "strategy": {"name": "optuna", "sampler": "QMCSampler", "options": {"scramble": True}},
    "fidelity": {"min_epochs": 3, "max_epochs": 27},
    "training": {"batch_size": 64, "weight_decay": 1e-4},
    "limits": {"trials": 10, "seconds": 60},
    "final": None,
    "execution": {"device": "cpu"},
    "seed": 3,
}


def test_the_smallest_study_has_every_default(study: dict[str, Any]) -> None:
    spec = read_study(study)
    assert spec.strategy.name == "bayesian"
    assert [objective.metric for objective in spec.objectives] == ["accuracy"]
    assert spec.final is not None
    assert spec.budget.given() == {}


def test_yaml_json_and_a_mapping_are_the_same_study(tmp_path: Path) -> None:
    as_yaml, as_json = tmp_path / "study.yaml", tmp_path / "study.json"
    as_yaml.write_text(yaml.safe_dump(_FULL))
    as_json.write_text("\ufeff" + json.dumps(_FULL), encoding="utf-8")
    assert read_study(as_yaml) == read_study(str(as_json)) == read_study(_FULL)


def test_a_study_is_equal_after_a_round_trip(study: dict[str, Any], tmp_path: Path) -> None:
    for data in (study, _FULL):
        spec = read_study(data)
        file = tmp_path / "study.json"
        file.write_text(json.dumps(spec.model_dump(mode="json")))
        assert read_study(file) == spec
        assert read_study(spec.model_dump()) == spec
        assert read_study(file).identity == spec.identity


def test_paths_are_kept_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(_FULL))
    assert read_study(file).teacher.weights == Path("t.safetensors")


def test_all_mistakes_are_reported_at_once_with_their_paths(mistakes: Mistakes) -> None:
    study = {
        "name": "two words",
        "data": {"name": "cifar", "rot": "x"},
        "teacher": {"model": "resnet21", "epochs": -3, "std": [0.0]},
        "space": {"name": "hierarchical_graf"},
        "distilation": {"losses": []},
        "budget": {"parameters": "2MB", "macs": []},
        "objectives": [{"metric": "acuracy", "direction": "maximize"}],
        "strategy": {"name": "tp"},
        "fidelity": {"min_epochs": 1.5, "max_epochs": True},
        "limits": {"trials": "10", "seconds": float("inf")},
        "execution": {"executor": "ray"},
        "final": 3,
        "seed": -1,
    }
    found = dict(line.split(": ", 1) for line in mistakes(study))
    assert found.pop("data.name").endswith("got 'cifar' (did you mean 'cifar10'?)")
    assert found.pop("teacher.model").endswith("got 'resnet21' (did you mean 'resnet32'?)")
    assert found.pop("objectives.0.metric").endswith("(did you mean 'accuracy'?)")
    assert found.pop("name").startswith("expected at most 100 letters, digits, '.', '_' and '-'")
    assert found == {
        "data.rot": "unknown field (did you mean 'root'?)",
        "teacher.epochs": "expected a positive integer; got -3",
        "teacher.std.0": "expected a positive number; got 0.0",
        "space.name": "expected one of 'hierarchical_graph', 'tiny_chain'; got "
        "'hierarchical_graf' (did you mean 'hierarchical_graph'?)",
        "distilation": "unknown field (did you mean 'distillation'?)",
        "budget.parameters": "expected a count, like 20k, 1.5M or 0.1x of the teacher's; got '2MB'",
        "budget.macs": "expected a positive number with an optional unit, like 20k, 1.5M, 64KiB, "
        "2MB or 0.1x; got []",
        "strategy.name": "expected one of 'bayesian', 'trade', 'autokd', 'autokd_gp', "
        "'regularized_evolution', 'cmaes', 'smac', 'ax', 'random', 'tpe', 'nsga2', 'nsga3', 'gp', "
        "'optuna'; got 'tp' (did you mean 'tpe'?)",
        "fidelity.min_epochs": "expected an integer; got 1.5",
        "fidelity.max_epochs": "expected an integer; got true",
        "limits.trials": "expected an integer; got '10'",
        "limits.seconds": "expected a finite number; got inf",
        "execution.executor": "expected 'local'; got 'ray'",
        "final": "expected a mapping of fields; got 3",
        "seed": "expected an integer >= 0; got -1",
    }


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("data", {}, "data.name: expected a value; got nothing"),
        ("data", "digits", "data: expected a mapping of fields; got 'digits'"),
        ("data", {"name": "npz"}, "data.path: expected a value; got nothing"),
        ("data", {"name": "digits", "root": "x"}, "data.root: unknown field (known here: "),
        (
            "data",
            {"name": "digits", "validation": 1},
            "data.validation: expected a number < 1; got",
        ),
        ("strategy", {}, "strategy.name: expected a value; got nothing"),
        (
            "strategy",
            {"name": 3},
            "strategy.name: expected one of 'bayesian', 'trade',",
        ),
        ("strategy", {"name": "random", "options": {}}, "strategy.options: unknown field (known"),
        (
            "strategy",
            {"name": "optuna"},
            "strategy: expected `sampler: <class in optuna.samplers>`",
        ),
        ("objectives", [], "objectives: expected at least 1 in the list; got none"),
        ("objectives", {}, "objectives: expected a list; got an empty mapping"),
        ("budget", {"latency_ms": "5MB"}, "budget.latency_ms: expected milliseconds, like 5ms or"),
        ("teacher", {"model": 20}, "teacher.model: expected text; got 20 (put it in quotes)"),
        (
            "teacher",
            {"model": "resnet20", "mean": [1]},
            "teacher: expected `mean` and `std` togeth",
        ),
        ("final", {"top": 0}, "final.top: expected a positive integer; got 0"),
        ("limits", None, "limits: expected a mapping of fields; got nothing (null)"),
        ("name", "x" * 101, "name: expected at most 100 letters"),
        ("seed", 2**64, "seed: expected an integer of at most 63 bits; got a larger one"),
        (
            "training",
            {"warmup_epochs": 10},
            "training: expected warmup_epochs of at most fidelity.",
        ),
        (
            "teacher",
            {"model": "resnet20", "epochs": 2, "training": {"warmup_epochs": 3}},
            "teacher.training: expected warmup_epochs of at most the teacher's epochs (2); got 3",
        ),
        (
            "objectives",
            [{"metric": "macs", "direction": "minimize"}],
            "objectives: expected 'accuracy' or 'loss' among the metrics; got ['macs']",
        ),
        (
            "objectives",
            [{"metric": "accuracy", "direction": "maximize"}] * 2,
            "objectives: expected each objective once; got 'accuracy' again",
        ),
        (
            "distillation",
            {"losses": [{"name": "kdd"}]},
            "distillation.losses.0.name: expected 'kd'; got 'kdd' (did you mean 'kd'?)",
        ),
        (
            "distillation",
            {"losses": [{"name": "kd", "temperature": {"low": 1, "last": 2}}]},
            "distillation.losses.0.temperature.high: expected a value; got nothing",
        ),
        (
            "distillation",
            {"losses": [{"name": "kd", "weight": "much"}]},
            "distillation.losses.0.weight: expected a number; got 'much'",
        ),
        (
            "strategy",
            {"name": "regularized_evolution", "population": 4},
            "strategy: expected a sample of at most the population (4); got 5",
        ),
        (
            "distillation",
            {"losses": [{"name": "kd", "weight": 0}], "task_weight": 0},
            "distillation: expected a weight above 0, of a loss or as task_weight",
        ),
        (
            "distillation",
            {"losses": [{"name": "kd", "weight": {"low": 0, "high": 1}}], "task_weight": 0},
            "distillation: expected a weight above 0, of a loss or as task_weight",
        ),
    ],
)
def test_a_mistake_says_what_was_expected_and_what_was_got(
    study: dict[str, Any], mistakes: Mistakes, field: str, value: Any, line: str
) -> None:
    assert mistakes({**study, field: value})[0].startswith(line)


def test_a_misspelt_field_is_one_mistake_not_also_a_missing_one(
    study: dict[str, Any], mistakes: Mistakes
) -> None:
    study["fidelitty"] = study.pop("fidelity")
    assert mistakes(study) == ["fidelitty: unknown field (did you mean 'fidelity'?)"]


def test_wrong_items_do_not_make_their_list_too_short(
    study: dict[str, Any], mistakes: Mistakes
) -> None:
    study["distillation"]["losses"] = [{"name": "kd", "weight": -1}]
    assert len(mistakes(study)) == 1


def test_the_error_names_the_file_and_counts_the_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("name: x\nname: y\n")
    with pytest.raises(SpecError) as caught:
        read_study(file)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{file} has 6 mistakes:"
    assert lines[1] == "  name: expected each field once; got it in lines 1 and 2"
    assert lines[2] == "  data: expected a value; got nothing"
    assert caught.value.exit_code == 2


def test_a_file_that_is_missing_is_refused_with_the_nearest_name(
    tmp_path: Path, mistakes: Mistakes
) -> None:
    (tmp_path / "digits.yaml").touch()
    assert mistakes(tmp_path / "digit.yaml") == [
        "expected a study file; got no such file (did you mean 'digits.yaml'?)"
    ]
    assert mistakes(tmp_path / "no" / "folder.yaml") == ["expected a study file; got no such file"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "expected the fields of a study; got an empty file (studies/digits.yaml is"),
        (b"# nothing\n", "expected the fields of a study; got an empty file"),
        (b"\x89PNG\r\n", "expected UTF-8 text; got 0x89 at byte 0"),
        (b"PK\x03\x04", "expected YAML; got what cannot be read: unacceptable character"),
        (b"- a\n- b\n", "expected a mapping of fields; got a list"),
        (b"just words", "expected a mapping of fields; got 'just words'"),
        (b"a: [1,", "expected YAML; got, in line 1, column 7"),
        (b"# " + b"x" * 1_000_000, "expected a study file of at most 1 MB; got a larger file"),
    ],
)
def test_a_file_that_is_no_study_is_one_mistake(
    tmp_path: Path, mistakes: Mistakes, content: bytes, line: str
) -> None:
    file = tmp_path / "study.yaml"
    file.write_bytes(content)
    found = mistakes(file)
    assert len(found) == 1
    assert found[0].startswith(line)


def test_a_path_that_cannot_be_read_is_one_mistake(tmp_path: Path, mistakes: Mistakes) -> None:
    assert mistakes(tmp_path) == ["expected a readable file; got: Is a directory"]
    assert mistakes("a\0b.yaml") == ["expected a readable file; got: embedded null byte"]


def test_without_any_search_space_the_package_is_to_be_installed(
    study: dict[str, Any], mistakes: Mistakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "search_space_names", lambda: ("custom",))
    assert mistakes(study)[0].endswith("(no search space is installed: `pip install .`)")


def test_the_schema_explains_every_field() -> None:
    schema = study_schema()
    json.dumps(schema, allow_nan=False)
    objects = {"StudySpec": schema, **schema["$defs"]}
    unexplained = [
        f"{name}.{field}"
        for name, definition in objects.items()
        for field, body in definition.get("properties", {}).items()
        if "description" not in body
    ]
    assert unexplained == []
    assert all("description" in definition for definition in objects.values())
    assert set(schema["required"]) == {
        "name",
        "data",
        "teacher",
        "space",
        "distillation",
        "fidelity",
    }


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["kd", "tpe", "digits", "npz", "1x", "20k", b"", Path("x")])
    | st.just(5_000).map(lambda digits: 10**digits),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "low", "high", "losses", "model", "parameters"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
        | st.tuples(inner)
    ),
    max_leaves=6,
)


def _places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values in nested dictionaries and lists, the whole included."""
    children = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    return [path, *(place for key, value in children for place in _places(value, (*path, key)))]


@st.composite
def _mutations(draw: st.DrawFn) -> dict[str, Any]:
    """A valid study with one to three values replaced, removed or added."""
    data = copy.deepcopy(_FULL)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(_places(data)[1:]))
        parent: Any = data
        for key in place[:-1]:
            parent = parent[key]
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove":
            del parent[place[-1]]
        elif action == "add" and isinstance(parent, dict):
            parent[draw(st.text(max_size=4) | st.integers())] = draw(_VALUES)
        else:
            parent[place[-1]] = draw(_VALUES)
        if not data:
            break
    return data


@given(_mutations())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mutation_of_a_study_is_a_study_or_a_spec_error(data: dict[str, Any]) -> None:
    try:
        spec = read_study(data)
    except SpecError as error:
        assert error.mistakes
        str(error).encode()
    else:
        assert isinstance(spec, StudySpec)
        assert read_study(json.loads(json.dumps(spec.model_dump(mode="json")))) == spec


@given(st.text() | st.binary().map(lambda content: content.decode("latin-1")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_study_or_a_spec_error(tmp_path: Path, text: str) -> None:
    for name in ("study.yaml", "study.json"):
        file = tmp_path / name
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(SpecError):
            read_study(file)
