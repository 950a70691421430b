"""The commands that read the record: fronts, studies, trials, spaces, the schema."""

from __future__ import annotations

import json
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
    importing,
    plural,
    print_json,
    print_summary,
    say,
    table,
    write,
)
from autokd.cli.records import Server, open_records

if TYPE_CHECKING:
    from autokd.trial import Trial

TrialNumber = Annotated[int, typer.Argument(metavar="N", min=0, help="Number of the trial.")]


def front(
    context: typer.Context,
    study: StudyName,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the front: a .png, .svg or .html file.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Show the Pareto front of a study, and the students retrained in full."""
    with open_records(context, storage, server) as records:
        found = records.study(study)
        summary = records.summary(found)
        if plot is not None:
            from autokd.plot import plot_front

            record = records.record(found)
            plot_front(record, records.trials(record), plot)
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
    if plot is not None:
        say(f"drawn: {plot}")


def list_studies(
    context: typer.Context,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Those that were deleted, in place of the others.")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """List the studies in the record."""
    with open_records(context, storage, server) as records:
        rows = [study.as_data() for study in records.studies(deleted=deleted)]
    if as_json:
        print_json(rows)
        return
    table(
        ("id", "study", "state", "reason", "created", "searched"),
        [
            (
                str(row["id"]),
                row["study"],
                row["state"],
                row["stop_reason"] or "-",
                row["created"],
                duration(row["seconds"]),
            )
            for row in rows
        ],
    )


def show_study(
    context: typer.Context,
    study: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Show a study: its spec, its trials and its front."""
    with open_records(context, storage, server) as records:
        found = records.study(study)
        summary, record = records.summary(found), records.record(found)
        trials = [_trial_row(trial) for trial in records.trials(record)]
    if as_json:
        print_json({**summary, "spec": record.spec, "all_trials": trials})
        return
    print_summary(summary)
    if summary["error"] is not None:
        write(f"it failed: {summary['error']}")
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


def _trial_row(trial: Trial) -> dict[str, Any]:
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
        "notes": dict(trial.notes),
        "failure": (
            {"class": trial.failure.failure_class.value, "message": trial.failure.message}
            if trial.failure
            else None
        ),
    }


def show_trial(
    context: typer.Context,
    study: StudyName,
    trial: TrialNumber,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Show one trial: its student, figures, rungs and attempts."""
    with open_records(context, storage, server) as records:
        record = records.record(records.study(study))
        found = records.trial(record, trial)
        row = {
            **_trial_row(found),
            "rungs": [
                {"epochs": evaluation.epochs, **evaluation.metrics}
                for evaluation in found.evaluations
            ],
            "attempts": records.attempts(record, trial),
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
    context: typer.Context,
    study: StudyName,
    trial: TrialNumber,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Print the logs of a trial's attempts, oldest first."""
    with open_records(context, storage, server) as records:
        record = records.record(records.study(study))
        number = records.trial(record, trial).number
        rows = [
            {**attempt, "text": records.log(record, number, attempt)}
            for attempt in records.attempts(record, number)
        ]
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
