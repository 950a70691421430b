"""Where the server is and who asks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autokd import Client
from autokd.errors import AccessError, SpecError


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        (" https://kd.example.org/api/v1/ ", "https://kd.example.org"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_address_may_be_written_in_some_ways(given, address):
    with Client(given) as client:
        assert client.url == address
        assert repr(client) == f"Client('{address}')"


@pytest.mark.parametrize(
    "given",
    [
        "127.0.0.1:8000",
        "localhost",
        "ftp://host",
        "http://",
        "http://host/elsewhere",
        "http://[::1",
    ],
)
def test_what_is_no_address_is_refused(given):
    with pytest.raises(SpecError, match="the server's address") as refused:
        Client(given)
    assert "autokd up" in str(refused.value)


def test_a_password_does_not_belong_into_an_address():
    with pytest.raises(SpecError, match="without a user") as refused:
        Client("http://me:secret@host")
    assert "secret" not in str(refused.value)


def test_the_address_may_come_from_the_environment(monkeypatch):
    with pytest.raises(SpecError, match="AUTOKD_SERVER"):
        Client()
    monkeypatch.setenv("AUTOKD_SERVER", "http://host:1")
    with Client() as client:
        assert client.url == "http://host:1"


# Tokens


@pytest.fixture
def token_file() -> Path:
    """The file of settings, with a token that is its owner's alone."""
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "autokd" / "token"
    path.parent.mkdir(parents=True)
    path.write_text("akd_of_the_file\n")
    path.chmod(0o600)
    return path


def sent(client_of, token: str | None) -> str | None:
    """The header of a request of a client with that token."""
    import httpx

    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    client_of(answer, token).studies.report("digits")
    return seen[0].headers.get("authorization")


def test_a_token_may_be_given(client_of):
    assert sent(client_of, "akd_given") == "Bearer akd_given"


def test_a_token_may_come_from_a_file(client_of, token_file):
    assert sent(client_of, None) == "Bearer akd_of_the_file"


def test_the_environment_comes_before_the_file(client_of, token_file, monkeypatch):
    monkeypatch.setenv("AUTOKD_TOKEN", "akd_of_the_environment")
    assert sent(client_of, None) == "Bearer akd_of_the_environment"


def test_there_may_be_none(client_of):
    assert sent(client_of, None) is None


@pytest.mark.skipif(os.name != "posix", reason="rights of files are those of POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_may_read_is_not_read(token_file, mode):
    token_file.chmod(mode)
    with pytest.raises(AccessError, match="0600") as refused:
        Client("http://host")
    assert refused.value.exit_code == 5
    assert f"chmod 600 {token_file}" in str(refused.value)


@pytest.mark.parametrize("text", ["", "two words", "akd_é", "akd_\nakd_"])
def test_what_is_no_token_is_refused_and_not_repeated(token_file, text):
    token_file.write_text(text)
    with pytest.raises(AccessError, match="expected a token") as refused:
        Client("http://host")
    assert not text or text not in str(refused.value)


def test_a_token_is_asked_for_where_there_is_none(client_of):
    from .conftest import problem

    def refuse(request):
        return problem(401, "unauthenticated", "expected a token, got none", hint="curl -H …")

    with pytest.raises(AccessError, match="expected a token") as refused:
        client_of(refuse, None).studies.report("digits")
    assert "AUTOKD_TOKEN" in str(refused.value)
    with pytest.raises(AccessError) as refused:
        client_of(refuse, "akd_old").studies.report("digits")
    assert refused.value.hint == "curl -H …"
