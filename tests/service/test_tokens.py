"""A token is unguessable, recognisable, and never stored or quoted."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.tokens import PATTERN, TokenError, bearer_token, is_token, new_token, token_hash

from .conftest import Service

_TOKEN = "akd_6Ckjy5pGDZH188xfvF0GLthtychvkuGTOh2Pz1lQElE0Ox5aQ"


def test_tokens_are_random_and_of_one_form() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(PATTERN, token) and is_token(token) for token in tokens)


def test_one_changed_character_is_noticed() -> None:
    for index in range(4, len(_TOKEN)):
        other = "A" if _TOKEN[index] != "A" else "B"
        assert not is_token(_TOKEN[:index] + other + _TOKEN[index + 1 :])


def test_a_token_cut_off_or_with_more_behind_it_is_none() -> None:
    for text in ("", "akd_", _TOKEN[:-1], _TOKEN + "A", _TOKEN + "\n", " " + _TOKEN):
        assert not is_token(text)


def test_only_the_hash_is_stored() -> None:
    assert token_hash(_TOKEN) == hashlib.sha256(_TOKEN.encode()).hexdigest()


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER  {}", " Bearer {} "])
def test_the_header_holds_the_token(header: str) -> None:
    assert bearer_token(header.format(_TOKEN)) == _TOKEN


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "expected a token, got none"),
        ("", "expected a token, got none"),
        ("Basic dXNlcjpwYXNz", "another scheme than Bearer"),
        (_TOKEN, "another scheme than Bearer"),
        ("Bearer", "got something else"),
        ("Bearer hf_something", "got something else"),
        (f"Bearer {_TOKEN[:-1]}", "got something else"),
        (f"Bearer {_TOKEN}, Bearer {_TOKEN}", "got something else"),
        (f"Bearer\t{_TOKEN}", "another scheme than Bearer"),
    ],
)
def test_a_header_without_a_token_says_what_is_expected(header: str | None, message: str) -> None:
    with pytest.raises(TokenError, match=message) as caught:
        bearer_token(header)
    assert _TOKEN[4:20] not in str(caught.value)


@given(st.text() | st.builds("Bearer {}".format, st.text()))
def test_no_header_makes_reading_it_fail_otherwise(header: str) -> None:
    with pytest.raises(TokenError):
        bearer_token(header)


class TestRoutes:
    """Tokens over the API."""

    def test_a_made_token_does_what_its_scope_may(
        self, admin: TestClient, service: Service
    ) -> None:
        made = admin.post("/tokens", json={"name": "ci", "scope": "read"}).json()
        client = service.client_with(made["token"])
        assert client.get("/whoami").json() == {
            "name": "ci",
            "scope": "read",
            "limits": {},
            "authentication": True,
        }
        assert client.post("/studies", json={"spec": {}}).status_code == 403

    def test_the_list_has_no_secrets_and_says_when_each_was_used(
        self, admin: TestClient, service: Service
    ) -> None:
        body = {"name": "ci", "scope": "launch", "expires_in_days": 30, "limits": {"slots": 2}}
        secret = admin.post("/tokens", json=body).json()["token"]
        service.client_with(secret).get("/whoami")
        answer = admin.get("/tokens")
        listed = {token["name"]: token for token in answer.json()["items"]}
        assert set(listed) == {"read", "launch", "admin", "ci"}
        assert listed["ci"]["limits"] == {"slots": 2}
        assert listed["ci"]["created"] < listed["ci"]["last_used"] < listed["ci"]["expires"]
        assert listed["launch"]["last_used"] is None
        assert not re.search(PATTERN, answer.text)
        assert token_hash(secret) not in answer.text

    def test_a_revoked_token_is_known_no_more(self, admin: TestClient, service: Service) -> None:
        made = admin.post("/tokens", json={"name": "ci", "scope": "admin"}).json()
        assert admin.delete(f"/tokens/{made['id']}").status_code == 204
        assert admin.delete(f"/tokens/{made['id']}").status_code == 404
        assert service.client_with(made["token"]).get("/whoami").status_code == 401

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"scope": "read"}, "/name"),
            ({"name": "", "scope": "read"}, "/name"),
            ({"name": "a" * 101, "scope": "read"}, "/name"),
            ({"name": "a\nb", "scope": "read"}, "/name"),
            ({"name": "\x1b[2J", "scope": "read"}, "/name"),
            ({"name": "a\0", "scope": "read"}, "/name"),
            ({"name": "a", "scope": "root"}, "/scope"),
            ({"name": "a", "scope": "READ"}, "/scope"),
            ({"name": "a", "scope": "read", "expires_in_days": 0}, "/expires_in_days"),
            ({"name": "a", "scope": "read", "expires_in_days": "1"}, "/expires_in_days"),
            ({"name": "a", "scope": "read", "expires_in_days": 1e9}, "/expires_in_days"),
            ({"name": "a", "scope": "read", "limits": {"studies": -1}}, "/limits/studies"),
            ({"name": "a", "scope": "read", "limits": {"slots": True}}, "/limits/slots"),
            ({"name": "a", "scope": "read", "limits": {"gpus": 1}}, "/limits/gpus"),
            ({"name": "a", "scope": "read", "token": "akd_x"}, "/token"),
        ],
    )
    def test_what_is_no_token_is_refused(
        self, body: dict[str, Any], pointer: str, recorded: Service
    ) -> None:
        answer = recorded.client("admin").post("/tokens", json=body)
        assert answer.status_code == 422
        assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]

    def test_a_token_has_as_many_slots_as_it_may(
        self, admin: TestClient, service: Service, spec: dict[str, Any]
    ) -> None:
        body = {"name": "ci", "scope": "launch", "limits": {"slots": 2}}
        client = service.client_with(admin.post("/tokens", json=body).json()["token"])
        spec["execution"] = {"device": "cpu"}
        assert client.post("/studies", json={"spec": spec}).status_code == 201
        assert client.get("/studies/digits").json()["spec"]["execution"]["workers"] == 2
        spec |= {"name": "more", "execution": {"workers": 3}}
        answer = client.post("/studies", json={"spec": spec})
        assert [one["pointer"] for one in answer.json()["errors"]] == ["/spec/execution/workers"]
        clone = {"name": "more", "changes": {"execution.workers": 3}}
        assert client.post("/studies/digits:clone", json=clone).status_code == 422

    def test_pausing_makes_no_room_for_more_studies_than_it_may_have(
        self, admin: TestClient, service: Service, spec: dict[str, Any]
    ) -> None:
        body = {"name": "ci", "scope": "launch", "limits": {"studies": 1}}
        client = service.client_with(admin.post("/tokens", json=body).json()["token"])
        client.post("/studies", json={"spec": spec})
        client.post("/studies/digits:pause")
        assert client.post("/studies", json={"spec": {**spec, "name": "b"}}).status_code == 201
        answer = client.post("/studies/digits:resume")
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_studies")
