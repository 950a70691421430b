"""How the feed goes through the record on behalf of its listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from autokd.store import Store
from service.events import EventFeed
from service.settings import Settings


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with Store.open(settings.storage) as opened:
        yield opened


def test_a_listener_whose_events_were_deleted_waits_for_the_next(
    store: Store, settings: Settings
) -> None:
    kept, gone = store.create_study("kept", {}), store.create_study("gone", {})
    for _ in range(5):
        store.add_event(gone.id, "note", {})
    asked = 0
    read = store.all_events

    def counted(*arguments: int) -> object:
        nonlocal asked
        asked += 1
        return read(*arguments)

    async def listen() -> int | None:
        feed = EventFeed(store, settings)
        async with feed.running():
            store.delete_study(gone.id)
            store.all_events = counted  # type: ignore[assignment, method-assign]
            events = feed.listen(1, None, 0.05)
            assert await anext(events) is None  # a quiet while
            assert asked < 10
            newest = store.add_event(kept.id, "note", {})
            while (event := await anext(events)) is None:
                pass
            assert event.id == newest.id
            await events.aclose()
            return event.id

    assert asyncio.run(listen())


def test_a_listener_is_not_set_back_by_events_that_are_still_being_taken_up(
    store: Store, settings: Settings
) -> None:
    study = store.create_study("study", {})

    async def listen() -> list[int]:
        feed = EventFeed(store, settings)
        async with feed.running():
            heard: list[int] = []
            events = feed.listen(0, None, 0.02)
            async with feed._news:  # the feed cannot say yet that there is something new
                newest = store.add_event(study.id, "note", {}).id
                for _ in range(100):  # it finds it
                    await asyncio.sleep(0)
            while len(heard) < 2:
                event = await anext(events)
                heard += [event.id] if event else []
            assert await anext(events) is None
            assert heard[-1] == newest
            await events.aclose()
            return heard

    heard = asyncio.run(listen())
    assert heard == sorted(set(heard))
