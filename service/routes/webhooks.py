"""Webhooks: addresses that are told of events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field

from autokd.store import DeliveryRecord, WebhookRecord
from service.access import Admin
from service.context import StoreOf
from service.deliveries import Deliveries, sample_message
from service.names import Kind, id_of, number_of
from service.once import OnceRoute
from service.paging import PagingOf
from service.problems import RESPONSES
from service.schemas import Given, Moment, Page, Told
from service.signing import new_secret

router = APIRouter(tags=["webhooks"], responses=RESPONSES, route_class=OnceRoute)

WebhookId = Annotated[str, Path(examples=["whk_1"], max_length=40)]
DeliveryNumber = Annotated[int, Path(ge=1, le=2**31 - 1, examples=[7])]
EventKind = Literal["study", "trial", "epoch", "teacher_epoch", "artifact"]

_MOST_DELIVERIES = 500


def _deliveries(request: Request) -> Deliveries:
    deliveries: Deliveries = request.app.state.deliveries
    return deliveries


DeliveriesOf = Annotated[Deliveries, Depends(_deliveries)]


class NewWebhook(Given):
    """An address that wants to be told of events."""

    url: str = Field(
        max_length=2048,
        description="By https, and of a public host, unless the operator allows others.",
        examples=["https://hooks.example.com/autokd"],
    )
    kinds: list[EventKind] = Field(
        ["study"], min_length=1, max_length=16, description="Of events, as `/events` has them."
    )


class Webhook(Told):
    """An address that is told of events."""

    id: str = Field(examples=["whk_1"])
    url: str
    kinds: list[EventKind]
    created: Moment


class MadeWebhook(Webhook):
    """A webhook that was just made."""

    secret: str = Field(
        description="What messages are signed with, shown this once; see Standard Webhooks.",
        examples=["whsec_…"],
    )


class Delivery(Told):
    """A message to a webhook."""

    id: int
    event: int | None = Field(description="Number of the event; null for a test.")
    state: Literal["pending", "delivered", "failed"]
    status: str = Field(description="What came of the last attempt, in words.")
    attempts: int
    response_status: int | None = Field(description="HTTP status of the last answer.")
    created: Moment
    due: Moment | None = Field(description="When it is tried next, if it is pending.")


@router.get("/webhooks", response_model=Page[Webhook])
def list_webhooks(_caller: Admin, store: StoreOf, paging: PagingOf) -> Any:
    """Lists webhooks, oldest first."""
    return paging.page(store.webhooks(), webhook_json)


@router.post("/webhooks", status_code=201, response_model=MadeWebhook)
def create_webhook(
    caller: Admin, new: NewWebhook, store: StoreOf, deliveries: DeliveriesOf, response: Response
) -> Any:
    """Makes a webhook, which is told of what happens from now on.

    Each message is `{"type": kind, "timestamp": …, "data": event}`, signed as Standard Webhooks
    says; one that is not answered by 2xx is sent again for about a day, with the same `webhook-id`.
    """
    deliveries.outbound.check(new.url)
    kinds = list(dict.fromkeys(new.kinds))
    made = store.add_webhook(new.url, kinds, new_secret(), caller.id)
    response.headers["Location"] = f"/api/v1/webhooks/{id_of(Kind.WEBHOOK, made.id)}"
    return {**webhook_json(made), "secret": made.secret}


@router.get("/webhooks/{webhook}", response_model=Webhook)
def read_webhook(_caller: Admin, webhook: WebhookId, store: StoreOf) -> Any:
    """Reads a webhook."""
    return webhook_json(store.webhook(number_of(Kind.WEBHOOK, webhook)))


@router.delete("/webhooks/{webhook}", status_code=204)
def delete_webhook(_caller: Admin, webhook: WebhookId, store: StoreOf) -> None:
    """Deletes a webhook; what was to be sent to it is not."""
    store.remove_webhook(number_of(Kind.WEBHOOK, webhook))


@router.post("/webhooks/{webhook}:test", status_code=202, response_model=Delivery)
def test_webhook(_caller: Admin, webhook: WebhookId, store: StoreOf) -> Any:
    """Sends a message of type `test`; its delivery says what came of it."""
    number = number_of(Kind.WEBHOOK, webhook)
    return delivery_json(store.add_delivery(number, None, sample_message(webhook)))


@router.get("/webhooks/{webhook}/deliveries", response_model=Page[Delivery])
def list_deliveries(_caller: Admin, webhook: WebhookId, store: StoreOf, paging: PagingOf) -> Any:
    """Lists the newest messages to a webhook, newest first, at most 500."""
    number = number_of(Kind.WEBHOOK, webhook)
    return paging.page(store.deliveries(number, _MOST_DELIVERIES), delivery_json)


@router.post(
    "/webhooks/{webhook}/deliveries/{delivery}:redeliver", status_code=202, response_model=Delivery
)
def redeliver(_caller: Admin, webhook: WebhookId, delivery: DeliveryNumber, store: StoreOf) -> Any:
    """Sends a message once more, as a delivery of its own with the same `webhook-id`."""
    number = number_of(Kind.WEBHOOK, webhook)
    sent = store.delivery(number, delivery)
    return delivery_json(store.add_delivery(number, sent.event, sent.body))


def webhook_json(webhook: WebhookRecord) -> dict[str, Any]:
    """A `Webhook`."""
    return {
        "id": id_of(Kind.WEBHOOK, webhook.id),
        "url": webhook.url,
        "kinds": webhook.kinds["any"],
        "created": webhook.created,
    }


def delivery_json(delivery: DeliveryRecord) -> dict[str, Any]:
    """A `Delivery`."""
    return {
        "id": delivery.id,
        "event": delivery.event,
        "state": delivery.state,
        "status": delivery.message or delivery.state,
        "attempts": delivery.attempts,
        "response_status": delivery.status,
        "created": delivery.created,
        "due": delivery.due if delivery.state == "pending" else None,
    }
