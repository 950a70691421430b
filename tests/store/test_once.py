from __future__ import annotations

from datetime import timedelta

import pytest

from autokd.errors import ConflictError
from autokd.store import Store, one_request

REQUEST = "a" * 64


class TestOnce:
    """A request that was killed after it had made something comes again."""

    def test_it_finds_the_study_that_it_made(self, store: Store) -> None:
        assert store.begin_request(7, "key", REQUEST) is None
        with one_request(7, "key"):
            made = store.create_study("digits", {})
        assert store.begin_request(7, "key", REQUEST) is None
        with one_request(7, "key"):
            assert store.create_study("digits", {}) == made
        store.end_request(7, "key", {"status": 201})
        assert store.begin_request(7, "key", REQUEST) == {"status": 201}
        assert len(store.studies()) == 1

    def test_it_finds_the_operation_that_it_queued(self, store: Store) -> None:
        store.begin_request(None, "key", REQUEST)
        for _ in range(2):
            with one_request(None, "key"):
                store.add_operation("retry", 1, {"trial": 3})
        assert len(store.operations()) == 1

    def test_requests_of_other_keys_make_things_of_their_own(self, store: Store) -> None:
        for key in ("a", "b"):
            store.begin_request(None, key, REQUEST)
            with one_request(None, key):
                store.add_operation("retry", 1, {"trial": 3})
        store.add_operation("retry", 1, {"trial": 3})
        assert len(store.operations()) == 3

    def test_it_is_not_forgotten_when_its_answer_fails(self, store: Store) -> None:
        store.begin_request(None, "key", REQUEST)
        with one_request(None, "key"):
            made = store.create_study("digits", {})
        store.end_request(None, "key", None)
        store.begin_request(None, "key", REQUEST)
        with one_request(None, "key"):
            assert store.create_study("digits", {}) == made

    def test_one_that_made_nothing_is_under_way_for_a_while(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.begin_request(None, "key", REQUEST)
        with pytest.raises(ConflictError, match="under way"):
            store.begin_request(None, "key", REQUEST)
        monkeypatch.setattr("autokd.store.access._UNDER_WAY_FOR", timedelta(0))
        assert store.begin_request(None, "key", REQUEST) is None
