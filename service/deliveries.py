"""Deliveries: webhooks are told of events, again and again until they have heard."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from anyio import create_task_group, to_thread
from pydantic_core import to_json

from autokd.errors import AutokdError, NotFoundError
from autokd.store import DeliveryRecord, EventRecord, Store, WebhookRecord
from service.background import working
from service.events import event_json
from service.outbound import Outbound, OutboundError, UrlRefusedError
from service.schemas import moment_text
from service.signing import sign

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_MOST_ATTEMPTS = 9
_GROWTH = 4.0
"""The pause after the nth attempt is about 4**n seconds: the last comes a day after the first."""


class Deliveries:
    """Sends what webhooks want to know; several processes may do so side by side.

    Args:
        store: the record, which says what is to be sent and remembers what came of it.
        outbound: how receivers are reached.
    """

    def __init__(self, store: Store, outbound: Outbound) -> None:
        self._store = store
        self.outbound = outbound

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sends while the block lasts."""
        async with working(self._keep_sending):
            yield

    async def send_due(self) -> int:
        """Queues what is new and sends what is due, some of it at least; says how many it was."""
        await to_thread.run_sync(self._store.queue_deliveries, message_of)
        due = await to_thread.run_sync(self._store.take_deliveries)
        # What has no end in the record is due again in a while, so a failure here loses nothing.
        async with create_task_group() as tasks:
            for delivery in due:
                tasks.start_soon(self._try_to_send, delivery)
        return len(due)

    async def _keep_sending(self) -> None:
        while True:
            sent = 0
            try:
                sent = await self.send_due()
            except AutokdError as error:  # the database is away, or the disk is full, for a while
                _LOG.warning("%s", error)
            except Exception:  # the boundary of the task: its end would be the end of all webhooks
                _LOG.exception("deliveries")
            if not sent:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _try_to_send(self, delivery: DeliveryRecord) -> None:
        try:
            await self._send(delivery)
        except Exception:  # one receiver that fails must not keep others from hearing
            _LOG.exception("a delivery could not be made")

    async def _send(self, delivery: DeliveryRecord) -> None:
        """Makes one attempt, and records what came of it."""
        try:
            webhook = await to_thread.run_sync(self._store.webhook, delivery.webhook_id)
        except NotFoundError:  # it was removed, and its deliveries with it
            return
        status, failure, again = None, "", backoff(delivery.attempts)
        try:
            status = await self._post(webhook, delivery)
            if not 200 <= status < 300:
                failure = f"it answered {status}"
        except UrlRefusedError as error:
            failure, again = error.message, None
        except OutboundError as error:
            failure = error.message

        def end() -> None:
            self._store.end_delivery(delivery.id, status=status, message=failure, again=again)

        await to_thread.run_sync(end)

    async def _post(self, webhook: WebhookRecord, delivery: DeliveryRecord) -> int:
        body = to_json(delivery.body, inf_nan_mode="null")
        headers = sign([webhook.secret], message_id(delivery), body)
        headers["Content-Type"] = "application/json"
        return await self.outbound.post(webhook.url, body, headers)


def message_of(event: EventRecord) -> Mapping[str, Any]:
    """What a webhook is told of an event, in the form that Standard Webhooks wants."""
    return {
        "type": event.kind,
        "timestamp": moment_text(event.time),
        "data": event_json(event),
    }


def sample_message(webhook: str) -> Mapping[str, Any]:
    """What a webhook is told to try it out.

    Args:
        webhook: its id.
    """
    return {
        "type": "test",
        "timestamp": moment_text(datetime.now(UTC)),
        "data": {"webhook": webhook},
    }


def message_id(delivery: DeliveryRecord) -> str:
    """What a receiver knows a message by, however often it comes: that of its event."""
    return f"test_{delivery.id}" if delivery.event is None else f"evt_{delivery.event}"


def backoff(attempts: int) -> timedelta | None:
    """The pause after so many attempts have failed; None: it was the last.

    It differs by up to a fifth either way, so that a receiver that was down is not met by all
    messages at once.
    """
    if attempts >= _MOST_ATTEMPTS:
        return None
    spread = 0.8 + 0.4 * secrets.randbelow(1 << 20) / (1 << 20)
    return timedelta(seconds=spread * _GROWTH**attempts)
