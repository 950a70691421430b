"""Who may do what: every operation of the document, asked by everyone who may not."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from autokd.errors import SpecError
from autokd.store import Store
from service.access import COOKIE, SESSION_HEADER, Scope, make_token
from service.routes import pages
from service.settings import Settings, settings_from
from service.tokens import PATTERN, new_token, token_hash

from .conftest import HOST, Service, serving

OPEN = {"read_meta", "open_session"}
"""The operations that need no token."""

READ = {
    "close_session",
    "download_candidates",
    "download_file",
    "download_report",
    "draw_graph",
    "list_candidates",
    "list_datasets",
    "list_exports",
    "list_losses",
    "list_operations",
    "list_spaces",
    "list_strategies",
    "list_studies",
    "list_teachers",
    "list_trials",
    "list_uploads",
    "list_workers",
    "read_best",
    "read_candidate",
    "read_columns",
    "read_export",
    "read_front",
    "read_graph",
    "read_hypervolume",
    "read_importances",
    "read_log",
    "read_metrics",
    "read_model_card",
    "read_operation",
    "read_rank_correlation",
    "read_report",
    "read_spec_schema",
    "read_storage",
    "read_study_detail",
    "read_survival",
    "read_timeline",
    "read_trial",
    "read_upload",
    "read_whoami",
    "stream_events",
}
LAUNCH = {
    "cancel_operation",
    "cancel_study",
    "cancel_trial",
    "change_study",
    "clone_study",
    "create_export",
    "create_study",
    "create_upload",
    "delete_export",
    "delete_study",
    "delete_upload",
    "enqueue_candidate",
    "extend_study",
    "pause_study",
    "purge_study",
    "resume_study",
    "retry_trial",
    "send_content",
    "stop_study",
    "undelete_study",
}
ADMIN = {
    "create_token",
    "create_webhook",
    "delete_webhook",
    "list_audit_events",
    "list_deliveries",
    "list_tokens",
    "list_webhooks",
    "read_webhook",
    "redeliver",
    "revoke_token",
    "test_webhook",
}

OPEN_PAGES = {
    "/",
    "/api/v1/docs",
    "/compare",
    "/healthz",
    "/login",
    "/readyz",
    "/settings",
    "/static/{name:path}",
    "/studies",
    "/studies/{study}",
    "/studies/{study}/analyse",
    "/studies/{study}/candidates",
    "/studies/{study}/candidates/{candidate}",
    "/workers",
}
"""What is no operation and needs no token: the dashboard itself, and health."""

UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True)
class Operation:
    """An operation of the document, and an address of it where nothing is to be found."""

    id: str
    method: str
    path: str
    scopes: frozenset[str]


@pytest.fixture(scope="module")
def operations(recorded: Service) -> list[Operation]:
    document = recorded.anonymous.get("/openapi.json").json()
    return [
        Operation(
            entry["operationId"],
            method.upper(),
            re.sub(r"\{(\w+)\}", lambda name: _NOWHERE.get(name[1], "none"), path),
            frozenset(scope for way in entry.get("security", []) for (scope,) in way.values()),
        )
        for path, entries in document["paths"].items()
        for method, entry in entries.items()
    ]


_NOWHERE = {
    "delivery": "999",
    "export": "exp_999",
    "number": "999",
    "operation": "op_999",
    "token": "tok_999",
    "upload": "upl_999",
    "webhook": "whk_999",
}


def _refusals(client: TestClient, operations: list[Operation], **options: Any) -> dict[str, Any]:
    """The status and code of each operation's answer."""
    found = {}
    for operation in operations:
        answer = client.request(operation.method, f"{HOST}{operation.path}", **options)
        body = answer.json() if answer.content else {}
        found[operation.id] = (answer.status_code, body.get("code"))
    return found


class TestEveryOperation:
    def test_has_its_scope_in_these_tables_and_in_the_document(
        self, operations: list[Operation]
    ) -> None:
        tables = {"read": READ, "launch": LAUNCH, "admin": ADMIN}
        scopes = {name: {scope} for scope, names in tables.items() for name in names}
        scopes |= {name: set() for name in OPEN}
        assert {each.id: set(each.scopes) for each in operations} == scopes

    def test_refuses_the_anonymous(self, operations: list[Operation], recorded: Service) -> None:
        found = _refusals(recorded.client_with(None), operations)
        opened = {name for name, refusal in found.items() if refusal != (401, "unauthenticated")}
        assert opened == OPEN

    @pytest.mark.parametrize("token", ["expired", "revoked", "forged", "of no service", "none"])
    def test_refuses_a_token_that_is_none(
        self, token: str, operations: list[Operation], recorded: Service
    ) -> None:
        found = _refusals(recorded.client_with(_bad_token(token, recorded.store)), operations)
        opened = {name for name, refusal in found.items() if refusal != (401, "unauthenticated")}
        assert opened == OPEN

    @pytest.mark.parametrize(("scope", "beyond"), [("read", LAUNCH | ADMIN), ("launch", ADMIN)])
    def test_refuses_a_smaller_scope(
        self, scope: str, beyond: set[str], operations: list[Operation], recorded: Service
    ) -> None:
        asked = [each for each in operations if each.id in beyond]
        found = _refusals(recorded.client(scope), asked)
        assert found == dict.fromkeys(beyond, (403, "forbidden"))

    def test_that_changes_something_refuses_a_cookie_without_the_header(
        self, operations: list[Operation], recorded: Service
    ) -> None:
        unsafe = [each for each in operations if each.method in UNSAFE and each.id not in OPEN]
        found = _refusals(_session(recorded), unsafe)
        assert found == {each.id: (403, "forbidden") for each in unsafe}

    @pytest.mark.parametrize(
        "origin",
        [
            "http://evil.example",
            "http://127.0.0.1:8001",
            "http://127.0.0.1",
            "http://127.0.0.1:8000.evil.example",
            "http://evil.example@127.0.0.1:8000",
            "ftp://127.0.0.1:8000",
            "127.0.0.1:8000",
            "http://[",
            "null",
            "",
        ],
    )
    def test_that_changes_something_refuses_a_foreign_page(
        self, origin: str, operations: list[Operation], recorded: Service
    ) -> None:
        unsafe = [each for each in operations if each.method in UNSAFE]
        headers = {SESSION_HEADER: "1", "Origin": origin}
        found = _refusals(_session(recorded), unsafe, headers=headers)
        assert found == {each.id: (403, "foreign_origin") for each in unsafe}

    def test_takes_a_cookie_with_the_header_from_its_own_page(
        self, operations: list[Operation], recorded: Service
    ) -> None:
        asked = [each for each in operations if each.method in UNSAFE and each.id not in OPEN]
        asked.sort(key=lambda each: each.id == "close_session")
        headers = {SESSION_HEADER: "1", "Origin": HOST}
        found = _refusals(_session(recorded), asked, headers=headers)
        assert {status for status, _ in found.values()} & {401, 403} == set()

    def test_only_the_dashboard_and_health_are_open_beside_them(self, recorded: Service) -> None:
        client = recorded.client_with(None)
        paths = {route.path for route in pages.router.routes}
        refused = {path for path in paths if client.get(HOST + path).status_code == 401}
        assert paths - refused == OPEN_PAGES


def _bad_token(kind: str, store: Store) -> str:
    if kind == "expired":
        secret = new_token()
        then = datetime.now(UTC) - timedelta(seconds=1)
        store.add_token("old", token_hash(secret), "admin", expires=then)
    elif kind == "revoked":
        record, secret = make_token(store, "gone", Scope.ADMIN)
        store.remove_token(record.id)
    else:
        secret = {"forged": new_token(), "of no service": "ghp_123", "none": ""}[kind]
    return secret


def _session(service: Service, token: str | None = None) -> TestClient:
    """A browser that has logged in."""
    client = service.client_with(None)
    answer = client.post("/session", json={"token": token or service.tokens["admin"]})
    assert answer.status_code == 200
    return client


class TestSession:
    def test_its_cookie_is_for_this_site_and_not_for_scripts(self, recorded: Service) -> None:
        login = {"token": recorded.tokens["read"]}
        answer = recorded.client_with(None).post("/session", json=login)
        cookie = answer.headers["set-cookie"]
        name, *attributes = re.split("; ?", cookie)
        assert name.startswith(f"{COOKIE}=akd_")
        assert recorded.tokens["read"] not in answer.text + cookie
        assert set(attributes) == {"HttpOnly", "Path=/", "SameSite=strict", "Max-Age=43200"}

    def test_its_cookie_is_for_https_only_where_people_come_by_https(
        self, settings: Settings
    ) -> None:
        with serving(settings.model_copy(update={"tls": True})) as service:
            answer = service.anonymous.post("/session", json={"token": service.tokens["read"]})
            assert "Secure" in answer.headers["set-cookie"]

    def test_it_may_what_its_token_may(self, recorded: Service) -> None:
        browser = _session(recorded, recorded.tokens["read"])
        assert browser.get("/whoami").json()["scope"] == "read"
        assert browser.get("/tokens").status_code == 403

    def test_it_ends_with_its_token(self, recorded: Service) -> None:
        record, secret = make_token(recorded.store, "short", Scope.READ)
        browser = _session(recorded, secret)
        recorded.store.remove_token(record.id)
        assert browser.get("/whoami").status_code == 401

    def test_it_lives_no_longer_than_its_token(self, recorded: Service) -> None:
        lives = timedelta(minutes=5)
        record, secret = make_token(recorded.store, "short", Scope.READ, lives=lives)
        cookie = _session(recorded, secret).cookies[COOKIE]
        session = recorded.store.token_of(token_hash(cookie))
        assert session is not None
        assert session.expires == record.expires

    def test_it_ends_when_it_is_closed(self, recorded: Service) -> None:
        browser = _session(recorded)
        cookie = browser.cookies[COOKIE]
        assert browser.delete("/session", headers={SESSION_HEADER: "1"}).status_code == 204
        assert COOKIE not in browser.cookies
        assert browser.get("/whoami", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 401

    def test_it_opens_no_other_session(self, recorded: Service) -> None:
        cookie = _session(recorded).cookies[COOKIE]
        answer = recorded.client_with(None).post("/session", json={"token": cookie})
        assert answer.status_code == 401

    def test_a_token_counts_before_a_cookie(self, recorded: Service) -> None:
        browser = _session(recorded)
        headers = {"Authorization": f"Bearer {recorded.tokens['read']}"}
        assert browser.get("/whoami", headers=headers).json()["scope"] == "read"


class TestHost:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1:8000", "127.0.0.1", "127.0.0.1:9999", "LOCALHOST:8000", "[::1]:8000"]
    )
    def test_loopback_is_answered_on_any_port(self, host: str, recorded: Service) -> None:
        answer = recorded.client_with(None).get("/meta", headers={"Host": host})
        assert answer.status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            "",
            "evil.example",
            "evil.example:8000",
            "127.0.0.1.evil.example:8000",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "127.0.0.1:8000:80",
            "127.0.0.1:port",
            "0.0.0.0:8000",
            "[::1",
            "::1",
            "2130706433",
            "192.168.0.2:8000",
            "169.254.169.254",
        ],
    )
    @pytest.mark.parametrize("path", ["/api/v1/meta", "/healthz", "/", "/nothing"])
    def test_a_name_that_may_have_been_rebound_is_not_answered(
        self, host: str, path: str, recorded: Service
    ) -> None:
        answer = recorded.client_with(None).get(HOST + path, headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")
        assert "content-security-policy" in answer.headers

    def test_names_of_the_operator_and_the_own_address_are_answered(self) -> None:
        settings = Settings(host="fe80::1", allowed_hosts=("AutoKD.lab",))
        assert {"autokd.lab", "[fe80::1]", "localhost"} <= settings.hosts

    @pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")])
    def test_all_addresses_are_no_address(self, host: str, shown: str) -> None:
        settings = Settings(host=host)
        assert settings.hosts == Settings().hosts
        assert settings.host_in_urls == shown


class TestSettings:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.2", "::ffff:127.0.0.1"])
    def test_a_network_is_not_served_without_authentication(self, host: str) -> None:
        with pytest.raises(ValidationError, match="expected authentication"):
            Settings(host=host, authentication=False)

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
    def test_loopback_may_be_served_without(self, host: str) -> None:
        assert Settings(host=host, authentication=False).on_loopback

    def test_without_authentication_a_foreign_page_may_still_do_nothing(
        self, settings: Settings
    ) -> None:
        with serving(settings.model_copy(update={"authentication": False})) as service:
            assert service.anonymous.get("/whoami").json()["scope"] == "admin"
            headers = {"Origin": "http://evil.example"}
            answer = service.anonymous.post("/studies/digits:pause", headers=headers)
            assert answer.json()["code"] == "foreign_origin"

    def test_a_name_is_no_address_to_listen_on(self) -> None:
        with pytest.raises(ValidationError, match="expected an IP address or localhost"):
            Settings(host="autokd.lab")

    def test_lists_in_the_environment_are_json_and_all_mistakes_are_said(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AUTOKD_ALLOWED_HOSTS", '["a.lab", "b.lab"]')
        monkeypatch.setenv("AUTOKD_IMAGE_FOLDERS", '{"cats": "/srv/cats"}')
        settings = settings_from({})
        assert settings.allowed_hosts == ("a.lab", "b.lab")
        assert settings.image_folders == {"cats": Path("/srv/cats")}
        for name in ("ALLOWED_HOSTS", "WEBHOOK_HOSTS", "IMAGE_FOLDERS", "PORT"):
            monkeypatch.setenv(f"AUTOKD_{name}", "nope")
        with pytest.raises(SpecError, match="expected JSON, like .*; got 'nope'") as caught:
            settings_from({})
        paths = {mistake.path for mistake in caught.value.mistakes}
        assert paths == {"allowed_hosts", "webhook_hosts", "image_folders", "port"}


class TestTokens:
    def test_a_token_that_was_to_live_no_time_has_ended(self, admin: TestClient) -> None:
        body = {"name": "a", "scope": "read", "expires_in_days": 1e-300}
        made = admin.post("/tokens", json=body).json()
        assert made["expires"] is not None
        admin.headers["Authorization"] = f"Bearer {made['token']}"
        assert admin.get("/whoami").status_code == 401

    def test_a_secret_is_shown_once_even_when_it_was_asked_for_twice(
        self, admin: TestClient, service: Service
    ) -> None:
        body, headers = {"name": "a", "scope": "read"}, {"Idempotency-Key": "one"}
        secret = admin.post("/tokens", json=body, headers=headers).json()["token"]
        again = admin.post("/tokens", json=body, headers=headers)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json()["token"] == "akd_***"
        assert secret not in admin.get("/tokens").text
        database = Path(service.settings.storage)
        assert all(secret.encode() not in file.read_bytes() for file in _files_of(database))


def _files_of(database: Path) -> Iterator[Path]:
    return database.parent.glob(f"{database.name}*")


class TestSecrets:
    def test_what_was_sent_in_the_wrong_place_does_not_come_back(self, admin: TestClient) -> None:
        secret = new_token()
        answers = [
            admin.post("/session", json={"token": secret * 9}),
            admin.post("/session", json={"tokne": secret}),
            admin.post("/tokens", json={"name": "a", "scope": secret}),
            admin.post("/studies", json={"spec": {"name": f"/{secret}", "data": secret}}),
            admin.get(f"/tokens/{secret}"),
            admin.delete(f"/tokens/{secret}"),
            admin.get(f"/studies/{secret}"),
            admin.get("/studies/none/trials", params={"state": secret}),
            admin.get("/events", headers={"Last-Event-ID": secret[:40]}),
            admin.get("/whoami", headers={"Authorization": f"Basic {secret}"}),
            admin.get("/whoami", headers={"Authorization": f"Bearer {secret}x"}),
        ]
        assert all(answer.status_code in range(400, 500) for answer in answers)
        assert not [answer.text for answer in answers if secret[:20] in answer.text]
        assert secret[:20] not in admin.get("/audit_events").text

    def test_a_server_prints_its_first_token_once_and_logs_no_other(self, tmp_path: Path) -> None:
        printed, token = _served(tmp_path, secret=None)
        assert token is not None
        assert printed.count(token) == 1
        secret = new_token()
        printed, no_token = _served(tmp_path, secret=secret)
        assert no_token is None
        assert re.search(PATTERN, printed) is None
        assert secret[:20] not in printed
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        requests = [line["message"] for line in lines if line["logger"] == "service.requests"]
        assert [request[-3:] for request in requests] == ["200", "401", "401", "404", "422", "422"]


def _served(folder: Path, secret: str | None) -> tuple[str, str | None]:
    """What a server printed that was asked with a secret in all places, and its first token."""
    server = subprocess.Popen(
        [sys.executable, "-m", "autokd", "serve", "--port", "0"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    printed = server.stderr.readline()
    address = printed.split()[-1]
    with httpx.Client(base_url=f"{address}/api/v1") as client:
        assert client.get("/meta").status_code == 200
        if secret is not None:
            bearer = {"Authorization": f"Bearer {secret}"}
            client.get("/studies", headers=bearer)
            client.get("/studies", headers={"Cookie": f"{COOKIE}={secret}"})
            client.get(f"/nothing/{secret}", params={"token": secret})
            client.post("/session", json={"tokne": secret})
            bearer["Content-Type"] = "application/json"
            client.post("/session", content=f'{{"token": "{secret}", ', headers=bearer)
    server.send_signal(signal.SIGINT)
    rest = server.stderr.read()
    server.stderr.close()
    assert server.wait() == 0
    token = re.search(rf"#token=({PATTERN})", rest)
    return printed + rest, token and token[1]
