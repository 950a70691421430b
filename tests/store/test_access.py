from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from autokd.errors import ConflictError, NotFoundError, StoreUnavailableError
from autokd.store import ReusedKeyError, Store
from autokd.store.service_rows import AuditRow, IdempotencyRow, TokenRow

FIRST, SECOND = "ab" * 32, "cd" * 32
HOUR = timedelta(hours=1)


class TestTokens:
    def test_a_token_is_found_by_its_digest_as_it_was_made(self, store: Store) -> None:
        expires = datetime.now(UTC) + HOUR
        made = store.add_token("ci", FIRST, "launch", expires=expires, limits={"studies": 2})
        assert (made.name, made.scope, made.limits) == ("ci", "launch", {"studies": 2})
        assert (made.expires, made.parent, made.last_used) == (expires, None, None)
        assert store.token_of(FIRST) == made
        assert store.token_of(SECOND) is None

    def test_a_digest_is_given_once(self, store: Store) -> None:
        store.add_token("a", FIRST, "read")
        with pytest.raises(IntegrityError):
            store.add_token("b", FIRST, "admin")

    def test_a_token_that_has_expired_is_none_and_is_forgotten(self, store: Store) -> None:
        past, future = datetime.now(UTC) - HOUR, datetime.now(UTC) + HOUR
        store.add_token("old", FIRST, "read", expires=past)
        young = store.add_token("young", SECOND, "read", expires=future)
        assert store.token_of(FIRST) is None
        store.remove_expired_tokens()
        assert store.tokens() == [young]

    def test_a_token_is_known_while_another_process_writes(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = store.add_token("a", FIRST, "read")

        def locked() -> None:
            raise StoreUnavailableError("the database is locked")

        monkeypatch.setattr(store, "_write", locked)
        assert store.token_of(FIRST) == made

    def test_use_is_noted_to_the_minute(self, store: Store) -> None:
        made = store.add_token("a", FIRST, "read")
        store.token_of(FIRST)
        (used,) = store.tokens()
        assert used.last_used is not None and used.last_used >= made.created
        store.token_of(FIRST)
        assert store.tokens() == [used]
        earlier = used.last_used - HOUR
        with store._write() as session:
            session.execute(update(TokenRow).values(last_used=earlier))
        found = store.token_of(FIRST)
        assert found is not None and found.last_used == earlier
        assert store.tokens()[0].last_used > earlier  # type: ignore[operator]  # it was used

    def test_sessions_end_with_their_token_and_are_not_listed(self, store: Store) -> None:
        token = store.add_token("a", FIRST, "admin")
        store.add_token("a", SECOND, "admin", parent=token.id)
        assert store.tokens() == [token]
        assert store.remove_token(token.id) == token
        assert (store.token_of(FIRST), store.token_of(SECOND)) == (None, None)

    def test_a_session_ends_alone(self, store: Store) -> None:
        token = store.add_token("a", FIRST, "admin")
        session = store.add_token("a", SECOND, "admin", parent=token.id)
        store.remove_token(session.id)
        assert store.token_of(SECOND) is None
        assert store.token_of(FIRST) is not None

    def test_a_missing_token_is_an_error_and_ids_are_not_given_again(self, store: Store) -> None:
        made = store.add_token("a", FIRST, "read")
        store.remove_token(made.id)
        with pytest.raises(NotFoundError, match="no token 1"):
            store.remove_token(made.id)
        assert store.add_token("b", FIRST, "read").id > made.id


class TestIdempotency:
    def test_a_request_that_comes_again_is_answered_as_before(self, store: Store) -> None:
        assert store.begin_request(1, "key", FIRST) is None
        store.end_request(1, "key", {"status": 201, "body": "…"})
        assert store.begin_request(1, "key", FIRST) == {"status": 201, "body": "…"}

    def test_keys_belong_to_their_owners(self, store: Store) -> None:
        for owner in (None, 1, 2):
            assert store.begin_request(owner, "key", FIRST) is None

    def test_the_same_key_for_another_request_is_refused(self, store: Store) -> None:
        store.begin_request(None, "key", FIRST)
        store.end_request(None, "key", {})
        with pytest.raises(ReusedKeyError, match="'key' was used for another request"):
            store.begin_request(None, "key", SECOND)

    def test_a_request_that_is_under_way_is_refused(self, store: Store) -> None:
        store.begin_request(None, "key", FIRST)
        with pytest.raises(ConflictError, match="under way"):
            store.begin_request(None, "key", FIRST)

    def test_a_request_that_changed_nothing_may_come_again(self, store: Store) -> None:
        store.begin_request(None, "key", FIRST)
        store.end_request(None, "key", None)
        assert store.begin_request(None, "key", SECOND) is None

    def test_a_key_is_remembered_for_a_day(self, store: Store) -> None:
        for key, age in (("young", 23 * HOUR), ("old", 25 * HOUR)):
            store.begin_request(None, key, FIRST)
            store.end_request(None, key, {"status": 201})
            with store._write() as session:
                session.execute(
                    update(IdempotencyRow)
                    .where(IdempotencyRow.key == key)
                    .values(created=datetime.now(UTC) - age)
                )
        assert store.begin_request(None, "young", FIRST) == {"status": 201}
        assert store.begin_request(None, "old", SECOND) is None

    def test_a_request_that_was_cut_off_may_come_again(self, store: Store) -> None:
        for key, age in (("young", HOUR / 1200), ("old", HOUR / 120)):
            store.begin_request(None, key, FIRST)
            with store._write() as session:
                session.execute(
                    update(IdempotencyRow)
                    .where(IdempotencyRow.key == key)
                    .values(created=datetime.now(UTC) - age)
                )
        with pytest.raises(ConflictError, match="under way"):
            store.begin_request(None, "young", FIRST)
        assert store.begin_request(None, "old", FIRST) is None


class TestAudit:
    def test_what_is_old_is_forgotten(self, store: Store) -> None:
        audit = {"token": None, "name": "a", "target": "/", "status": 200, "request_id": "5f0c"}
        for operation in ("old", "young"):
            store.add_audit(operation=operation, **audit)
        with store._write() as session:
            session.execute(
                update(AuditRow)
                .where(AuditRow.operation == "old")
                .values(time=datetime.now(UTC) - 2 * HOUR)
            )
        store.forget_audits(HOUR)
        assert [each.operation for each in store.audits()] == ["young"]

    def test_the_newest_come_first_and_in_parts(self, store: Store) -> None:
        for status in (201, 403, 404):
            store.add_audit(
                token=1,
                name="ci\0",
                operation="create_study",
                target="/api/v1/studies",
                status=status,
                request_id="5f0c",
            )
        newest = store.audits(limit=2)
        assert [each.status for each in newest] == [404, 403]
        (oldest,) = store.audits(before=newest[-1].id, limit=2)
        assert (oldest.token, oldest.operation, oldest.target) == (
            1,
            "create_study",
            "/api/v1/studies",
        )
        assert (oldest.name, oldest.status, oldest.request_id) == ("ci\\x00", 201, "5f0c")
        assert store.count_audits() == 3
