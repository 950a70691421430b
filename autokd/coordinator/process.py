"""A process that runs one study or one operation: `python -m autokd.coordinator.process`.

Its first two lines of input are the database and the folder of files; those that follow steer the
study (`slots N`, `pause`, `stop`, `cancel`, `reload N`). `leave` says that the coordinator ends, as
does the end of its input; that is its own end, too.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from autokd.coordinator.exports import export_folder, partial_folder
from autokd.errors import AutokdError, ConflictError, NotFoundError, StoreUnavailableError
from autokd.files import bytes_in
from autokd.store import OperationRecord, Store
from autokd.trial import StopReason, StudyState

if TYPE_CHECKING:
    from autokd.study import Study

_LOG = logging.getLogger(__name__)

_LAST_SECONDS = 30.0
"""How long a process may take to end when its coordinator is gone."""


def main(kind: str, id: int, commands: Iterator[str]) -> int:
    """Runs it; gives the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    url, files = next(commands), next(commands)
    with Store.open(url, create=False, files=files) as store:
        work = _run_study if kind == "study" else _run_operation
        try:
            work(store, id, commands)
        except AutokdError as error:
            _LOG.error("%s", error)
            return error.exit_code
    return 0


def _run_study(store: Store, study_id: int, commands: Iterator[str]) -> None:
    # Torch takes seconds to load; what arrives meanwhile waits in the pipe.
    from autokd.assemble import assemble_study
    from autokd.spec import read_study

    record = store.study(study_id)
    if record.deleted is not None:
        return
    try:
        # With its record: by its name alone, one that is deleted meanwhile would be made anew.
        study = assemble_study(
            read_study(record.spec), storage=store.url, files=store.files, record=record
        )
    except StoreUnavailableError:
        raise  # it is tried again
    except AutokdError as error:
        _fail(store, study_id, str(error))
        raise
    with study.store:
        _listen(commands, lambda line: _steer(study, line), lambda: _steer(study, "leave"))
        try:
            study.run(recorded_limits=True)
        except AutokdError:
            raise
        except Exception as error:  # the boundary of the process: people must learn of our bugs
            _LOG.exception("study %s", record.name)
            _fail(store, study_id, f"a bug of autokd: {type(error).__name__}: {error}")


def _fail(store: Store, study_id: int, error: str) -> None:
    store.update_study(study_id, state=StudyState.FAILED, error=error, wish=None)


def _steer(study: Study, line: str) -> None:
    word, _, rest = line.partition(" ")
    match word:
        case "slots":
            study.share = int(rest)
        case "pause":
            study.stop()
        case "stop":
            study.finish()
        case "cancel":
            study.cancel()
        case "leave":
            study.cancel(StopReason.COORDINATOR_ENDED)
        case "reload":
            study.follow_record()


def _listen(commands: Iterator[str], steer: Callable[[str], None], end: Callable[[], None]) -> None:
    """Follows the coordinator's lines in a thread, and ends the process with their end."""

    def follow() -> None:
        try:
            for line in commands:
                steer(line)
        except AutokdError as error:  # it is started again, and then knows what was asked
            _LOG.warning("%s", error)
        end()
        threading.Timer(_LAST_SECONDS, os._exit, [1]).start()

    threading.Thread(target=follow, daemon=True).start()


def _run_operation(store: Store, operation_id: int, commands: Iterator[str]) -> None:
    operation = store.operation(operation_id)
    _listen(commands, lambda line: os._exit(1), lambda: os._exit(1))
    try:
        response = _OPERATIONS[operation.kind](store, operation)
    except StoreUnavailableError:
        raise  # it is tried again
    except AutokdError as error:
        store.end_operation(operation_id, error=error.as_data())
    except Exception as error:  # the boundary of the process: people must learn of our bugs
        _LOG.exception("operation %d", operation_id)
        found = AutokdError(f"a bug of autokd: {type(error).__name__}: {error}")
        store.end_operation(operation_id, error=found.as_data())
    else:
        store.end_operation(operation_id, response=response)


def _export(store: Store, operation: OperationRecord) -> dict[str, Any]:
    """Writes the student into a folder of the operation's own."""
    from autokd.exporting import export_student

    assert operation.study_id is not None
    request = operation.request
    folder, partial = export_folder(store, operation), partial_folder(store, operation)
    shutil.rmtree(partial, ignore_errors=True)
    written = export_student(
        store,
        operation.study_id,
        partial,
        trial=request.get("trial"),
        limits=request.get("limits"),
        formats=request["formats"],
        recorded=False,
    )
    shutil.rmtree(
        folder, ignore_errors=True
    )  # of one that died before it could say that it was done
    os.replace(partial, folder)
    return {"export": operation.id, "student": written}


def _purge(store: Store, operation: OperationRecord) -> dict[str, Any]:
    """Deletes a study with its files; says how many bytes that freed."""
    assert operation.study_id is not None
    folder = store.study_folder(operation.study_id)
    freed = bytes_in(folder)
    with suppress(NotFoundError):  # one that died has deleted it, and left the files
        study = store.study(operation.study_id)
        if study.deleted is None:
            raise ConflictError(f"study {study.name!r} is not deleted", hint="delete it first")
        store.delete_study(study.id)
    shutil.rmtree(folder, ignore_errors=True)
    return {"bytes": freed - bytes_in(folder)}


_OPERATIONS: dict[str, Callable[[Store, OperationRecord], dict[str, Any]]] = {
    "export": _export,
    "purge": _purge,
}


def _lines(descriptor: int) -> Iterator[str]:
    """Lines from a pipe until its end.

    Not through Python's buffer, whose lock a waiting thread would keep when the process ends.
    """
    rest = b""
    while chunk := os.read(descriptor, 4096):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode() for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), _lines(0)))
