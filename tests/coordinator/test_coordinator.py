"""What a coordinator decides, with processes that are only noted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from autokd.coordinator import Coordinator
from autokd.errors import ConflictError, StorageFullError, StoreUnavailableError
from autokd.store import Store
from autokd.trial import StopReason, StudyState, StudyWish
from tests.coordinator.conftest import OpenOffice, World
from tests.scripted.processes import until


class TestSlots:
    def test_running_studies_share_them_equally_and_the_oldest_gets_what_is_left(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office(slots=4)
        studies = [world.add(name) for name in ("a", "b", "c")]
        office.tick()
        assert office.running == studies
        assert [office.child(study).lines[-1] for study in studies] == [
            "slots 2",
            "slots 1",
            "slots 1",
        ]
        office.ends(studies[0], StudyState.RUNNING, wish=None)
        assert [office.child(study).lines[-1] for study in studies[1:]] == ["slots 2", "slots 2"]

    def test_studies_that_find_none_wait_and_the_oldest_is_next(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office(slots=2)
        a, b, c, d = (world.add(name) for name in "abcd")
        office.tick()
        assert office.running == [a, b]
        office.begins(b)
        office.ends(b, StudyState.COMPLETED, wish=None)
        assert office.running == [a, c]
        assert world.study(d).status == "queued"

    def test_there_is_at_least_one(self, store: Store) -> None:
        with pytest.raises(ValueError, match="at least 1 slot"):
            Coordinator(store, 0)


def test_studies_are_told_when_the_coordinator_leaves(
    world: World, open_office: OpenOffice
) -> None:
    office = open_office()
    study = world.add("study")
    office.tick()
    office.coordinator._close()
    assert "leave" in office.child(study).lines
    assert "cancel" not in office.child(study).lines


class TestWishes:
    @pytest.mark.parametrize("wish", [None, StudyWish.PAUSE, StudyWish.CANCEL])
    def test_a_study_that_is_not_to_run_is_left_alone(
        self, world: World, open_office: OpenOffice, wish: StudyWish | None
    ) -> None:
        office = open_office()
        world.add("study", wish=wish)
        office.tick()
        assert office.children == []

    @pytest.mark.parametrize("wish", [StudyWish.PAUSE, StudyWish.STOP, StudyWish.CANCEL])
    def test_a_running_study_is_told_what_is_wished(
        self, world: World, open_office: OpenOffice, wish: StudyWish
    ) -> None:
        office = open_office()
        study = world.add("study")
        office.tick()
        world.wish(study, wish)
        office.tick()
        assert wish.value in office.child(study).lines

    def test_a_study_that_waits_and_is_stopped_runs_for_its_final_stage(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        study = world.add("study", wish=StudyWish.STOP)
        office.tick()
        assert "stop" in office.child(study).lines

    def test_a_study_that_is_resumed_while_it_pauses_is_started_again_when_it_has_ended(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        study = world.add("study")
        office.tick()
        office.begins(study)
        world.wish(study, StudyWish.PAUSE)
        office.tick()
        assert world.study(study).status == "pausing"
        world.wish(study, StudyWish.RUN)
        office.tick()
        assert len(office.children) == 1
        office.ends(study, StudyState.STOPPED, stop_reason=StopReason.USER)
        assert office.running == [study]
        assert "pause" not in office.child(study).lines

    def test_a_running_study_is_told_of_new_limits(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        study = world.add("study")
        office.tick()
        world.store.change_study(study, spec={**world.study(study).spec, "limits": {"trials": 9}})
        office.tick()
        assert f"reload {world.study(study).version}" in office.child(study).lines

    def test_a_study_that_is_deleted_while_it_begins_is_cancelled(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        study = world.add("study")
        office.tick()
        world.store.hide_study(study)
        office.tick()
        assert "cancel" in office.child(study).lines
        office.dies(study, 0)
        assert office.running == []

    def test_a_study_that_is_gone_does_not_end_the_coordinator(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        study = world.add("study")
        office.tick()
        world.store.delete_study(study)
        office.tick()
        assert "cancel" in office.child(study).lines
        office.dies(study)
        assert office.running == []


class TestDeaths:
    def test_a_study_whose_process_dies_is_started_again_and_given_up_after_the_third_time(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        study = world.add("study")
        office.tick()
        for starts in (2, 3):
            office.dies(study)
            assert len(office.children) == starts
            assert world.study(study).state is StudyState.CREATED
        office.dies(study)
        failed = world.study(study)
        assert (failed.status, failed.wish) == ("failed", None)
        assert failed.error is not None and "died 3 times" in failed.error
        assert office.running == []

    def test_deaths_count_in_a_row_only(self, world: World, open_office: OpenOffice) -> None:
        office = open_office()
        study = world.add("study")
        office.tick()
        for _ in range(5):
            trial = world.add_trial(study)
            lease = world.store.start_attempt(study, trial.number, lease_seconds=60)
            world.store.record_epoch(lease.id, lease.token, 1, {"loss": 1.0})
            office.dies(study)
        assert office.running == [study]
        assert world.study(study).error is None

    @pytest.mark.parametrize("code", [ConflictError.exit_code, StorageFullError.exit_code])
    def test_a_database_that_does_not_answer_is_no_death(
        self, world: World, open_office: OpenOffice, code: int
    ) -> None:
        office = open_office()
        study = world.add("study")
        office.tick()
        for _ in range(5):
            office.dies(study, code)
        assert office.running == [study]
        assert world.study(study).error is None

    def test_a_study_that_ended_with_an_error_of_its_own_is_not_started_again(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        study = world.add("study")
        office.tick()
        office.begins(study)
        world.store.update_study(
            study, state=StudyState.STOPPED, stop_reason=StopReason.NOTHING_FEASIBLE, wish=None
        )
        office.dies(study, 6)
        assert office.running == []
        assert world.study(study).status == "stopped"

    def test_a_study_waits_until_the_process_of_an_earlier_coordinator_has_ended(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        study = world.add("study")
        with world.store.coordinate(study):
            office.tick()
            assert office.children == []
        office.tick()
        assert office.running == [study]

    def test_a_process_that_cannot_be_started_is_tried_again(
        self, world: World, open_office: OpenOffice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office = open_office()
        study = world.add("study")

        def no_room(*arguments: object, log: Path) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("autokd.coordinator.coordinator.Child", no_room)
            office.tick()
        assert world.study(study).status == "queued"
        office.tick()
        assert office.running == [study]


class TestOperations:
    def test_one_runs_at_a_time_the_oldest_first(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        study = world.add("study", wish=None)
        operations = [world.store.add_operation("export", study, {}).id for _ in range(2)]
        office.tick()
        assert [child.id for child in office.children] == operations[:1]
        world.store.end_operation(operations[0], response={})
        office.children[0].code = 0
        office.tick()
        assert [child.id for child in office.children] == operations
        assert world.store.operation(operations[1]).state == "running"

    def test_one_that_is_cancelled_is_ended(self, world: World, open_office: OpenOffice) -> None:
        office = open_office()
        operation = world.store.add_operation("export", world.add("study", wish=None), {}).id
        office.tick()
        world.store.cancel_operation(operation)
        office.tick()
        assert office.children[0].code == -9
        office.tick()
        assert world.store.operation(operation).state == "cancelled"
        assert len(office.children) == 1

    @pytest.mark.parametrize("end", ["cancelled", "failed", "succeeded", "died"])
    def test_an_export_leaves_files_only_where_it_has_succeeded(
        self, world: World, open_office: OpenOffice, end: str
    ) -> None:
        office = open_office()
        study = world.add("study", wish=None)
        operation = world.store.add_operation("export", study, {}).id
        office.tick()
        folder = world.study(study).folder / "exports"
        for name in (f"{operation}.partial", str(operation), "99"):
            (folder / name).mkdir(parents=True)
        match end:
            case "cancelled":
                world.store.cancel_operation(operation)
                office.tick()
            case "failed":
                world.store.end_operation(operation, error={"message": "no"})
                office.children[0].code = 0
            case "succeeded":
                (folder / f"{operation}.partial").rmdir()
                world.store.end_operation(operation, response={})
                office.children[0].code = 0
            case "died":  # it is begun again, and removes itself what it finds
                office.children[0].code = -9
        office.tick()
        left = {path.name for path in folder.iterdir()}
        assert (
            left
            == {
                "cancelled": {"99"},
                "failed": {"99"},
                "succeeded": {"99", str(operation)},
                "died": {"99", str(operation), f"{operation}.partial"},
            }[end]
        )

    def test_one_whose_process_dies_is_begun_again_and_fails_after_the_third_time(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        operation = world.store.add_operation("export", world.add("study", wish=None), {}).id
        for starts in (1, 2, 3):
            office.tick()
            assert len(office.children) == starts
            assert world.store.operation(operation).state == "running"
            office.children[-1].code = -9
        office.tick()
        ended = world.store.operation(operation)
        assert ended.state == "failed"
        assert ended.error is not None and "died" in ended.error["message"]

    def test_one_that_found_no_database_is_begun_again(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        operation = world.store.add_operation("export", world.add("study", wish=None), {}).id
        for _ in range(5):
            office.tick()
            office.children[-1].code = ConflictError.exit_code
        office.tick()
        assert world.store.operation(operation).state == "running"

    def test_what_an_earlier_coordinator_had_begun_is_begun_again(
        self, world: World, open_office: OpenOffice
    ) -> None:
        operation = world.store.add_operation("export", world.add("study", wish=None), {}).id
        world.store.begin_operation(operation)
        office = open_office()
        office.coordinator.stop()
        office.coordinator.run()
        assert world.store.operation(operation).state == "queued"

    def test_a_study_that_has_ended_runs_again_for_what_is_asked_of_its_trials(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        study = world.add("study", wish=None)
        world.store.add_operation("retry", study, {"trial": 0})
        office.tick()
        office.tick()
        assert office.running == [study]

    def test_a_request_to_a_deleted_study_fails(
        self, world: World, open_office: OpenOffice
    ) -> None:
        office = open_office()
        study = world.add("study", wish=None)
        operation = world.store.add_operation("retry", study, {"trial": 0}).id
        world.store.hide_study(study)
        office.tick()
        assert world.store.operation(operation).state == "failed"
        assert office.children == []


class TestRecord:
    def test_there_is_one_coordinator_at_a_time(self, store: Store) -> None:
        first, second = Coordinator(store, 1), Coordinator(store, 1)
        with first._alone(), pytest.raises(ConflictError, match="another coordinator"):
            second.run()

    def test_one_that_is_patient_begins_when_the_other_has_ended(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, second = Coordinator(store, 1), Coordinator(store, 1, patient=True)
        waiting = threading.Thread(target=second.run)
        with first._alone():
            waiting.start()
            until(lambda: "another coordinator" in caplog.text, "it to wait")
            assert store.coordinators() == []
        until(store.coordinators, "it to begin")
        second.stop()
        waiting.join()

    def test_one_that_is_stopped_while_it_waits_has_done_nothing(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, second = Coordinator(store, 1), Coordinator(store, 1, patient=True)
        record = store.add_coordinator("here", 1, 1)
        waiting = threading.Thread(target=second.run)
        with first._alone():
            waiting.start()
            until(lambda: "another coordinator" in caplog.text, "it to wait")
            second.stop()
            waiting.join()
        assert [each.id for each in store.coordinators()] == [record.id]

    def test_one_that_was_killed_is_forgotten_by_the_next(
        self, store: Store, open_office: OpenOffice
    ) -> None:
        store.add_coordinator("host", 1, 4)
        office = open_office()
        office.coordinator.stop()
        office.coordinator.run()
        assert store.coordinators() == []

    @pytest.mark.parametrize("error", [StoreUnavailableError, StorageFullError])
    def test_a_database_that_does_not_answer_is_waited_for(
        self,
        world: World,
        open_office: OpenOffice,
        monkeypatch: pytest.MonkeyPatch,
        error: type[Exception],
    ) -> None:
        office = open_office()
        study = world.add("study")
        asked = 0
        wanted = world.store.wanted_studies

        def locked() -> object:
            nonlocal asked
            asked += 1
            if asked < 3:
                raise error("the database is locked")
            office.coordinator.stop()
            return wanted()

        monkeypatch.setattr(world.store, "wanted_studies", locked)
        office.coordinator.run()
        assert [child.id for child in office.children] == [study]

    def test_shares_are_recorded(self, world: World, open_office: OpenOffice) -> None:
        office = open_office(slots=3)
        study = world.add("study")
        record = world.store.add_coordinator("host", 1, 3)
        office.tick()
        world.store.beat(record.id, office.coordinator._shares())
        assert world.store.coordinators()[0].shares == {str(study): 3}
