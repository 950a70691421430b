"""The commands that ask something of a study that a coordinator runs, here or on a server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from autokd.cli.output import DEFAULT_STORAGE, Json, Storage, StudyName, figure, print_json, say
from autokd.cli.records import Records, Server, Standing, deleted_study, open_records
from autokd.cli.running import Quiet, SpecFile

Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=VALUE", help="A word of yours; repeat for several."),
]
Paused = Annotated[bool, typer.Option("--paused", help="Wait until it is resumed.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def create_study(
    context: typer.Context,
    spec_file: SpecFile,
    label: Labels = None,
    paused: Paused = False,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Queue a study: `autokd coordinator` runs it, or the server."""
    from autokd.spec import read_study

    spec, labels = read_study(spec_file), _labels(label)
    with open_records(context, storage, server, create=True) as records:
        study = records.create(spec, labels, paused=paused)
        _told(study, as_json)
        _say_how_to_see_more(study, records)


def watch_study(
    context: typer.Context,
    study: StudyName,
    quiet: Quiet = False,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Follow a study until it ends, then report as `autokd search` does.

    Ctrl-C ends the watching; the study goes on.
    """
    from autokd.cli.watching import watch

    with open_records(context, storage, server) as records:
        watch(records, records.study(study), quiet=quiet, as_json=as_json)


WISHES = {
    "pause": ("pause", "Stop training after the running epochs; `resume` goes on from there."),
    "resume": ("run", "Go on with a study that was paused, cancelled or interrupted, or failed."),
    "stop": ("stop", "End the search: what runs ends its rung, the best are retrained."),
    "cancel": ("cancel", "End all training now, for good or until `resume`. Results stay."),
}
"""Commands that only say what is wanted of a study: the wish, and the help."""


def wishing(wish: str) -> Callable[..., None]:
    """The command that says that something is wanted of a study."""

    def command(
        context: typer.Context,
        study: StudyName,
        storage: Storage = DEFAULT_STORAGE,
        server: Server = None,
        as_json: Json = False,
    ) -> None:
        from autokd.trial import StudyWish

        with open_records(context, storage, server) as records:
            _told(records.steer(records.study(study), StudyWish(wish)), as_json)

    return command


def extend_study(
    context: typer.Context,
    study: StudyName,
    trials: Annotated[int | None, typer.Option(min=1, help="New limits.trials.")] = None,
    epochs: Annotated[float | None, typer.Option(min=1, help="New limits.epochs.")] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="New limits.seconds.")] = None,
    failures: Annotated[int | None, typer.Option(min=0, help="New limits.failures.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Go on within larger limits, also when the study has ended."""
    limits = {"trials": trials, "epochs": epochs, "seconds": seconds, "failures": failures}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    if not given:
        raise typer.BadParameter("expected a limit, for example --trials N")
    with open_records(context, storage, server) as records:
        extended = records.extend(records.study(study), given)
        _told(extended, as_json)
        _say_how_to_see_more(extended, records)


def clone_study(
    context: typer.Context,
    study: StudyName,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new study.")],
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=VALUE", help="Like limits.trials=80; repeat for several."
        ),
    ] = None,
    label: Labels = None,
    paused: Paused = False,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Queue a new study from the file of another, with changes."""
    changes = {path: _value(path, text) for path, text in _pairs("--set", change)}
    labels = _labels(label)
    with open_records(context, storage, server) as records:
        cloned = records.clone(records.study(study), name, changes, labels, paused=paused)
        _told(cloned, as_json)
        _say_how_to_see_more(cloned, records)


def delete_study(
    context: typer.Context,
    study: StudyName,
    yes: Yes = False,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Delete a study, so that `undelete` can bring it back; `purge` frees its space."""
    with open_records(context, storage, server) as records:
        found = records.study(study)
        _ask(yes, f"Delete {found.name}?")
        records.delete(found)
        if as_json:
            print_json({"id": found.id, "study": found.name, "deleted": True})
        say(
            f"deleted {found.name}; `autokd study undelete {found.id}{records.options}` brings it "
            f"back, `autokd study purge {found.id}{records.options}` frees its space"
        )


def undelete_study(
    context: typer.Context,
    study: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Bring a deleted study back."""
    with open_records(context, storage, server) as records:
        _told(records.undelete(deleted_study(records, study)), as_json)


def purge_study(
    context: typer.Context,
    study: StudyName,
    yes: Yes = False,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Remove a deleted study for good, with its trials, checkpoints and logs."""
    with open_records(context, storage, server) as records:
        found = deleted_study(records, study)
        _ask(yes, f"Remove {found.name} (study {found.id}) and its files for good?")
        freed = records.purge(found)
    if as_json:
        print_json({"id": found.id, "study": found.name, "purged": True, "bytes": freed})
    say(f"removed {found.name}, which freed {figure('file_bytes', freed)}")


def _told(study: Standing, as_json: bool) -> None:
    if as_json:
        print_json(study.as_data())
    say(f"{study.name} (study {study.id}) is {study.status}")


def _say_how_to_see_more(study: Standing, records: Records) -> None:
    say(f"to watch it: autokd study watch {study.name}{records.options}")


def _ask(yes: bool, question: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("pass --yes: there is no terminal to ask on")
    typer.confirm(question, abort=True, err=True)


def _labels(given: Iterable[str] | None) -> dict[str, str]:
    return dict(_pairs("--label", given))


def _pairs(option: str, given: Iterable[str] | None) -> list[tuple[str, str]]:
    pairs = [text.partition("=") for text in given or ()]
    for name, equals, value in pairs:
        if not name or not equals:
            raise typer.BadParameter(f"expected {option} NAME=VALUE, got {name + equals + value!r}")
    return [(name, value) for name, _, value in pairs]


def _value(path: str, text: str) -> Any:
    """A value as a study file would have it."""
    from autokd.spec.text import read_yaml

    value, mistakes = read_yaml(text)
    if mistakes:
        raise typer.BadParameter(f"--set {path}: {mistakes[0]}")
    return value
