from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC

import pytest

from autokd.errors import NotFoundError
from autokd.store import Store, StudyRecord
from autokd.trial import AttemptState, Evaluation, StopReason, StudyState, Trial, TrialState

NewTrial = Callable[..., Trial]
DIGEST = "ab" * 32


class TestEvents:
    def test_events_are_numbered_from_one_in_each_study(
        self, store: Store, study: StudyRecord
    ) -> None:
        other = store.create_study("other", {})
        first = store.add_event(study.id, "note", {"text": "a"})
        store.add_event(other.id, "note", {"text": "b"})
        second = store.add_event(study.id, "note", {"text": "c"})
        assert store.events(study.id)[1:] == [first, second]
        assert [event.number for event in store.events(study.id)] == [1, 2, 3]
        assert [event.number for event in store.events(other.id)] == [1, 2]
        assert (first.kind, first.data) == ("note", {"text": "a"})
        assert first.time.tzinfo is UTC

    def test_events_are_read_on_from_the_last_one_seen(
        self, store: Store, study: StudyRecord
    ) -> None:
        for index in range(5):
            store.add_event(study.id, "note", {"index": index})
        seen: list[int] = []
        while page := store.events(study.id, after=seen[-1] if seen else 0, limit=4):
            seen += [event.number for event in page]
        assert seen == [1, 2, 3, 4, 5, 6]

    def test_the_newest_event_of_a_kind_is_found(self, store: Store, study: StudyRecord) -> None:
        assert store.newest_event(study.id, "teacher_epoch") is None
        for epoch in (1, 2):
            store.add_event(study.id, "teacher_epoch", {"epoch": epoch})
        store.add_event(study.id, "content", {})
        newest = store.newest_event(study.id, "teacher_epoch")
        assert newest is not None and newest.data == {"epoch": 2}
        assert store.newest_event(store.create_study("other", {}).id, "teacher_epoch") is None

    def test_a_missing_study_has_no_events(self, store: Store) -> None:
        with pytest.raises(NotFoundError):
            store.add_event(1, "note", {})

    def test_every_change_of_state_is_an_event(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        store.update_study(study.id, state=StudyState.RUNNING)
        store.update_study(study.id, state=StudyState.RUNNING, seconds=1.0)
        new_trial(epochs=2)
        first = store.start_attempt(study.id, 0, lease_seconds=60)
        store.renew(first.id, first.token, 60)
        store.release_attempt(first.id, first.token, AttemptState.LOST, None)
        second = store.start_attempt(study.id, 0, lease_seconds=60)
        store.finish_attempt(
            second.id, second.token, Evaluation(2, {"accuracy": 0.5}), None, TrialState.PAUSED
        )
        store.promote(study.id, 0, 6)
        store.update_study(study.id, state=StudyState.STOPPED, stop_reason=StopReason.USER)
        trial = {"trial": 0, "kind": "search", "epochs": 2}
        assert [(event.kind, event.data) for event in store.events(study.id)] == [
            ("study", {"state": "created", "status": "created", "stop_reason": None}),
            ("study", {"state": "running", "status": "running", "stop_reason": None}),
            ("trial", {**trial, "state": "queued"}),
            ("trial", {**trial, "state": "running", "attempt": 1}),
            ("trial", {**trial, "state": "queued", "attempt": 1, "attempt_state": "lost"}),
            ("trial", {**trial, "state": "running", "attempt": 2}),
            ("trial", {**trial, "state": "paused", "attempt": 2, "metrics": {"accuracy": 0.5}}),
            ("trial", {**trial, "state": "queued", "epochs": 6}),
            ("study", {"state": "stopped", "status": "stopped", "stop_reason": "user"}),
        ]

    def test_ids_ascend_over_all_studies_in_the_order_of_happening(
        self, store: Store, study: StudyRecord
    ) -> None:
        other = store.create_study("other", {})
        for index in range(4):
            store.add_event((study, other)[index % 2].id, "note", {"index": index})
        events = store.all_events()
        assert events == sorted(
            [*store.events(study.id), *store.events(other.id)], key=lambda event: event.id
        )
        notes = [event for event in events if event.kind == "note"]
        assert [event.data["index"] for event in notes] == [0, 1, 2, 3]
        assert [event.study for event in notes] == [study.id, other.id] * 2
        assert store.last_event() == events[-1].id
        assert store.all_events(after=events[1].id, limit=2) == events[2:4]

    def test_a_record_without_events_has_no_last_one(self, store: Store) -> None:
        assert (store.last_event(), store.all_events()) == (0, [])

    def test_an_id_is_not_given_again(self, store: Store, study: StudyRecord) -> None:
        seen = store.last_event()
        store.delete_study(study.id)
        other = store.create_study("other", {})
        assert store.all_events(after=seen) == store.events(other.id)

    def test_an_event_is_seen_after_those_of_smaller_ids(self, store: Store, url: str) -> None:
        ids = [store.create_study(f"s{index}", {}).id for index in range(2)]
        done = threading.Event()

        def write(study_id: int) -> None:
            with Store.open(url, files=store.files) as own:
                for index in range(40):
                    own.add_event(study_id, "note", {"index": index})

        def watch() -> list[int]:
            seen = [store.last_event()]
            while not done.is_set() or store.last_event() > seen[-1]:
                seen += [event.id for event in store.all_events(after=seen[-1])]
            return seen[1:]

        with ThreadPoolExecutor() as pool:
            watched = pool.submit(watch)
            for writer in [pool.submit(write, study_id) for study_id in ids]:
                writer.result()
            done.set()
            assert len(watched.result()) == 80  # none was stepped over

    def test_a_study_counts_its_events(self, store: Store, study: StudyRecord) -> None:
        store.add_event(study.id, "note", {})
        counted = store.study(study.id)
        last = store.events(study.id)[-1]
        assert (counted.events, counted.updated) == (last.number, last.time) == (2, last.time)


class TestArtifacts:
    def test_an_artifact_comes_back_as_it_was_given(
        self, store: Store, study: StudyRecord, new_trial: NewTrial
    ) -> None:
        new_trial(), new_trial()
        model = store.add_artifact(
            study.id,
            kind="onnx",
            path="exports/1/student.onnx",
            sha256=DIGEST,
            size_bytes=2**33,
            trial=1,
            notes={"opset": 18},
        )
        report = store.add_artifact(
            study.id, kind="report", path="report.html", sha256=DIGEST, size_bytes=1
        )
        assert (model.trial, model.kind, model.path) == (1, "onnx", "exports/1/student.onnx")
        assert (model.sha256, model.size_bytes, model.notes) == (DIGEST, 2**33, {"opset": 18})
        assert (report.trial, report.notes) == (None, {})
        assert store.artifacts(study.id) == [model, report]
        assert store.artifacts(study.id, trial=1) == store.artifacts(study.id, kind="onnx")
        assert store.artifacts(study.id, trial=0) == []

    def test_an_artifact_belongs_to_a_trial_that_exists(
        self, store: Store, study: StudyRecord
    ) -> None:
        with pytest.raises(NotFoundError, match="no trial 4"):
            store.add_artifact(
                study.id, kind="onnx", path="a", sha256=DIGEST, size_bytes=1, trial=4
            )
        assert store.artifacts(study.id) == []
