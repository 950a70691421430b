"""Every command on a study that has been searched, with and without `--json`."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from pathlib import Path

import pytest

COMMANDS = (
    ("search",),
    ("check",),
    ("front",),
    ("export",),
    ("study", "list"),
    ("study", "show"),
    ("study", "create"),
    ("study", "watch"),
    ("study", "pause"),
    ("study", "resume"),
    ("study", "stop"),
    ("study", "cancel"),
    ("study", "extend"),
    ("study", "clone"),
    ("study", "delete"),
    ("study", "undelete"),
    ("study", "purge"),
    ("trial", "show"),
    ("trial", "logs"),
    ("spaces", "list"),
    ("spaces", "show"),
    ("spec", "schema"),
    ("db", "upgrade"),
)

# The keys that the commission fixes; there may be more.
SUMMARY = {"study", "state", "stop_reason", "trials", "teacher", "objectives", "front", "final"}
COUNTS = {"total", "complete", "pruned", "infeasible", "failed"}
COST = {"parameters", "weight_bytes", "peak_activation_bytes", "macs"}
FRONT = {"trial", "candidate", "accuracy", "choices", "distillation"} | COST
FINAL = {
    "trial",
    "validation_accuracy",
    "test_accuracy",
    "test_accuracy_sd",
    "baseline_test_accuracy",
    "ece",
}


def test_version_is_printed(run):
    import autokd

    ended = run("--version")
    assert (ended.code, ended.out) == (0, f"{autokd.__version__}\n")


@pytest.mark.parametrize("command", [(), *COMMANDS], ids=" ".join)
def test_every_command_has_help(run, command):
    ended = run(*command, "--help")
    assert ended.code == 0
    assert "Usage: " in ended.out
    assert ended.err == ""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_offers_json(run, command):
    assert "--json" in run(*command, "--help").out


# search


def test_search_prints_nothing_but_json_on_stdout_and_progress_on_stderr(searched):
    assert searched.code == 0
    json.loads(searched.stdout)
    assert "teacher: epoch 1 of 1" in searched.stderr
    assert len(re.findall(r"^trial \d: (complete|paused) at", searched.stderr, re.M)) >= 3
    assert "final stage" in searched.stderr
    assert "Traceback" not in searched.stderr


def test_json_of_search_has_the_promised_keys(searched):
    summary = searched.summary
    assert summary.keys() >= SUMMARY
    assert summary["trials"].keys() >= COUNTS
    assert summary["teacher"].keys() >= COST | {"accuracy"}
    assert all(row.keys() >= FRONT for row in summary["front"])
    assert all(row.keys() >= FINAL for row in summary["final"])
    assert summary["objectives"] == [
        {"metric": "accuracy", "direction": "maximize"},
        {"metric": "parameters", "direction": "minimize"},
    ]


def test_search_found_students_within_the_budget_and_tested_the_best(searched):
    summary = searched.summary
    assert (summary["study"], summary["state"]) == ("tiny", "completed")
    assert summary["stop_reason"] == "trials"
    counts = summary["trials"]
    assert counts["total"] == 3 == counts["complete"] + counts["pruned"]
    teacher = summary["teacher"]
    for row in summary["front"]:
        assert row["parameters"] <= 0.2 * teacher["parameters"]
        assert row["peak_activation_bytes"] <= 0.9 * teacher["peak_activation_bytes"]
        assert row["distillation"].keys() == {"kd.temperature", "kd.weight"}
    (final,) = summary["final"]
    assert final["trial"] in {row["trial"] for row in summary["front"]}
    assert 0.5 < final["test_accuracy"] <= 1
    assert 0 <= final["ece"] <= 1


def test_search_again_has_nothing_left_to_do(run, own_copy, searched):
    ended = run("search", "tiny.json", "--json")
    assert ended.code == 0
    assert ended.json == searched.summary
    assert "nothing was left to do" in ended.err
    assert "trial " not in ended.err


def test_quiet_search_says_nothing_about_progress(run, own_copy):
    ended = run("search", "tiny.json", "--quiet", "--json")
    assert ended.code == 0
    assert ended.json["study"] == "tiny"


# check


def test_check_says_what_the_study_means(run, own_copy):
    ended = run("check", "tiny.json", "--samples", 20)
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].split() == ["figure", "teacher", "smallest", "median", "largest", "budget"]
    assert lines[1].split()[:2] == ["parameters", "77,754"]
    assert "feasible: " in ended.out
    assert "estimated time: " in ended.out


def test_check_as_json_has_absolute_budgets(run, own_copy):
    ended = run("check", "tiny.json", "--samples", 20, "--json")
    assert ended.code == 0
    result = ended.json
    assert result["budget"]["parameters"] == pytest.approx(0.2 * result["teacher"]["parameters"])
    assert 0 < result["feasible_share"] <= 1
    assert result["smallest"]["parameters"] <= result["largest"]["parameters"]
    assert result["estimated_seconds"] >= result["teacher_seconds"] >= 0


# front


def test_front_shows_teacher_budget_students_and_what_distillation_gave(run, searched):
    ended = run("front", "tiny", "--storage", searched.storage)
    assert ended.code == 0
    assert "Pareto front (validation split)" in ended.out
    assert "test without KD" in ended.out
    words = [line.split()[0] for line in ended.out.splitlines() if line.strip()]
    assert "teacher" in words
    assert "budget" in words
    best = searched.summary["final"][0]
    assert f"{100 * best['test_accuracy']:.2f} %" in ended.out
    assert f"{best['parameters']:,}" in ended.out


def test_front_as_json_equals_that_of_the_search(run, searched):
    ended = run("front", "tiny", "--storage", searched.storage, "--json")
    assert (ended.code, ended.json) == (0, searched.summary)


def test_storage_may_come_from_the_environment_and_the_study_be_a_number(
    run, searched, monkeypatch
):
    monkeypatch.setenv("AUTOKD_STORAGE", searched.storage)
    assert run("front", "1", "--json").json == searched.summary


@pytest.mark.parametrize("suffix", ["png", "svg", "html"])
def test_front_is_drawn(run, searched, tmp_path, suffix):
    picture = tmp_path / "pictures" / f"front.{suffix}"
    ended = run("front", "tiny", "--storage", searched.storage, "--plot", picture, "--json")
    assert (ended.code, ended.json) == (0, searched.summary)
    assert f"drawn: {picture}" in ended.err
    assert picture.stat().st_size > 5000


def test_front_in_an_unknown_kind_of_picture_is_refused(run, searched, tmp_path):
    ended = run("front", "tiny", "--storage", searched.storage, "--plot", "front.pdf")
    assert (ended.code, ended.out) == (2, "")
    assert "expected one of '.html', '.png', '.svg'" in ended.err
    assert not (tmp_path / "front.pdf").exists()


# study, trial


def test_studies_are_listed(run, searched):
    ended = run("study", "list", "--storage", searched.storage)
    assert ended.code == 0
    header, row = ended.out.splitlines()
    assert header.split() == ["id", "study", "state", "reason", "created", "searched"]
    assert row.split()[:4] == ["1", "tiny", "completed", "trials"]
    (listed,) = run("study", "list", "--storage", searched.storage, "--json").json
    assert (listed["study"], listed["state"], listed["stop_reason"]) == (
        "tiny",
        "completed",
        "trials",
    )


def test_a_study_is_shown_with_its_spec_and_all_its_trials(run, searched, tiny_spec):
    shown = run("study", "show", "tiny", "--storage", searched.storage, "--json").json
    assert shown.keys() >= SUMMARY | {"spec", "all_trials"}
    assert shown["spec"]["teacher"]["model"] == tiny_spec["teacher"]["model"]
    kinds = [trial["kind"] for trial in shown["all_trials"]]
    assert sorted(kinds) == ["baseline", "final", "search", "search", "search"]
    text = run("study", "show", "tiny", "--storage", searched.storage).out
    assert all(re.search(rf"^ *{row['trial']} ", text, re.M) for row in shown["all_trials"])


def test_a_deleted_study_can_be_brought_back(run, own_copy):
    ended = run("study", "delete", "tiny", "--yes", "--json")
    assert (ended.code, ended.json) == (0, {"id": 1, "study": "tiny", "deleted": True})
    assert "autokd study undelete 1 brings it back" in ended.err.replace("`", "")
    assert run("study", "list", "--json").json == []
    assert run("study", "list", "--deleted", "--json").json[0]["study"] == "tiny"
    gone = run("front", "1")
    assert (gone.code, "was deleted" in gone.err) == (3, True)
    assert run("front", "tiny").code == 3
    assert run("study", "undelete", "tiny", "--json").json["state"] == "completed"
    assert run("front", "tiny").code == 0


def test_a_deleted_study_is_purged_with_its_files(run, own_copy):
    files = own_copy / "autokd.files" / "studies" / "1"
    assert files.is_dir()
    refused = run("study", "purge", "tiny", "--yes")
    assert (refused.code, "'tiny' is not deleted" in refused.err) == (4, True)
    run("study", "delete", "tiny", "--yes")
    ended = run("study", "purge", "1", "--yes", "--json")
    assert ended.code == 0
    assert ended.json.pop("bytes") > 10_000
    assert not files.exists()
    assert run("study", "list", "--deleted", "--json").json == []
    assert run("study", "purge", "tiny", "--yes").code == 3


def test_deletion_is_asked_for(run, own_copy, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    ended = run("study", "delete", "tiny")
    assert ended.code == 1
    assert ended.out.strip() == ""
    assert "Delete tiny?" in ended.err
    assert len(run("study", "list", "--json").json) == 1


def test_deletion_without_a_terminal_to_ask_on_wants_a_flag(run, own_copy, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    ended = run("study", "delete", "tiny")
    assert (ended.code, ended.out) == (2, "")
    assert "pass --yes" in ended.err
    assert len(run("study", "list", "--json").json) == 1


def test_a_study_whose_process_is_gone_is_interrupted(run, own_copy):
    with sqlite3.connect(own_copy / "autokd.db") as connection:
        connection.execute("UPDATE study SET state = 'running'")
    connection.close()
    assert run("study", "list", "--json").json[0]["state"] == "interrupted"
    assert run("study", "show", "tiny", "--json").json["state"] == "interrupted"
    assert "tiny: interrupted" in run("front", "tiny").out


def test_a_trial_is_shown_with_its_rungs_and_attempts(run, searched):
    number = searched.summary["front"][0]["trial"]
    shown = run("trial", "show", "tiny", number, "--storage", searched.storage, "--json").json
    assert shown["state"] == "complete"
    assert [rung["epochs"] for rung in shown["rungs"]] == [1, 2]
    assert [attempt["state"] for attempt in shown["attempts"]] == ["done", "done"]
    assert all(Path(attempt["log"]).is_file() for attempt in shown["attempts"])
    text = run("trial", "show", "tiny", number, "--storage", searched.storage).out
    assert f"trial {number} of tiny (search): complete after 2 epochs" in text
    assert "parameter_fraction" in text


def test_logs_of_a_trial_are_printed(run, searched):
    number = searched.summary["front"][0]["trial"]
    ended = run("trial", "logs", "tiny", number, "--storage", searched.storage)
    assert ended.code == 0
    assert "epoch 2 of 2: training loss" in ended.out
    assert "--- attempt 2: done" in ended.err
    first, second = run(
        "trial", "logs", "tiny", number, "--storage", searched.storage, "--json"
    ).json
    assert first["text"] + second["text"] == ended.out


@pytest.mark.parametrize("command", ["show", "logs"])
def test_a_trial_that_is_not_there_is_not_found(run, searched, command):
    ended = run("trial", command, "tiny", 99, "--storage", searched.storage)
    assert (ended.code, ended.out) == (3, "")
    assert "study 'tiny' has no trial 99" in ended.err
    assert "hint: " in ended.err


# spaces, spec, db


def test_spaces_are_listed_and_shown(run):
    assert run("spaces", "list").out.splitlines() == ["hierarchical_graph"]
    assert run("spaces", "list", "--json").json == ["hierarchical_graph"]
    shown = run("spaces", "show", "hierarchical_graph", "--json").json
    ranges = {row["name"]: (row["range"], row["condition"]) for row in shown["parameters"]}
    assert ranges["top_nodes"] == ("3 to 10", "")
    assert ranges["top_rewiring"] == ("0.1 to 0.9", "top_nodes is 4 to 10")
    assert {"name": "bottom_nodes", "default": [3, 10]} in shown["options"]
    text = run("spaces", "show", "hierarchical_graph").out
    assert all(name in text for name in ranges)


def test_a_space_that_is_not_installed_is_unknown(run):
    ended = run("spaces", "show", "hierarchical_grap")
    assert (ended.code, ended.out) == (2, "")
    assert "did you mean 'hierarchical_graph'?" in ended.err


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_the_schema_is_json(run, flags):
    schema = run("spec", "schema", *flags).json
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"data", "teacher", "space", "budget"} <= schema["properties"].keys()


def test_a_database_of_this_version_is_up_to_date(run, own_copy):
    assert run("db", "upgrade").err.strip() == "autokd.db is up to date"
    assert run("db", "upgrade", "--json").json == {"storage": "autokd.db", "state": "up to date"}


def test_tables_are_not_cut_on_a_narrow_terminal(run, searched, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # takes the pipe for a terminal
    ended = run("front", "tiny", "--storage", searched.storage)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", ended.out)
    assert "…" not in plain
    for row in searched.summary["front"]:
        assert f"{row['parameters']:,}" in plain
