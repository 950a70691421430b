"""The command `autokd`: what commands there are, and how an error becomes an exit code."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import typer

from autokd.cli import inspection, running, steering
from autokd.cli.output import fail
from autokd.cli.records import Server, is_given
from autokd.errors import NO_ROOM, AutokdError, StorageFullError

app = typer.Typer(
    name="autokd",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Finds small neural networks that do a big one's work.\n\n"
    "autokd search studies/digits.yaml      search, train, report\n"
    "autokd front digits --plot front.png   look at the Pareto front\n"
    "autokd export digits --best -o out     the best student as ONNX, verified",
    epilog="Exit codes: 0 done, 1 unexpected, 2 wrong input, 3 not found, 4 conflict, "
    "5 not allowed, 6 nothing feasible within the budget, 7 verification failed, "
    "8 operation failed, 9 server unreachable, 130 interrupted.",
)
app.command()(running.search)
app.command()(running.check)
app.command()(inspection.front)
app.command()(running.export)
app.command()(running.coordinator)


def _group(name: str, text: str) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help=text)
    app.add_typer(group, name=name)
    return group


_studies = _group("study", "Studies in the record.")
_studies.command("list")(inspection.list_studies)
_studies.command("show")(inspection.show_study)
_studies.command("create")(steering.create_study)
_studies.command("watch")(steering.watch_study)
for _verb, (_wish, _help) in steering.WISHES.items():
    _studies.command(_verb, help=_help)(steering.wishing(_wish))
_studies.command("extend")(steering.extend_study)
_studies.command("clone")(steering.clone_study)
_studies.command("delete")(steering.delete_study)
_studies.command("undelete")(steering.undelete_study)
_studies.command("purge")(steering.purge_study)

_trials = _group("trial", "One trial of a study.")
_trials.command("show")(inspection.show_trial)
_trials.command("logs")(inspection.show_logs)

_spaces = _group("spaces", "Search spaces that are installed.")
_spaces.command("list")(inspection.list_spaces)
_spaces.command("show")(inspection.show_space)

_spec = _group("spec", "The study file.")
_spec.command("schema")(inspection.show_schema)

_database = _group("db", "The database.")
_database.command("upgrade")(inspection.upgrade_database)


for _entry in entry_points(group="autokd.commands"):
    _entry.load()(app)


_OF_A_SERVER = ("check", "export", "front", "search", "study", "trial")
"""Commands that a server can be asked for."""


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    server: Server = None,  # read by `records.server_of`
) -> None:
    if version:
        from autokd import __version__

        typer.echo(__version__)
        raise typer.Exit
    if is_given(context, "server") and context.invoked_subcommand not in _OF_A_SERVER:
        raise typer.BadParameter(
            f"expected one of {', '.join(_OF_A_SERVER)} with --server, "
            f"got {context.invoked_subcommand}, which works on this machine"
        )


def main() -> None:
    """Runs the command line and exits with the code that belongs to what happened."""
    try:
        app()
    except AutokdError as error:
        fail(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno in NO_ROOM:
            message, hint = "the disk is full", "free some space, then run it again"
        elif error.filename is not None:
            message, hint = f"{error.filename}: {error.strerror}", "check the path and its rights"
        else:
            raise
        fail(StorageFullError(message, hint=hint))
        sys.exit(StorageFullError.exit_code)
