"""Webhooks in the record, and the messages to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select

from autokd.errors import NotFoundError
from autokd.store.database import Database
from autokd.store.records import EventRecord
from autokd.store.rows import EventRow
from autokd.store.service_records import DeliveryRecord, WebhookRecord
from autokd.store.service_rows import DeliveryRow, WebhookRow

_MOST_EVENTS = 500
_LEASE = timedelta(minutes=2)
"""How long a delivery that was taken is left alone; its taker may have died."""


class Webhooks(Database):
    """Add and remove webhooks, and deliver what they want to know."""

    def add_webhook(
        self, url: str, kinds: Sequence[str], secret: str, owner: int | None = None
    ) -> WebhookRecord:
        """Record a webhook, to be told of events from now on."""
        with self._write() as session:
            row = WebhookRow(
                url=url,
                kinds={"any": list(kinds)},
                secret=secret,
                created=datetime.now(UTC),
                cursor=session.scalar(select(func.max(EventRow.id))) or 0,
                owner=owner,
            )
            session.add(row)
            session.flush()
            session.refresh(row)
            return WebhookRecord.of(row)

    def webhooks(self) -> list[WebhookRecord]:
        """All webhooks, oldest first."""
        with self._read() as session:
            rows = session.scalars(select(WebhookRow).order_by(WebhookRow.id))
            return [WebhookRecord.of(row) for row in rows]

    def webhook(self, webhook_id: int) -> WebhookRecord:
        """One webhook. Raises NotFoundError."""
        with self._read() as session:
            row = session.get(WebhookRow, webhook_id)
            if row is None:
                raise NotFoundError(f"there is no webhook {webhook_id}")
            return WebhookRecord.of(row)

    def remove_webhook(self, webhook_id: int) -> None:
        """Forget a webhook and its deliveries. Raises NotFoundError."""
        self.webhook(webhook_id)
        with self._write() as session:
            session.execute(delete(WebhookRow).where(WebhookRow.id == webhook_id))

    def queue_deliveries(self, body_of: Callable[[EventRecord], Mapping[str, Any]]) -> int:
        """Queue a message for each new event that a webhook wants to know; says how many.

        It takes 500 events of a webhook at most, and the rest when it is called again.
        """
        newest = select(func.max(EventRow.id)).scalar_subquery()
        behind = select(WebhookRow).where(WebhookRow.cursor < newest)
        with self._read() as session:  # mostly there is nothing to write
            if session.scalar(behind.limit(1)) is None:
                return 0
        queued = 0
        now = datetime.now(UTC)
        with self._write() as session:
            # In one order, so that two who do this wait for each other and do not lock each other.
            for webhook in session.scalars(behind.order_by(WebhookRow.id).with_for_update()):
                last = session.scalar(select(newest)) or 0
                events = session.scalars(
                    select(EventRow)
                    .where(
                        EventRow.id > webhook.cursor,
                        EventRow.id <= last,  # more may have come meanwhile
                        EventRow.kind.in_(webhook.kinds["any"]),
                    )
                    .order_by(EventRow.id)
                    .limit(_MOST_EVENTS)
                ).all()
                webhook.cursor = events[-1].id if len(events) == _MOST_EVENTS else last
                for row in events:
                    event = EventRecord(
                        row.id, row.study_id, row.number, row.time, row.kind, row.data
                    )
                    session.add(_delivery(webhook.id, event.id, body_of(event), now))
                    queued += 1
        return queued

    def add_delivery(
        self, webhook_id: int, event: int | None, body: Mapping[str, Any]
    ) -> DeliveryRecord:
        """Queue one message, a test or a repetition. Raises NotFoundError."""
        self.webhook(webhook_id)
        with self._write() as session:
            row = _delivery(webhook_id, event, body, datetime.now(UTC))
            session.add(row)
            session.flush()
            session.refresh(row)
            return DeliveryRecord.of(row)

    def take_deliveries(self, most: int = 20) -> list[DeliveryRecord]:
        """Messages that are due, for the caller alone to deliver within two minutes."""
        now = datetime.now(UTC)
        due = (
            select(DeliveryRow)
            .where(DeliveryRow.state == "pending", DeliveryRow.due <= now)
            .order_by(DeliveryRow.due, DeliveryRow.id)
        )
        with self._read() as session:
            if session.scalar(due.limit(1)) is None:
                return []
        with self._write() as session:
            rows = session.scalars(due.limit(most).with_for_update(skip_locked=True)).all()
            for row in rows:
                row.due = now + _LEASE
                row.attempts += 1
            return [DeliveryRecord.of(row) for row in rows]

    def end_delivery(
        self,
        delivery_id: int,
        *,
        status: int | None,
        message: str = "",
        again: timedelta | None = None,
    ) -> None:
        """Record what came of an attempt to deliver.

        Args:
            delivery_id: the delivery; nothing happens if it is gone, or has ended: another process
                took it when this one counted as dead.
            status: HTTP status of the answer, if there was one.
            message: why it failed; empty: it was delivered.
            again: when to try again; None: it was the last attempt.
        """
        with self._write() as session:
            row = session.get(DeliveryRow, delivery_id, with_for_update=True)
            if row is None or row.state != "pending":
                return
            row.status, row.message = status, message
            if not message:
                row.state = "delivered"
            elif again is None:
                row.state = "failed"
            else:
                row.due = datetime.now(UTC) + again

    def deliveries(self, webhook_id: int, limit: int = 50) -> list[DeliveryRecord]:
        """The newest messages to a webhook, newest first. Raises NotFoundError."""
        self.webhook(webhook_id)
        query = select(DeliveryRow).where(DeliveryRow.webhook_id == webhook_id)
        with self._read() as session:
            rows = session.scalars(query.order_by(DeliveryRow.id.desc()).limit(limit))
            return [DeliveryRecord.of(row) for row in rows]

    def delivery(self, webhook_id: int, delivery_id: int) -> DeliveryRecord:
        """One message to a webhook. Raises NotFoundError."""
        with self._read() as session:
            row = session.get(DeliveryRow, delivery_id)
            if row is None or row.webhook_id != webhook_id:
                raise NotFoundError(f"webhook {webhook_id} has no delivery {delivery_id}")
            return DeliveryRecord.of(row)

    def forget_deliveries(self, older_than: timedelta) -> None:
        """Remove messages that were queued so long ago, unless they are still to be delivered."""
        with self._write() as session:
            session.execute(
                delete(DeliveryRow).where(
                    DeliveryRow.state != "pending",
                    DeliveryRow.created < datetime.now(UTC) - older_than,
                )
            )


def _delivery(
    webhook_id: int, event: int | None, body: Mapping[str, Any], now: datetime
) -> DeliveryRow:
    return DeliveryRow(
        webhook_id=webhook_id,
        event=event,
        body=dict(body),
        state="pending",
        attempts=0,
        due=now,
        created=now,
        message="",
    )
