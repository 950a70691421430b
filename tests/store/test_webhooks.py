from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from autokd.errors import NotFoundError
from autokd.store import DeliveryRecord, EventRecord, Store, StudyRecord, webhooks
from autokd.store.service_rows import DeliveryRow

URL = "https://hooks.example/autokd"


def body_of(event: EventRecord) -> Mapping[str, Any]:
    return {"event": event.id, "kind": event.kind, "data": event.data}


def deliver_all(store: Store) -> list[DeliveryRecord]:
    store.queue_deliveries(body_of)
    return store.take_deliveries()


def _make_due(store: Store) -> None:
    with store._write() as session:
        session.execute(update(DeliveryRow).values(due=datetime.now(UTC)))


class TestWebhooks:
    def test_a_webhook_comes_back_as_it_was_given(self, store: Store) -> None:
        made = store.add_webhook(URL, ["study", "trial"], "whsec_x", owner=4)
        assert store.webhook(made.id) == made
        assert (made.url, made.kinds, made.secret) == (URL, {"any": ["study", "trial"]}, "whsec_x")
        assert made.owner == 4
        other = store.add_webhook(URL, ["study"], "whsec_y")
        assert store.webhooks() == [made, other]

    def test_a_removed_webhook_takes_its_messages_with_it(self, store: Store) -> None:
        made = store.add_webhook(URL, ["study"], "whsec_x")
        store.add_delivery(made.id, None, {})
        store.remove_webhook(made.id)
        assert (store.webhooks(), store.take_deliveries()) == ([], [])
        for method in ("webhook", "remove_webhook", "deliveries"):
            with pytest.raises(NotFoundError, match="no webhook 1"):
                getattr(store, method)(made.id)
        with pytest.raises(NotFoundError, match="no webhook 1"):
            store.add_delivery(made.id, None, {})
        assert store.add_webhook(URL, ["study"], "whsec_x").id > made.id


class TestQueue:
    def test_a_webhook_is_told_of_the_events_it_wants_from_its_making_on(
        self, store: Store, study: StudyRecord
    ) -> None:
        store.add_event(study.id, "note", {"text": "before"})
        made = store.add_webhook(URL, ["note"], "whsec_x")
        assert store.queue_deliveries(body_of) == 0
        for kind, text in (("note", "a"), ("other", "b"), ("note", "c")):
            store.add_event(study.id, kind, {"text": text})
        assert store.queue_deliveries(body_of) == 2
        assert store.queue_deliveries(body_of) == 0
        last, first = store.deliveries(made.id)
        assert [each.body["data"] for each in (first, last)] == [{"text": "a"}, {"text": "c"}]
        assert first.event == first.body["event"]
        assert (first.state, first.attempts, first.status) == ("pending", 0, None)

    def test_each_webhook_is_told_for_itself(self, store: Store, study: StudyRecord) -> None:
        first = store.add_webhook(URL, ["note"], "whsec_x")
        store.add_event(study.id, "note", {})
        second = store.add_webhook(URL, ["note", "other"], "whsec_x")
        store.add_event(study.id, "note", {})
        assert store.queue_deliveries(body_of) == 3
        assert [len(store.deliveries(each.id)) for each in (first, second)] == [2, 1]

    def test_many_events_are_taken_in_parts(
        self, store: Store, study: StudyRecord, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webhooks, "_MOST_EVENTS", 2)
        made = store.add_webhook(URL, ["note"], "whsec_x")
        for index in range(5):
            store.add_event(study.id, "note", {"index": index})
        assert [store.queue_deliveries(body_of) for _ in range(4)] == [2, 2, 1, 0]
        indices = [each.body["data"]["index"] for each in store.deliveries(made.id)]
        assert indices == [4, 3, 2, 1, 0]


class TestDeliveries:
    def test_what_is_taken_is_left_alone_by_others_until_its_taker_counts_as_dead(
        self, store: Store, url: str
    ) -> None:
        made = store.add_webhook(URL, ["study"], "whsec_x")
        sent = store.add_delivery(made.id, None, {"type": "test"})
        (taken,) = store.take_deliveries()
        assert (taken.id, taken.body, taken.attempts) == (sent.id, {"type": "test"}, 1)
        with Store.open(url, files=store.files) as other:
            assert other.take_deliveries() == []
            _make_due(store)
            (again,) = other.take_deliveries()
        assert again.attempts == 2

    def test_only_so_many_are_taken_those_first_that_wait_longest(self, store: Store) -> None:
        made = store.add_webhook(URL, ["study"], "whsec_x")
        ids = [store.add_delivery(made.id, None, {}).id for _ in range(3)]
        with store._write() as session:
            earlier = datetime.now(UTC) - timedelta(minutes=1)
            session.execute(update(DeliveryRow).where(DeliveryRow.id == ids[2]).values(due=earlier))
        assert {each.id for each in store.take_deliveries(2)} == {ids[2], ids[0]}
        assert [each.id for each in store.take_deliveries(2)] == [ids[1]]

    def test_a_message_that_arrived_is_not_sent_again(self, store: Store) -> None:
        made = store.add_webhook(URL, ["study"], "whsec_x")
        sent = store.add_delivery(made.id, None, {})
        store.take_deliveries()
        store.end_delivery(sent.id, status=204)
        _make_due(store)
        assert store.take_deliveries() == []
        (delivered,) = store.deliveries(made.id)
        assert (delivered.state, delivered.status, delivered.message) == ("delivered", 204, "")

    def test_a_message_that_failed_is_sent_again_later_or_given_up(self, store: Store) -> None:
        made = store.add_webhook(URL, ["study"], "whsec_x")
        sent = store.add_delivery(made.id, None, {})
        store.take_deliveries()
        store.end_delivery(sent.id, status=500, message="it answered 500", again=timedelta(hours=1))
        waiting = store.delivery(made.id, sent.id)
        assert (waiting.state, waiting.status, waiting.message) == (
            "pending",
            500,
            "it answered 500",
        )
        assert waiting.due > datetime.now(UTC) + timedelta(minutes=50)
        assert store.take_deliveries() == []
        store.end_delivery(sent.id, status=None, message="it did not answer")
        _make_due(store)
        assert store.take_deliveries() == []
        failed = store.delivery(made.id, sent.id)
        assert (failed.state, failed.status) == ("failed", None)

    def test_what_was_delivered_stays_so_whatever_a_slow_process_says(self, store: Store) -> None:
        made = store.add_webhook(URL, ["study"], "whsec_x")
        sent = store.add_delivery(made.id, None, {})
        store.end_delivery(sent.id, status=204)
        delivered = store.delivery(made.id, sent.id)
        store.end_delivery(sent.id, status=None, message="it did not answer")
        assert store.delivery(made.id, sent.id) == delivered

    def test_the_end_of_a_message_that_is_gone_is_no_error(self, store: Store) -> None:
        store.end_delivery(7, status=200)

    def test_the_newest_messages_come_first(self, store: Store) -> None:
        made = store.add_webhook(URL, ["study"], "whsec_x")
        ids = [store.add_delivery(made.id, None, {}).id for _ in range(3)]
        assert [each.id for each in store.deliveries(made.id, limit=2)] == [ids[2], ids[1]]

    def test_a_message_belongs_to_its_webhook(self, store: Store) -> None:
        first, second = (store.add_webhook(URL, ["study"], "whsec_x") for _ in range(2))
        sent = store.add_delivery(first.id, None, {})
        assert store.delivery(first.id, sent.id) == sent
        with pytest.raises(NotFoundError, match="webhook 2 has no delivery 1"):
            store.delivery(second.id, sent.id)

    def test_old_messages_are_forgotten_but_those_that_wait(self, store: Store) -> None:
        made = store.add_webhook(URL, ["study"], "whsec_x")
        waiting, old, young = (store.add_delivery(made.id, None, {}).id for _ in range(3))
        for each in (old, young):
            store.end_delivery(each, status=200)
        with store._write() as session:
            long_ago = datetime.now(UTC) - timedelta(days=8)
            session.execute(
                update(DeliveryRow).where(DeliveryRow.id != young).values(created=long_ago)
            )
        store.forget_deliveries(timedelta(days=7))
        assert {each.id for each in store.deliveries(made.id)} == {waiting, young}
