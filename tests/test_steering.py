"""What may be asked of a study as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autokd import steering
from autokd.errors import ConflictError, SpecError
from autokd.spec import read_study
from autokd.store import Store, StudyRecord
from autokd.trial import StudyState, StudyWish
from tests.scripted.processes import scripted_spec

ENDED = (StudyState.COMPLETED, StudyState.STOPPED, StudyState.FAILED)
HALTING = (StudyWish.PAUSE, StudyWish.STOP, StudyWish.CANCEL)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "autokd.db") as opened:
        yield opened


def queued(store: Store, **options: bool) -> StudyRecord:
    return steering.queue(store, read_study(scripted_spec("scripted")), **options)


def test_a_new_study_is_wanted_to_run_or_waits(store):
    assert queued(store).status == "queued"
    with pytest.raises(ConflictError, match="already a study"):
        queued(store)
    store.hide_study(store.study("scripted").id)
    assert queued(store, paused=True).status == "paused"


def test_what_a_study_is_to_learn_from_has_to_be_there(store):
    queued(store)
    strategy = {"name": "bayesian", "warm_start": ["scripted", "scriptd", "none"]}
    spec = read_study(scripted_spec("next", strategy=strategy))
    with pytest.raises(SpecError) as raised:
        steering.queue(store, spec)
    assert [mistake.path for mistake in raised.value.mistakes] == [
        "strategy.warm_start.1",
        "strategy.warm_start.2",
    ]
    assert [study.name for study in store.studies()] == ["scripted"]


@pytest.mark.parametrize("wish", [StudyWish.RUN, *HALTING])
def test_a_study_with_a_coordinator_may_be_wished_anything(store, wish):
    assert steering.steer(store, queued(store), wish).wish is wish


def test_what_is_stopping_can_not_be_resumed(store):
    study = steering.steer(store, queued(store), StudyWish.STOP)
    with pytest.raises(ConflictError, match="is stopping"):
        steering.steer(store, study, StudyWish.RUN)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (StudyWish.STOP, StudyWish.PAUSE),
        (StudyWish.CANCEL, StudyWish.PAUSE),
        (StudyWish.CANCEL, StudyWish.STOP),
    ],
)
def test_what_is_to_end_can_only_be_ended_sooner(store, first, then):
    study = steering.steer(store, queued(store), first)
    with pytest.raises(ConflictError, match=f"is {study.status}; only one that is queued"):
        steering.steer(store, study, then)
    assert steering.steer(store, study, StudyWish.CANCEL).wish is StudyWish.CANCEL


def test_of_two_wishes_at_once_the_second_is_checked_against_the_first(store):
    seen = queued(store)
    steering.steer(store, seen, StudyWish.STOP)
    with pytest.raises(ConflictError, match="is stopping"):
        steering.steer(store, seen, StudyWish.RUN)
    assert store.study(seen.id).wish is StudyWish.STOP


def test_a_study_that_has_ended_since_it_was_seen_is_not_cancelled(store):
    queued(store)
    seen = store.update_study(store.study("scripted").id, state=StudyState.RUNNING)
    store.update_study(seen.id, state=StudyState.COMPLETED, wish=None)
    with pytest.raises(ConflictError, match="is completed; only one"):
        steering.steer(store, seen, StudyWish.CANCEL)
    assert store.study(seen.id).status == "completed"


@pytest.mark.parametrize("state", ENDED)
@pytest.mark.parametrize("wish", HALTING)
def test_what_has_ended_is_not_halted_and_only_what_is_complete_not_resumed(store, state, wish):
    study = queued(store)
    store.update_study(study.id, state=StudyState.RUNNING)
    study = store.update_study(study.id, state=state, wish=None)
    with pytest.raises(ConflictError, match=f"is {state}; only one that is queued"):
        steering.steer(store, study, wish)
    if state is StudyState.COMPLETED:
        with pytest.raises(ConflictError, match="is completed\nhint: extend it"):
            steering.steer(store, study, StudyWish.RUN)
    else:
        assert steering.steer(store, study, StudyWish.RUN).status == "queued"


def test_an_extension_makes_no_limit_smaller(store):
    study = queued(store)
    before = study.spec["limits"]["trials"]
    with pytest.raises(ConflictError, match=f"limits.trials of at least {before}"):
        steering.extend(store, study, {"trials": before - 1})
    assert store.study(study.id) == study


def test_limits_are_extended_and_the_study_goes_on(store):
    study = queued(store, paused=True)
    extended = steering.extend(store, study, {"trials": 9, "seconds": 60})
    assert extended.status == "queued"
    assert (extended.spec["limits"]["trials"], extended.spec["limits"]["seconds"]) == (9, 60)
    with pytest.raises(SpecError, match=r"limits\.trials"):
        steering.extend(store, study, {"trials": "many"})
    assert store.study(study.id) == extended


def test_only_what_is_deleted_is_purged_with_its_files(store):
    study = queued(store)
    study.folder.mkdir(parents=True)
    (study.folder / "weights").write_bytes(bytes(5000))
    with pytest.raises(ConflictError, match="is not deleted"):
        steering.purge(store, study)
    assert steering.purge(store, store.hide_study(study.id)) >= 5000
    assert not study.folder.exists()
    assert store.studies(deleted=True) == []


def test_changes_go_to_the_fields_at_their_paths():
    spec = {"seed": 0, "limits": {"trials": 3}, "losses": [{"name": "kd"}], "final": None}
    changes = {"limits.trials": 5, "losses.0.name": "dkd", "final.top": 2, "strategy.name": "tpe"}
    assert steering.with_changes(spec, changes) == {
        "seed": 0,
        "limits": {"trials": 5},
        "losses": [{"name": "dkd"}],
        "final": {"top": 2},
        "strategy": {"name": "tpe"},
    }
    assert spec["limits"] == {"trials": 3}  # a copy was changed


@pytest.mark.parametrize("path", ["seed.x", "losses.1.name", "losses.x", "losses.0.name.first"])
def test_a_path_that_leads_nowhere_is_a_mistake(path):
    spec = {"seed": 7, "losses": [{"name": "kd"}]}
    with pytest.raises(SpecError, match="there is no such field") as wrong:
        steering.with_changes(spec, {path: 1})
    assert wrong.value.mistakes[0].path == path
