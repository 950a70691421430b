"""Where exports lie, while they are written and after; what is left of those that were not."""

from __future__ import annotations

import shutil
from pathlib import Path

from autokd.store import OperationRecord, Store

_PARTIAL = ".partial"


def export_folder(store: Store, operation: OperationRecord) -> Path:
    """Where the files of an export lie when it is done: a folder of its own."""
    assert operation.study_id is not None
    return store.study_folder(operation.study_id) / "exports" / str(operation.id)


def partial_folder(store: Store, operation: OperationRecord) -> Path:
    """Where they are written."""
    return export_folder(store, operation).with_suffix(_PARTIAL)


def remove_what_came_to_nothing(store: Store, operation: OperationRecord) -> None:
    """Removes the files of an operation that has ended without success, if it was an export."""
    operation = store.operation(operation.id)
    if operation.kind == "export" and operation.done and operation.response is None:
        for folder in (partial_folder(store, operation), export_folder(store, operation)):
            shutil.rmtree(folder, ignore_errors=True)


def remove_partial_exports(store: Store) -> None:
    """Removes what is half written; for when none is being written."""
    for folder in store.files.glob(f"studies/*/exports/*{_PARTIAL}"):
        shutil.rmtree(folder, ignore_errors=True)
