"""Requests that are sent again, and those that are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from autokd.client.retrying import WAITS
from autokd.errors import ConflictError, ServerUnreachableError, SpecError, StoreUnavailableError

from .conftest import problem, study

LOST = httpx.ReadTimeout("timed out")
REFUSED = httpx.ConnectError("connection refused")


class Server:
    """Answers with one thing after another; an exception is a failure of the network."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def report() -> httpx.Response:
    return httpx.Response(200, json={"study": "digits"})


@pytest.mark.parametrize("failure", [LOST, REFUSED, httpx.RemoteProtocolError("closed")])
def test_reading_is_tried_again_when_the_answer_is_lost(client_of, pauses, failure):
    server = Server(failure, failure, report())
    assert client_of(server).studies.report("digits") == {"study": "digits"}
    assert pauses == list(WAITS[:2])


def test_patience_has_an_end(client_of, pauses):
    server = Server(REFUSED)
    with pytest.raises(ServerUnreachableError, match="can not be reached: connection refused") as e:
        client_of(server).studies.report("digits")
    assert e.value.exit_code == 9
    assert pauses == list(WAITS)
    assert len(server.requests) == len(WAITS) + 1


def test_a_server_that_is_silent_is_unreachable(client_of):
    with pytest.raises(ServerUnreachableError, match="did not answer in time"):
        client_of(Server(LOST)).studies.report("digits")


def test_a_post_is_repeated_with_the_same_key(client_of):
    server = Server(LOST, httpx.Response(201, json=study()))
    assert client_of(server).studies.create({"name": "digits"}).name == "digits"
    first, second = (request.headers["idempotency-key"] for request in server.requests)
    assert first == second
    assert server.requests[0].content == server.requests[1].content


def test_two_posts_have_different_keys(client_of):
    server = Server(httpx.Response(200, json=study()))
    client = client_of(server)
    client.studies.pause("digits")
    client.studies.pause("digits")
    first, second = (request.headers["idempotency-key"] for request in server.requests)
    assert first != second


def test_what_may_not_come_twice_is_not_sent_twice(client_of, pauses):
    server = Server(LOST, httpx.Response(200, json=study()))
    with pytest.raises(ServerUnreachableError):
        client_of(server).studies.delete("digits")
    assert (len(server.requests), pauses) == (1, [])


def test_what_was_never_sent_is_sent_again_whatever_it_is(client_of):
    server = Server(REFUSED, httpx.Response(200, json=study()))
    assert client_of(server).studies.delete("digits").id == "std_1"


@pytest.mark.parametrize(
    "failure", [LOST, httpx.Response(504), problem(503, "check_busy", "others ask")]
)
def test_a_check_that_took_minutes_is_not_made_again(client_of, pauses, failure):
    server = Server(failure)
    with pytest.raises(ServerUnreachableError):
        client_of(server).studies.check({"name": "digits"})
    assert (len(server.requests), pauses) == (1, [])


def test_a_check_that_took_too_long_is_a_mistake_of_the_study(client_of, pauses):
    late = problem(422, "check_timeout", "expected what can be worked out within 120 s")
    with pytest.raises(SpecError, match="within 120 s"):
        client_of(Server(late)).studies.check({"name": "digits"})
    assert pauses == []


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_that_is_out_of_order_is_asked_again(client_of, pauses, status):
    server = Server(httpx.Response(status), report())
    client_of(server).studies.report("digits")
    assert pauses == [WAITS[0]]


def test_the_server_says_when(client_of, pauses):
    busy = problem(503, "database_unavailable", "locked")
    busy.headers["Retry-After"] = "5"
    client_of(Server(busy, report())).studies.report("digits")
    assert pauses == [5.0]


def test_the_server_may_name_a_moment(client_of, pauses):
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    busy = httpx.Response(503, headers={"Retry-After": moment})
    client_of(Server(busy, report())).studies.report("digits")
    assert 10 < pauses[0] <= 20


def test_a_server_that_wants_to_be_left_alone_for_long_is_left_alone(client_of, pauses):
    busy = problem(503, "database_unavailable", "locked")
    busy.headers["Retry-After"] = "3600"
    with pytest.raises(StoreUnavailableError, match="locked"):
        client_of(Server(busy)).studies.report("digits")
    assert pauses == []


def test_a_request_that_is_under_way_is_asked_for_again(client_of, pauses):
    under_way = problem(409, "conflict", "the request is under way")
    under_way.headers["Retry-After"] = "1"
    server = Server(LOST, under_way, httpx.Response(201, json=study()))
    assert client_of(server).studies.create({"name": "digits"}).id == "std_1"
    assert pauses == [WAITS[0], 1.0]


def test_an_ordinary_refusal_counts_at_once(client_of, pauses):
    with pytest.raises(ConflictError, match="already a study"):
        client_of(Server(problem(409, "conflict", "already a study"))).studies.create({})
    assert pauses == []
