"""A webhook hears of every event that it wants to know, signed, once it can be reached."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from autokd.errors import AutokdError, StorageFullError, StoreUnavailableError
from autokd.store import DeliveryRecord, Store, StudyRecord, WebhookRecord
from service import deliveries as module
from service.deliveries import Deliveries, backoff, message_of, sample_message
from service.outbound import Outbound
from service.signing import new_secret, verify

from .test_outbound import Receiver, receiver

DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "autokd.db") as opened:
        yield opened


@pytest.fixture
def study(store: Store) -> StudyRecord:
    return store.create_study("digits", {})


def webhook_at(store: Store, url: str, *kinds: str) -> WebhookRecord:
    return store.add_webhook(url, kinds or ("study",), new_secret())


def sent(store: Store, *, answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n") -> Receiver:
    """What a receiver on loopback saw of one round, in which a webhook at it is told of an event.

    The event is that a study `digits` was made.
    """

    async def run() -> Receiver:
        async with receiver(answer) as state:
            webhook_at(store, f"http://127.0.0.1:{state.port}/hook")
            store.create_study("digits", {})
            await Deliveries(store, Outbound([f"127.0.0.1:{state.port}"])).send_due()
            return state

    return asyncio.run(run())


def last_delivery(store: Store) -> DeliveryRecord:
    return store.deliveries(1)[0]


class TestMessages:
    def test_an_event_is_told_as_the_api_tells_it_and_signed(self, store: Store) -> None:
        (request,) = sent(store).requests
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        assert first == "POST /hook HTTP/1.1"
        assert headers["content-type"] == "application/json"
        message = json.loads(body)
        (event,) = store.events(1)
        assert message["type"] == "study"
        assert message["data"] == {
            "number": event.id,
            "study": "std_1",
            "time": message["timestamp"],
            "kind": "study",
            "data": {"state": "created", "status": "created", "stop_reason": None},
        }
        assert headers["webhook-id"] == f"evt_{event.id}"
        exact = dict(line.split(": ", 1) for line in lines)
        verify([store.webhook(1).secret], exact, body)

    def test_an_answer_of_2xx_ends_it(self, store: Store) -> None:
        sent(store)
        delivery = last_delivery(store)
        assert (delivery.state, delivery.status, delivery.attempts) == ("delivered", 204, 1)

    @pytest.mark.parametrize("status", [301, 404, 410, 500])
    def test_any_other_answer_is_tried_again_later(self, store: Store, status: int) -> None:
        sent(store, answer=b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
        delivery = last_delivery(store)
        assert (delivery.state, delivery.status) == ("pending", status)
        assert delivery.message == f"it answered {status}"
        assert timedelta() < delivery.due - datetime.now(UTC) < timedelta(seconds=6)

    def test_a_receiver_that_can_not_be_reached_is_tried_again_later(self, store: Store) -> None:
        async def nowhere(_host: str) -> list[str]:
            raise OSError("no such host")

        webhook_at(store, "https://hooks.example/")
        store.create_study("digits", {})
        asyncio.run(Deliveries(store, Outbound(resolve=nowhere)).send_due())
        delivery = last_delivery(store)
        assert (delivery.state, delivery.status) == ("pending", None)
        assert "there is no host 'hooks.example'" in delivery.message

    @pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254"])
    def test_a_receiver_that_leads_into_the_operators_network_is_given_up(
        self, store: Store, address: str
    ) -> None:
        async def resolve(_host: str) -> list[str]:
            return [address]

        webhook_at(store, "https://hooks.example/")
        store.create_study("digits", {})
        asyncio.run(Deliveries(store, Outbound(resolve=resolve)).send_due())
        delivery = last_delivery(store)
        assert (delivery.state, delivery.status) == ("failed", None)
        assert address not in delivery.message

    def test_a_message_keeps_its_id_in_all_attempts_and_when_it_is_sent_once_more(
        self, store: Store, study: StudyRecord
    ) -> None:
        webhook = webhook_at(store, "https://hooks.example/", "note")
        event = store.add_event(study.id, "note", {})
        body = message_of(event)
        once, again = (store.add_delivery(webhook.id, event.id, body) for _ in range(2))
        assert module.message_id(once) == module.message_id(again) == f"evt_{event.id}"
        test = store.add_delivery(webhook.id, None, sample_message("whk_1"))
        assert module.message_id(test) == f"test_{test.id}"


class TestRounds:
    def test_one_receiver_that_fails_does_not_keep_others_from_hearing(self, store: Store) -> None:
        async def run() -> tuple[Receiver, int]:
            with ExitStack() as stack:
                stack.enter_context(pytest.MonkeyPatch.context()).setattr(
                    Outbound, "check", _failing_for("/bad", Outbound.check)
                )
                async with receiver() as state:
                    for path in ("bad", "good"):
                        webhook_at(store, f"http://127.0.0.1:{state.port}/{path}")
                    store.create_study("digits", {})
                    outbound = Outbound([f"127.0.0.1:{state.port}"])
                    return state, await Deliveries(store, outbound).send_due()

        state, count = asyncio.run(run())
        assert count == 2
        assert [request.split(b" ", 2)[1] for request in state.requests] == [b"/good"]
        assert [store.deliveries(id)[0].state for id in (1, 2)] == ["pending", "delivered"]

    def test_two_processes_send_each_message_once(self, store: Store, tmp_path: Path) -> None:
        async def run() -> Receiver:
            async with receiver() as state:
                webhook_at(store, f"http://127.0.0.1:{state.port}/hook", "note")
                study = store.create_study("digits", {})
                for index in range(30):
                    store.add_event(study.id, "note", {"index": index})
                outbound = Outbound([f"127.0.0.1:{state.port}"])
                with Store.open(tmp_path / "autokd.db") as other:
                    both = [Deliveries(each, outbound) for each in (store, other)]
                    while any(await asyncio.gather(*(each.send_due() for each in both))):
                        pass
                return state

        bodies = [request.partition(b"\r\n\r\n")[2] for request in asyncio.run(run()).requests]
        indices = sorted(json.loads(body)["data"]["data"]["index"] for body in bodies)
        assert indices == list(range(30))

    def test_it_goes_on_by_itself_though_the_database_is_away_for_a_while(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_LOOK_SECONDS", 0.0)
        failures: list[AutokdError] = [
            StoreUnavailableError("locked"),
            StorageFullError("no space left"),
        ]
        queue = store.queue_deliveries

        def sometimes(body_of: Any) -> int:
            if failures:
                raise failures.pop()
            return queue(body_of)

        monkeypatch.setattr(store, "queue_deliveries", sometimes)

        async def run() -> None:
            heard = asyncio.Event()

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                writer.close()
                heard.set()

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            webhook_at(store, f"http://127.0.0.1:{port}/")
            store.create_study("digits", {})
            async with server, Deliveries(store, Outbound([f"127.0.0.1:{port}"])).running():
                await asyncio.wait_for(heard.wait(), 20)

        asyncio.run(run())
        assert failures == []

    def test_a_webhook_that_was_removed_meanwhile_is_left_in_peace(self, store: Store) -> None:
        webhook = webhook_at(store, "https://hooks.example/")
        store.create_study("digits", {})
        deliveries = Deliveries(store, Outbound())
        store.queue_deliveries(message_of)
        (due,) = store.take_deliveries()
        store.remove_webhook(webhook.id)
        asyncio.run(deliveries._send(due))


class TestBackoff:
    def test_pauses_grow_fourfold_up_to_about_a_day_in_all(self) -> None:
        pauses = [backoff(attempts) for attempts in range(1, 9)]
        total = timedelta()
        for attempts, pause in enumerate(pauses, start=1):
            assert pause is not None
            assert 0.8 <= pause.total_seconds() / 4**attempts <= 1.2
            total += pause
        assert 0.8 * DAY <= total <= 1.25 * DAY
        assert backoff(9) is None

    def test_messages_that_failed_together_do_not_come_back_together(self) -> None:
        assert len({backoff(5) for _ in range(10)}) > 1


def _failing_for(path: str, check: Any) -> Any:
    """A check with a bug that one URL meets."""

    def failing(self: Outbound, url: str) -> Any:
        if url.endswith(path):
            raise ZeroDivisionError
        return check(self, url)

    return failing
