"""The commands that do the work: `search`, `check`, `export`, `coordinator`."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autokd.cli.ending import conclude
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
    say,
    stderr,
    table,
    write,
)
from autokd.cli.records import Server, open_records, options_of, remote_records, server_of

if TYPE_CHECKING:
    from autokd.spec import StudySpec
    from autokd.study import Study

SpecFile = Annotated[Path, typer.Argument(metavar="FILE", help="The study file, YAML or JSON.")]


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


def search(
    context: typer.Context,
    spec_file: SpecFile,
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Instead of the file's limits.trials.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Instead of the file's limits.seconds.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Instead of the file's execution.workers.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Search for students, train them under the teacher's guidance, report the front.

    The same file again continues where the study was: after a crash,
    after Ctrl-C, or with larger limits. Ctrl-C once stops after the
    running epochs; twice, at once. Nothing is lost.

    With --server the study runs there, and is watched from here:
    Ctrl-C ends the watching only. The same file again watches it again.
    """
    url = server_of(context, server)
    if url is not None:
        spec = _spec(spec_file, trials, seconds, workers)
        _search_there(spec, url, quiet=quiet, as_json=as_json)
        return
    with importing():
        from autokd.assemble import assemble_study
        from autokd.cli.progress import progress_display
        from autokd.report import summarise

    spec = _spec(spec_file, trials, seconds, workers)
    with progress_display(spec, quiet=quiet) as observe:
        study = assemble_study(spec, storage=storage, observe=observe)
        with study.store, _stopping_when_interrupted(study):
            before = len(study.trials)
            study.run()
            summary = summarise(study.record, study.trials)
    conclude(
        summary,
        options_of(storage),
        as_json=as_json,
        found_nothing_to_do=len(study.trials) == before > 0,
    )


def _search_there(spec: StudySpec, url: str, *, quiet: bool, as_json: bool) -> None:
    from autokd.cli.watching import watch

    with remote_records(url) as records:
        study, asked = records.launch(spec)
        if asked and not quiet:
            say(f"{study.name} is study {study.id} of {url}, and runs there; Ctrl-C leaves it so")
        watch(records, study, quiet=quiet, as_json=as_json, found_nothing_to_do=not asked)


def _spec(
    spec_file: Path, trials: int | None, seconds: float | None, workers: int | None
) -> StudySpec:
    from autokd.spec import read_study

    spec = read_study(spec_file)
    limits = {"trials": trials, "seconds": seconds}
    given = {name: value for name, value in limits.items() if value is not None}
    execution = {"workers": workers} if workers else {}
    return spec.model_copy(
        update={
            "limits": spec.limits.model_copy(update=given),
            "execution": spec.execution.model_copy(update=execution),
        }
    )


@contextmanager
def _stopping_when_interrupted(study: Study) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) asks the study to stop, the second ends it where it stands."""

    def ask(number: int, frame: Any) -> None:
        for each in _INTERRUPTS:
            signal.signal(each, signal.default_int_handler)
        # Not through the console: the signal may have come in the middle of one of its lines.
        os.write(2, b"stopping after the running epochs; Ctrl-C again stops at once\n")
        study.stop()

    before = {each: signal.signal(each, ask) for each in _INTERRUPTS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


def check(
    context: typer.Context,
    spec_file: SpecFile,
    samples: Annotated[int, typer.Option(min=1, help="Architectures to sample.")] = 200,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Say what a study file means, without training: sizes, budgets, feasible share, time."""
    url = server_of(context, server)
    if url is not None:
        result = _check_there(spec_file, url)
    else:
        result = _check_here(spec_file, samples)
    if result["samples"] < samples:
        say(f"sampled {result['samples']} of {samples} architectures, since each takes long")
    if as_json:
        print_json(result)
    else:
        _print_check(result)
    if not result["feasible_share"]:
        raise typer.Exit(6)


def _check_here(spec_file: Path, samples: int) -> dict[str, Any]:
    with importing():
        from autokd.checking import check_study
        from autokd.spec import read_study

    with stderr().status("sampling the search space") as status:
        return check_study(
            read_study(spec_file),
            samples=samples,
            report=lambda done: status.update(f"sampling the search space: {done} of {samples}"),
        )


def _check_there(spec_file: Path, url: str) -> dict[str, Any]:
    from autokd.spec import read_study

    spec = read_study(spec_file)
    with remote_records(url) as records, stderr().status("sampling the search space"):
        return records.check(spec)


def _print_check(result: dict[str, Any]) -> None:
    from autokd.budget import COST_METRICS

    names = [name for name in COST_METRICS if name in result["teacher"]]
    columns = ("teacher", "smallest", "median", "largest")
    rows = [
        (name, *(figure(name, result[column].get(name)) for column in columns))
        + (figure(name, result["budget"].get(name)),)
        for name in names
    ]
    table(("figure", *columns, "budget"), rows)
    write()
    write(
        f"feasible: {100 * result['feasible_share']:.0f} % of {result['samples']} sampled "
        "architectures"
    )
    if not result["feasible_share"]:
        write(f"nothing sampled fits the budget; {result['nearest']}")
    write(
        f"estimated time: {duration(result['estimated_seconds'])} with "
        f"{plural(result['workers'], 'worker')}, of which the teacher's training "
        f"{duration(result['teacher_seconds'])}"
    )


def export(
    context: typer.Context,
    study: StudyName,
    best: Annotated[bool, typer.Option("--best", help="The best student in the limits.")] = False,
    trial: Annotated[int | None, typer.Option(min=0, help="The student of this trial.")] = None,
    max_parameters: Annotated[
        str | None, typer.Option(help="With --best: at most so many, like 20k.")
    ] = None,
    max_memory: Annotated[
        str | None, typer.Option(help="With --best: at most this peak memory, like 64KiB.")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="onnx, safetensors, pt2; repeat for several."),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write.")] = Path("student"),
    storage: Storage = DEFAULT_STORAGE,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Write a student as files, and verify that they compute what it computes."""
    if best == (trial is not None):
        raise typer.BadParameter("expected either --best or --trial N")
    if not best and (max_parameters or max_memory):
        raise typer.BadParameter("--max-parameters and --max-memory go with --best only")
    limits = _export_limits(max_parameters, max_memory)
    with open_records(context, storage, server) as records:
        result = records.export(
            records.study(study),
            out,
            trial=trial,
            limits=limits,
            formats=formats or ["onnx", "safetensors"],
        )
    if as_json:
        print_json(result)
        return
    table(
        ("name", "bytes", "verified"),
        [(file["name"], str(file["bytes"]), file["verified"] or "-") for file in result["files"]],
    )
    say(f"\nwritten to {out}; in Python: autokd.load_student({str(out)!r})")


def _export_limits(max_parameters: str | None, max_memory: str | None) -> dict[str, float]:
    from autokd.spec import Quantity

    limits = {"parameters": max_parameters, "peak_activation_bytes": max_memory}
    result = {}
    for name, text in limits.items():
        if text is None:
            continue
        try:
            quantity = Quantity.parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        if quantity.relative:
            raise typer.BadParameter(f"expected an absolute size like 20k or 64KiB, got {text!r}")
        result[name] = quantity.amount
    return result


def coordinator(
    slots: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time; left out: one per core.")
    ] = None,
    storage: Annotated[
        str, typer.Option(envvar="AUTOKD_STORAGE", help="Database: a path, or an SQLAlchemy URL.")
    ] = DEFAULT_STORAGE,
    files: Annotated[
        Path | None,
        typer.Option(
            envvar="AUTOKD_FILES", help="Folder of logs and checkpoints; left out: beside SQLite."
        ),
    ] = None,
    while_stdin_is_open: Annotated[
        bool, typer.Option(hidden=True, help="End when stdin does: with who started it.")
    ] = False,
) -> None:
    """Run the studies that are queued in the record, until it is stopped.

    Studies run side by side, each with an equal share of the slots.
    Ctrl-C stops after checkpoints; what was running goes on when a
    coordinator is started again. One is enough for a database.
    """
    from autokd.coordinator import Coordinator, slots_of_this_machine
    from autokd.store import Store

    with Store.open(storage, files=files) as store:
        running = Coordinator(store, slots or slots_of_this_machine(), patient=while_stdin_is_open)
        for each in _INTERRUPTS:
            signal.signal(each, lambda number, frame: running.stop())
        if while_stdin_is_open:
            threading.Thread(target=_until_stdin_ends, args=[running.stop], daemon=True).start()
        say(f"a coordinator has {plural(running.slots, 'slot')} for the studies")
        running.run()


def _until_stdin_ends(then: Callable[[], None]) -> None:
    # Not through Python's buffer, whose lock a waiting thread would keep when the process ends.
    while os.read(0, 1024):
        pass
    then()
