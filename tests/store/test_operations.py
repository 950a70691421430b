from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from autokd.errors import ConflictError, NotFoundError
from autokd.store import Store, StudyRecord
from autokd.store.service_rows import OperationRow


class TestOperations:
    def test_an_operation_is_queued_as_it_was_asked_for(
        self, store: Store, study: StudyRecord
    ) -> None:
        made = store.add_operation("export", study.id, {"formats": ["onnx"]}, owner=3)
        assert store.operation(made.id) == made
        assert (made.kind, made.study_id, made.owner) == ("export", study.id, 3)
        assert (made.state, made.done) == ("queued", False)
        assert made.request == {"formats": ["onnx"]}
        assert (made.response, made.error, made.started, made.ended) == (None, None, None, None)
        assert abs(datetime.now(UTC) - made.created) < timedelta(minutes=5)

    def test_operations_are_listed_oldest_first_by_study_kind_and_state(
        self, store: Store, study: StudyRecord
    ) -> None:
        other = store.create_study("other", {})
        export = store.add_operation("export", study.id, {})
        purge = store.add_operation("purge", other.id, {})
        retry = store.add_operation("retry", study.id, {"trial": 1})
        assert store.operations() == [export, purge, retry]
        assert store.operations(study.id) == [export, retry]
        assert store.operations(kinds=["purge", "retry"]) == [purge, retry]
        begun = store.begin_operation(export.id)
        assert store.operations(study.id, states=["running"]) == [begun]
        assert store.operations(other.id, kinds=["export"]) == []

    def test_an_operation_is_begun_once(self, store: Store) -> None:
        made = store.add_operation("purge", None, {})
        begun = store.begin_operation(made.id)
        assert begun.state == "running"
        assert begun.started is not None and begun.started >= made.created
        with pytest.raises(ConflictError, match="is running"):
            store.begin_operation(made.id)

    def test_an_operation_ends_with_a_response_or_an_error(self, store: Store) -> None:
        good, bad = (store.add_operation("export", None, {}) for _ in range(2))
        succeeded = store.end_operation(good.id, response={"bytes": 5})
        failed = store.end_operation(bad.id, response={"bytes": 5}, error={"message": "no"})
        assert (succeeded.state, succeeded.response, succeeded.error) == (
            "succeeded",
            {"bytes": 5},
            None,
        )
        assert (failed.state, failed.response, failed.error) == ("failed", None, {"message": "no"})
        assert succeeded.done and failed.done and succeeded.ended is not None

    def test_an_operation_that_has_ended_stays_as_it_is(self, store: Store) -> None:
        made = store.add_operation("export", None, {})
        cancelled = store.cancel_operation(made.id)
        assert (cancelled.state, cancelled.done, cancelled.response) == ("cancelled", True, None)
        assert store.end_operation(made.id, response={}) == cancelled
        with pytest.raises(ConflictError, match="has cancelled"):
            store.cancel_operation(made.id)

    def test_what_a_killed_coordinator_had_begun_is_queued_again(self, store: Store) -> None:
        export, retry = (store.add_operation(kind, None, {}) for kind in ("export", "retry"))
        for operation in (export, retry):
            store.begin_operation(operation.id)
        store.requeue_operations(["export", "purge"])
        assert store.operation(export.id) == export
        assert store.operation(retry.id).state == "running"

    def test_a_missing_operation_is_an_error(self, store: Store) -> None:
        for method in ("operation", "begin_operation", "end_operation", "cancel_operation"):
            with pytest.raises(NotFoundError, match="no operation 7"):
                getattr(store, method)(7)

    def test_an_operation_outlives_its_study_and_ids_are_not_given_again(
        self, store: Store, study: StudyRecord
    ) -> None:
        made = store.add_operation("purge", study.id, {})
        store.delete_study(study.id)
        assert store.operation(made.id) == made
        assert store.add_operation("purge", None, {}).id > made.id

    def test_old_ones_are_forgotten_but_what_waits_and_exports_that_are_there(
        self, store: Store, study: StudyRecord
    ) -> None:
        export, failed, purge, retry = (
            store.add_operation(kind, study.id, {}).id
            for kind in ("export", "export", "purge", "retry")
        )
        purged = store.add_operation("export", store.create_study("gone", {}).id, {}).id
        young = store.add_operation("purge", study.id, {}).id
        for each in (export, purge, purged, young):
            store.end_operation(each, response={})
        store.end_operation(failed, error={"message": "no"})
        store.delete_study(store.study("gone").id)
        long_ago = datetime.now(UTC) - timedelta(days=8)
        with store._write() as session:
            session.execute(
                update(OperationRow)
                .where(OperationRow.ended.is_not(None), OperationRow.id != young)
                .values(ended=long_ago)
            )
            session.execute(update(OperationRow).values(created=long_ago))
        store.forget_operations(timedelta(days=7))
        assert [each.id for each in store.operations()] == [export, retry, young]


class TestCoordinators:
    def test_a_coordinator_is_known_from_its_start_to_its_end(self, store: Store) -> None:
        first = store.add_coordinator("here", 17, 4)
        second = store.add_coordinator("there", 18, 2)
        assert store.coordinators() == [first, second]
        assert (first.host, first.pid, first.slots, first.shares) == ("here", 17, 4, {})
        store.remove_coordinator(first.id)
        assert store.coordinators() == [second]

    def test_a_beat_says_that_it_lives_and_what_it_runs(self, store: Store) -> None:
        made = store.add_coordinator("here", 17, 4)
        store.beat(made.id, {"1": 3, "2": 1})
        (beaten,) = store.coordinators()
        assert beaten.shares == {"1": 3, "2": 1}
        assert beaten.heartbeat >= made.heartbeat
        assert beaten.started == made.started
