"""The commands that read the record: fronts, studies, trials, spaces, the schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autokd.cli.output import (
    DEFAULT_STORAGE,
    Json,
    Storage,
    StudyName,
    duration,
    figure,
    find_study,
    importing,
    plural,
    print_json,
    print_summary,
    say,
    table,
    write,
)

if TYPE_CHECKING:
    from autokd.store import Store, StudyRecord

TrialNumber = Annotated[int, typer.Argument(metavar="N", min=0, help="Number of the trial.")]


def _open(storage: str) -> Store:
    from autokd.store import Store

    return Store.open(storage, create=False)


def _summary(store: Store, record: StudyRecord) -> dict[str, Any]:
    from autokd.report import summarise

    return {**summarise(record, store.trials(record.id)), "state": store.state_now(record)}


def front(
    study: StudyName,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the front: a .png, .svg or .html file.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Json = False,
) -> None:
    """Show the Pareto front of a study, and the students retrained in full."""
    with _open(storage) as store:
        record = find_study(store, study)
        summary = _summary(store, record)
        if plot is not None:
            from autokd.plot import plot_front

            plot_front(record, store.trials(record.id), plot)
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
    if plot is not None:
        say(f"drawn: {plot}")


def list_studies(storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """List the studies in the record."""
    with _open(storage) as store:
        records = store.studies()
        rows = [
            {
                "id": record.id,
                "study": record.name,
                "state": store.state_now(record),
                "stop_reason": record.stop_reason.value if record.stop_reason else None,
                "created": record.created.isoformat(timespec="seconds"),
                "seconds": round(record.seconds, 1),
            }
            for record in records
        ]
    if as_json:
        print_json(rows)
        return
    table(
        ("id", "study", "state", "reason", "created", "searched"),
        [
            (
                str(row["id"]),
                str(row["study"]),
                str(row["state"]),
                str(row["stop_reason"] or "-"),
                str(row["created"]),
                duration(float(str(row["seconds"]))),
            )
            for row in rows
        ],
    )


def show_study(study: StudyName, storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """Show a study: its spec, its trials and its front."""
    with _open(storage) as store:
        record = find_study(store, study)
        summary = _summary(store, record)
        trials = [_trial_row(store, trial) for trial in store.trials(record.id)]
    if as_json:
        print_json({**summary, "spec": record.spec, "all_trials": trials})
        return
    print_summary(summary)
    write()
    table(
        ("trial", "kind", "state", "epochs", "accuracy", "parameters", "peak memory"),
        [
            (
                str(row["trial"]),
                row["kind"],
                row["state"],
                str(row["epochs"]),
                figure("accuracy", row["figures"].get("accuracy")),
                figure("parameters", row["figures"]["parameters"]),
                figure("peak_activation_bytes", row["figures"]["peak_activation_bytes"]),
            )
            for row in trials
        ],
    )


def delete_study(
    study: StudyName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Json = False,
) -> None:
    """Delete a study with its trials, checkpoints and logs."""
    import shutil

    with _open(storage) as store:
        record = find_study(store, study)
        if not yes:
            if not sys.stdin.isatty():
                raise typer.BadParameter("pass --yes: there is no terminal to ask on")
            question = f"Delete {record.name} and its files in {record.folder}?"
            typer.confirm(question, abort=True, err=True)
        folder = store.delete_study(record.id)
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json({"study": record.name, "deleted": True})
    else:
        say(f"deleted {record.name}")


def _trial_row(store: Store, trial: Any) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "kind": trial.kind.value,
        "candidate": trial.candidate,
        "repeat": trial.repeat,
        "state": trial.state.value,
        "epochs": trial.evaluations[-1].epochs if trial.evaluations else 0,
        "figures": trial.figures,
        "choices": dict(trial.architecture.choices),
        "distillation": dict(trial.distillation),
        "failure": (
            {"class": trial.failure.failure_class.value, "message": trial.failure.message}
            if trial.failure
            else None
        ),
    }


def show_trial(
    study: StudyName,
    trial: TrialNumber,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Json = False,
) -> None:
    """Show one trial: its student, figures, rungs and attempts."""
    from autokd.executors import LOG

    with _open(storage) as store:
        record = find_study(store, study)
        found = store.trial(record.id, trial)
        row = {
            **_trial_row(store, found),
            "rungs": [
                {"epochs": evaluation.epochs, **evaluation.metrics}
                for evaluation in found.evaluations
            ],
            "attempts": [
                {
                    "n": attempt.n,
                    "state": attempt.state.value,
                    "log": str(record.folder / attempt.folder / LOG),
                }
                for attempt in store.attempts(record.id, trial)
            ],
        }
    if as_json:
        print_json(row)
        return
    write(
        f"trial {trial} of {record.name} ({row['kind']}): {row['state']} "
        f"after {plural(row['epochs'], 'epoch')}"
    )
    if row["failure"]:
        write(f"failed ({row['failure']['class']}): {row['failure']['message']}")
    write()
    table(
        ("figure", "value"),
        [(name, figure(name, value)) for name, value in row["figures"].items()],
    )
    write()
    choices = {**row["choices"], **row["distillation"]}
    table(("name", "choice"), [(name, str(value)) for name, value in choices.items()])
    write()
    table(
        ("attempt", "state", "log"),
        [(str(each["n"]), each["state"], each["log"]) for each in row["attempts"]],
    )


def show_logs(
    study: StudyName,
    trial: TrialNumber,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Json = False,
) -> None:
    """Print the logs of a trial's attempts, oldest first."""
    from autokd.executors import LOG

    with _open(storage) as store:
        record = find_study(store, study)
        number = store.trial(record.id, trial).number
        attempts = store.attempts(record.id, number)
    rows = []
    for attempt in attempts:
        path = record.folder / attempt.folder / LOG
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        rows.append({"n": attempt.n, "state": attempt.state.value, "log": str(path), "text": text})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        say(f"--- attempt {row['n']}: {row['state']} ({row['log']})")
        typer.echo(row["text"], nl=False)
    if not rows:
        say(f"trial {trial} has not been attempted")


def list_spaces(as_json: Json = False) -> None:
    """List the installed search spaces."""
    from autokd.spec import installed_spaces

    names = list(installed_spaces())
    if as_json:
        print_json(names)
    else:
        typer.echo("\n".join(names))


def show_space(
    space: Annotated[str, typer.Argument(metavar="SPACE", help="Name of the search space.")],
    as_json: Json = False,
) -> None:
    """Show what varies in a search space, with its ranges and conditions."""
    with importing():
        from autokd.assemble import describe_space

    description = describe_space(space)
    if as_json:
        print_json(description)
        return
    write(description["summary"] + "\n")
    table(
        ("name", "range", "when"),
        [(row["name"], row["range"], row["condition"]) for row in description["parameters"]],
        title="What varies (the defaults)",
    )
    write()
    table(
        ("option", "default"),
        [(row["name"], json.dumps(row["default"], default=str)) for row in description["options"]],
        title=f"Options, beside `name: {space}` in the study file",
    )


def show_schema(as_json: Json = False) -> None:
    """Print the JSON Schema of the study file, for editors and forms; it is always JSON."""
    from autokd.spec import study_schema

    print_json(study_schema())


def upgrade_database(storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """Bring a database of an older autokd up to this version; a SQLite file is copied first."""
    from autokd.store import Store

    Store.upgrade(storage)
    if as_json:
        print_json({"storage": storage, "state": "up to date"})
    else:
        say(f"{storage} is up to date")
