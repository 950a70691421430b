"""What a client asks for, and what it makes of the answers."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from autokd.errors import (
    AutokdError,
    ConflictError,
    NothingFeasibleError,
    ServerUnreachableError,
    SpecError,
)
from autokd.spec import read_study

from .conftest import body, operation, problem, study

STUDIES = Path(__file__).parents[2] / "studies"


class Recorded:
    """Answers every request alike and keeps them."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer

    @property
    def last(self) -> tuple[str, str]:
        request = self.requests[-1]
        return request.method, request.url.raw_path.decode()


# Studies


@pytest.mark.parametrize("source", [str, Path, read_study])
def test_a_study_is_created_from_a_file(client_of, source):
    server = Recorded(httpx.Response(201, json=study(labels={"team": "a"})))
    path = STUDIES / "digits.yaml"
    created = client_of(server).studies.create(source(path), labels={"team": "a"}, paused=True)
    assert created.labels == {"team": "a"}
    assert created.created.year == 2026
    assert server.last == ("POST", "/api/v1/studies")
    sent = body(server.requests[0])
    assert (sent["labels"], sent["paused"]) == ({"team": "a"}, True)
    assert read_study(sent["spec"]) == read_study(path)
    assert "warm_start" not in sent["spec"]["strategy"]  # what was not written is the server's


def test_a_study_is_created_from_its_fields_as_they_are(client_of):
    server = Recorded(httpx.Response(201, json=study()))
    spec = {"name": "x", "space": {"name": "of_the_server"}, "data": {"path": Path("upl_1")}}
    client_of(server).studies.create(spec)
    assert body(server.requests[0])["spec"] == {**spec, "data": {"path": "upl_1"}}


def test_a_file_with_mistakes_is_not_sent(client_of, tmp_path):
    server = Recorded(httpx.Response(201, json=study()))
    (tmp_path / "wrong.yaml").write_text("name: x\n")
    with pytest.raises(SpecError, match=r"wrong\.yaml has \d+ mistakes"):
        client_of(server).studies.create(tmp_path / "wrong.yaml")
    with pytest.raises(SpecError):
        client_of(server).studies.create({"name": object()})
    assert server.requests == []


@pytest.mark.parametrize(
    ("named", "path"),
    [("digits", "digits"), ("std_5", "std_5"), (5, "std_5"), ("a/b", "a%2Fb")],
)
def test_a_study_is_named_by_its_name_its_id_or_its_number(client_of, named, path):
    server = Recorded(httpx.Response(200, json={}))
    client_of(server).studies.report(named)
    assert server.last == ("GET", f"/api/v1/studies/{path}/report.json")


@pytest.mark.parametrize("named", [None, True, 1.5, ["digits"]])
def test_what_names_no_study_is_said_so(client_of, named):
    server = Recorded(httpx.Response(200, json={}))
    with pytest.raises(TypeError, match="expected the name, id or number of a study, got "):
        client_of(server).studies.report(named)
    assert server.requests == []


@pytest.mark.parametrize("verb", ["pause", "resume", "stop", "cancel", "undelete"])
def test_verbs_are_posts(client_of, verb):
    server = Recorded(httpx.Response(200, json=study()))
    client = client_of(server)
    told = getattr(client.studies, verb)("digits")
    assert server.last == ("POST", f"/api/v1/studies/digits:{verb}")
    getattr(client.studies, verb)(told)
    assert server.last == ("POST", f"/api/v1/studies/std_1:{verb}")


def test_a_study_is_extended_cloned_and_changed(client_of):
    server = Recorded(httpx.Response(200, json=study()))
    studies = client_of(server).studies
    studies.extend("digits", trials=80)
    assert body(server.requests[-1]) == {"limits": {"trials": 80}}
    studies.clone("digits", "digits-2", {"limits.trials": 3}, paused=True)
    assert body(server.requests[-1]) == {
        "name": "digits-2",
        "changes": {"limits.trials": 3},
        "labels": {},
        "paused": True,
    }
    studies.change("digits", labels={})
    assert (server.last[0], body(server.requests[-1])) == ("PATCH", {"labels": {}})


@pytest.mark.parametrize("name", ["a/b", "../tokens", "a?b", "é", "x:purge", "%2e"])
def test_a_name_can_not_lead_elsewhere(client_of, name):
    server = Recorded(httpx.Response(200, json={}))
    client_of(server).studies.report(name)
    path = server.requests[0].url.raw_path.decode()
    assert path.startswith("/api/v1/studies/")
    assert path.endswith("/report.json")
    assert path.count("/") == 5
    assert ":" not in path and "?" not in path and "%2e/" not in path


def test_all_parts_of_a_list_are_read(client_of):
    def answer(request):
        number = int(request.url.params.get("page_token", "0"))
        assert request.url.params["state"] == "queued"
        return httpx.Response(
            200,
            json={
                "items": [study(f"study-{number}")],
                "next_page_token": str(number + 1) if number < 2 else None,
                "total": 3,
            },
        )

    names = [each.name for each in client_of(answer).studies.list(state="queued")]
    assert names == ["study-0", "study-1", "study-2"]


def test_a_list_is_filtered_by_the_server(client_of):
    page = {"items": [], "next_page_token": None, "total": 0}
    server = Recorded(httpx.Response(200, json=page))
    studies = client_of(server).studies
    assert list(studies.list(state=["queued", "paused"], labels={"team": "a"}, deleted=True)) == []
    params = server.requests[0].url.params
    assert params.get_list("state") == ["queued", "paused"]
    assert params.get_list("label") == ["team:a"]
    assert params["deleted"] == "true"
    assert "q" not in params
    assert list(studies.candidates("digits", filter="parameters<=20k", order_by="-accuracy")) == []
    assert server.requests[-1].url.params["filter"] == "parameters<=20k"


def test_the_best_has_its_figures_by_name(client_of):
    row = {"trial": 3, "candidate": 2, "epochs": 9, "accuracy": 0.5, "parameters": 12, "loss": None}
    told = {**row, "choices": {"width": 2}, "distillation": {}}
    server = Recorded(httpx.Response(200, json=told))
    best = client_of(server).studies.best("digits", max_parameters="20k")
    assert best.figures == {"accuracy": 0.5, "parameters": 12}
    assert server.requests[0].url.params.multi_items() == [("max_parameters", "20k")]


def test_nothing_within_limits_is_an_error_of_its_own(client_of):
    def answer(request):
        return problem(404, "nothing_feasible", "no finished trial fits", hint="5 % over")

    with pytest.raises(NothingFeasibleError) as error:
        client_of(answer).studies.best("digits")
    assert error.value.exit_code == 6


def test_an_answer_that_lacks_what_it_must_have_is_told(client_of):
    with pytest.raises(AutokdError, match="not what was expected") as error:
        client_of(Recorded(httpx.Response(200, json={"id": "std_1"}))).studies.pause("digits")
    assert "another version" in str(error.value)


def test_a_page_that_is_no_api_is_told(client_of):
    with pytest.raises(ServerUnreachableError, match="expected the API of autokd"):
        client_of(Recorded(httpx.Response(200, html="<p>hi</p>"))).studies.report("digits")


def test_fields_of_a_newer_server_are_kept(client_of):
    told = client_of(Recorded(httpx.Response(200, json=study(mood="good")))).studies.pause("digits")
    assert told.model_dump()["mood"] == "good"


# Logs


def log(text: str, offset: int, size: int, *, ended: bool) -> httpx.Response:
    return httpx.Response(
        200,
        json={
            "trial": 3,
            "attempt": 2,
            "size": size,
            "offset": offset,
            "next_offset": offset + len(text),
            "text": text,
            "ended": ended,
        },
    )


def test_a_log_comes_in_pieces(client_of):
    parts = {"0": log("abc", 0, 5, ended=False), "3": log("de", 3, 5, ended=False)}
    server = client_of(lambda request: parts[request.url.params["offset"]])
    assert list(server.logs("digits", 3)) == ["abc", "de"]


def test_a_log_is_followed_to_the_end_of_its_attempt(client_of, pauses):
    answers = [
        log("abc", 0, 3, ended=False),
        log("", 3, 3, ended=False),
        log("de", 3, 5, ended=True),
    ]
    seen = []

    def answer(request):
        seen.append(request.url.params.get("attempt"))
        return answers[len(seen) - 1]

    assert list(client_of(answer).logs("digits", 3, follow=True)) == ["abc", "de"]
    assert len(pauses) == 2
    assert seen == [None, "2", "2"]  # it stays with the attempt that it began with


# Operations and tokens


def test_an_operation_is_waited_for(client_of):
    answers = [operation("queued"), operation("running"), operation("succeeded", response={"a": 1})]
    client = client_of(lambda request: httpx.Response(200, json=answers.pop(0)))
    assert client.operations.wait("op_5").response == {"a": 1}
    assert answers == []


def test_an_operation_that_failed_is_the_error_that_it_would_be_here(client_of):
    error = {"status": 404, "code": "nothing_feasible", "detail": "none", "hint": None}
    client = client_of(lambda request: httpx.Response(200, json=operation("failed", error=error)))
    with pytest.raises(NothingFeasibleError):
        client.operations.wait("op_5")


def test_an_operation_that_was_cancelled_came_to_nothing(client_of):
    client = client_of(lambda request: httpx.Response(200, json=operation("cancelled")))
    with pytest.raises(ConflictError, match="cancelled"):
        client.operations.wait("op_5")


def test_patience_with_an_operation_has_an_end_if_wished(client_of):
    client = client_of(lambda request: httpx.Response(200, json=operation("queued")))
    with pytest.raises(ServerUnreachableError, match="still queued") as error:
        client.operations.wait("op_5", timeout=0)
    assert "coordinator" in str(error.value)


def test_a_token_is_made_and_its_secret_not_shown_by_accident(client_of):
    told = {
        "id": "tok_1",
        "name": "ci",
        "scope": "read",
        "created": "2026-01-02T03:04:05Z",
        "expires": None,
        "last_used": None,
        "limits": {"studies": 2},
        "token": "akd_secret_of_ci",
    }
    server = Recorded(httpx.Response(201, json=told))
    token = client_of(server).tokens.create("ci", "read", studies=2)
    assert token.token == "akd_secret_of_ci"
    assert "akd_secret_of_ci" not in repr(token)
    assert body(server.requests[0])["limits"] == {"studies": 2}


def test_a_token_is_revoked(client_of):
    server = Recorded(httpx.Response(204))
    client_of(server).tokens.revoke("tok_1")
    assert server.last == ("DELETE", "/api/v1/tokens/tok_1")
