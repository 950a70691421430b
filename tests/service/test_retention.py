"""Notes about requests are forgotten after a while, by the service itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from autokd.errors import StoreUnavailableError
from autokd.store import Store
from autokd.store.service_rows import AuditRow, DeliveryRow, OperationRow
from service import retention
from service.retention import forgetting

KEPT = timedelta(days=7)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """With an audit event, an operation and a delivery of long ago."""
    with Store.open(tmp_path / "autokd.db") as opened:
        opened.add_audit(
            token=None, name="a", operation="b", target="/", status=200, request_id="5f0c"
        )
        opened.end_operation(opened.add_operation("purge", None, {}).id, response={})
        webhook = opened.add_webhook("https://hooks.example/", ["study"], "whsec_x")
        opened.end_delivery(opened.add_delivery(webhook.id, None, {}).id, status=200)
        long_ago = datetime.now(UTC) - 2 * KEPT
        with opened._write() as session:
            session.execute(update(AuditRow).values(time=long_ago))
            session.execute(update(OperationRow).values(ended=long_ago))
            session.execute(update(DeliveryRow).values(created=long_ago))
        yield opened


def test_what_is_old_is_forgotten_while_the_service_runs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget = retention.forget
    failures = iter([StoreUnavailableError("it is away"), OSError("of another kind")])

    async def run() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def trying(*arguments: Any) -> None:
            for failure in failures:
                raise failure
            forget(*arguments)
            loop.call_soon_threadsafe(done.set)

        monkeypatch.setattr(retention, "forget", trying)
        monkeypatch.setattr(retention, "_PAUSE_SECONDS", 0.0)
        async with forgetting(store, KEPT):
            await done.wait()

    asyncio.run(run())
    assert store.count_audits() == 0
    assert store.operations() == []
    assert store.deliveries(1) == []


def test_what_is_young_is_kept(store: Store) -> None:
    retention.forget(store, 3 * KEPT)
    assert store.count_audits() == len(store.operations()) == len(store.deliveries(1)) == 1
