"""Server-sent events: as the standard has them, and across connections that break."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from autokd.client.events import Message, MessageReader
from autokd.errors import AutokdError, NotFoundError, ServerUnreachableError

from .conftest import problem


def messages(*pieces: bytes) -> list[Message]:
    reader = MessageReader()
    return [message for piece in pieces for message in reader.feed(piece)]


def test_a_message_has_a_kind_and_data():
    assert messages(b"event: trial\ndata: {}\n\n") == [Message("trial", "{}")]


def test_a_message_without_a_kind_is_a_message():
    assert messages(b"data: x\n\n") == [Message("message", "x")]


def test_a_kind_does_not_outlast_its_message():
    text = b"event: a\ndata: 1\n\ndata: 2\n\n"
    assert messages(text) == [Message("a", "1"), Message("message", "2")]


def test_lines_of_data_are_joined():
    assert messages(b"data: a\ndata:  b\ndata\n\n") == [Message("message", "a\n b\n")]


def test_comments_and_unknown_fields_are_nothing():
    assert messages(b": still here\n\nfoo: bar\nretry: 10\n\n") == []


def test_a_message_without_its_end_is_none():
    assert messages(b"data: a\n\ndata: b\n") == [Message("message", "a")]


def test_a_byte_order_mark_is_left_out():
    assert messages(b"\xef\xbb\xbfdata: a\n\n") == [Message("message", "a")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_bytes_may_come_in_any_pieces(end):
    text = end.join(
        (b"id: 3", b"event: epoch", "data: é\u2028x\x0b\x1c".encode(), b"", b"data: 2", b"", b"")
    )
    expected = [Message("epoch", "é\u2028x\x0b\x1c"), Message("message", "2")]
    assert messages(text) == expected
    assert messages(*(text[i : i + 1] for i in range(len(text)))) == expected
    for cut in range(len(text)):
        assert messages(text[:cut], b"", text[cut:]) == expected


def test_ids_are_kept_with_and_without_a_message():
    reader = MessageReader("1")
    assert list(reader.feed(b"data: a\n\n")) == [Message("message", "a")]
    assert reader.last_id == "1"
    assert list(reader.feed(b"id: 7\n\n")) == []
    assert reader.last_id == "7"
    assert list(reader.feed(b"id: 8\0\n\n")) == []
    assert reader.last_id == "7"


def test_the_server_says_how_long_it_is_to_be_left_alone():
    reader = MessageReader()
    assert list(reader.feed(b"retry: 2500\nretry: soon\n\n")) == []
    assert reader.retry == 2.5


# The stream


def event(number: int, kind: str = "trial") -> bytes:
    data = {
        "number": number,
        "study": "std_1",
        "time": "2026-01-02T03:04:05.678Z",
        "kind": kind,
        "data": {"trial": number},
    }
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


class Breaking(httpx.SyncByteStream):
    """Some bytes, and then the network fails; or the stream ends."""

    def __init__(self, *pieces: bytes, failure: Exception | None = None) -> None:
        self.pieces = pieces
        self.failure = failure

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.failure is not None:
            raise self.failure


class Feed:
    """A server whose streams break one after another."""

    def __init__(self, *streams: Breaking | httpx.Response | Exception) -> None:
        self.streams = list(streams)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        stream = self.streams.pop(0) if self.streams else httpx.ConnectError("gone")
        if isinstance(stream, Exception):
            raise stream
        if isinstance(stream, httpx.Response):
            return stream
        return httpx.Response(200, stream=stream)


def test_events_are_told_with_what_happened(client_of):
    feed = Feed(Breaking(b"retry: 2000\n\n", event(4), event(5, "study")))
    with client_of(feed).events(study="digits", after=3) as events:
        first, second = next(events), next(events)
    assert (first.number, first.kind, first.study, first.data) == (
        4,
        "trial",
        "std_1",
        {"trial": 4},
    )
    assert second.kind == "study"
    (request,) = feed.requests
    assert dict(request.url.params) == {"study": "digits", "after": "3"}
    assert request.headers["accept"] == "text/event-stream"


def test_it_listens_before_the_first_event_is_asked_for(client_of):
    feed = Feed(Breaking())
    client_of(feed).events().close()
    assert len(feed.requests) == 1


@pytest.mark.parametrize("failure", [None, httpx.ReadError("reset"), httpx.ReadTimeout("silent")])
def test_a_stream_that_breaks_goes_on_after_the_last_event(client_of, pauses, failure):
    feed = Feed(
        Breaking(b"retry: 2000\n\n", event(4), event(5)[:20], failure=failure),
        Breaking(event(5), failure=failure),
        Breaking(b": nothing new\n\n", event(6)),
    )
    with client_of(feed).events() as events:
        assert [next(events).number for _ in range(3)] == [4, 5, 6]
    assert [request.headers.get("last-event-id") for request in feed.requests] == [None, "4", "5"]
    assert pauses[0] == 2.0


def test_an_id_without_an_event_is_where_to_go_on(client_of):
    feed = Feed(Breaking(b"id: 41\nretry: 10\n\n"), Breaking(event(42)))
    with client_of(feed).events() as events:
        assert next(events).number == 42
    assert feed.requests[1].headers["last-event-id"] == "41"


def test_a_server_that_comes_back_is_found_again(client_of, pauses):
    feed = Feed(
        Breaking(event(1)), httpx.ConnectError("no"), httpx.Response(503), Breaking(event(2))
    )
    with client_of(feed).events() as events:
        assert [next(events).number for _ in range(2)] == [1, 2]
    assert pauses == [1.0, 1.0, 2.0]  # left alone first, then longer and longer


def test_a_server_that_stays_away_is_unreachable(client_of, pauses):
    with client_of(Feed(Breaking(event(1)))).events() as events:
        next(events)
        with pytest.raises(ServerUnreachableError):
            next(events)
    assert 60 < sum(pauses) < 300


def test_a_refusal_is_no_broken_connection(client_of, pauses):
    feed = Feed(problem(404, "not_found", "there is no study 'x'"))
    with pytest.raises(NotFoundError):
        client_of(feed).events(study="x")
    assert pauses == []


def test_an_event_that_is_none_is_told(client_of):
    with client_of(Feed(Breaking(b"data: {}\n\n"))).events() as events:
        with pytest.raises(AutokdError, match="is not what was expected"):
            next(events)
