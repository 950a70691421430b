"""What is no part of the API: health, figures for Prometheus, the dashboard's files."""

from __future__ import annotations

import re
from collections import namedtuple
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from autokd.store import StudyRecord
from service.routes.pages import DASHBOARD

from .conftest import HOST, Service


def _figures(client: TestClient) -> dict[tuple[str, frozenset[Any]], float]:
    """Every figure by name and labels."""
    text = client.get(f"{HOST}/metrics").text
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class TestHealth:
    def test_it_lives_and_is_ready_for_anybody(self, service: Service) -> None:
        for path, text in (("healthz", "ok\n"), ("readyz", "ready\n")):
            answer = service.anonymous.get(f"{HOST}/{path}")
            assert (answer.status_code, answer.text) == (200, text)

    def test_it_is_not_ready_on_a_full_disk(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = namedtuple("usage", "total used free")(10**9, 10**9, 1000)
        monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
        answer = service.anonymous.get(f"{HOST}/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_full")
        assert service.anonymous.get(f"{HOST}/healthz").status_code == 200


class TestFigures:
    def test_requests_are_counted_by_operation_and_status(
        self, digits: StudyRecord, service: Service
    ) -> None:
        reader = service.client("read")
        for _ in range(3):
            reader.get("/studies/digits")
        reader.get("/studies/none")
        reader.get("/nothing")
        figures = _figures(reader)
        asked = frozenset({"read_study_detail", "200"})
        assert figures["autokd_requests_total", asked] == 3
        missed = frozenset({"read_study_detail", "404"})
        assert figures["autokd_requests_total", missed] == 1
        assert figures["autokd_requests_total", frozenset({"none", "404"})] == 1
        of_operation = frozenset({"read_study_detail"})
        assert figures["autokd_request_seconds_count", of_operation] == 4

    def test_studies_slots_and_readers_are_counted(
        self, digits: StudyRecord, service: Service
    ) -> None:
        service.store.add_coordinator("lab", 1, slots=4)
        figures = _figures(service.client("read"))
        assert figures["autokd_studies", frozenset({"completed"})] == 1
        assert figures["autokd_studies", frozenset({"running"})] == 0
        assert figures["autokd_slots", frozenset()] == 4
        assert figures["autokd_event_readers", frozenset()] == 0

    def test_odd_paths_and_methods_make_no_figures_of_their_own(self, service: Service) -> None:
        reader = service.client("read")
        before = set(_figures(reader))
        for number in range(20):
            reader.get(f"/odd/{number}")
            reader.request(f"ODD{number}", f"/studies/{number}")
        new = {labels for name, labels in set(_figures(reader)) - before if "total" in name}
        assert len(new) <= 3


class TestDashboard:
    @pytest.mark.parametrize(
        "path", ["/", "/login", "/studies", "/studies/digits/candidates/3", "/settings"]
    )
    def test_every_address_of_it_is_one_page(self, path: str, recorded: Service) -> None:
        answer = recorded.client_with(None).get(HOST + path)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.content == (DASHBOARD / "index.html").read_bytes()

    @pytest.mark.parametrize("path", ["/nowhere", "/studies/digits/nowhere", "/%E0%A4%A"])
    def test_where_no_page_is_a_person_gets_the_dashboard_that_says_so(
        self, path: str, recorded: Service
    ) -> None:
        browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        answer = recorded.client_with(None).get(HOST + path, headers=browser)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.content == (DASHBOARD / "index.html").read_bytes()

    @pytest.mark.parametrize(
        ("path", "accept"),
        [
            ("/nowhere", "*/*"),
            ("/nowhere", "application/json"),
            ("/api/v1/nowhere", "text/html"),
            ("/static/nowhere.js", "text/html"),
        ],
    )
    def test_a_program_gets_a_problem_document(
        self, path: str, accept: str, recorded: Service
    ) -> None:
        answer = recorded.client_with(None).get(HOST + path, headers={"accept": accept})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("app.js", "text/javascript; charset=utf-8"),
            ("css/base.css", "text/css; charset=utf-8"),
            ("icon.svg", "image/svg+xml"),
            ("vendor/vendor.json", "application/json"),
        ],
    )
    def test_its_files_have_their_types_and_are_asked_for_again_when_they_changed(
        self, name: str, kind: str, recorded: Service
    ) -> None:
        client = recorded.client_with(None)
        answer = client.get(f"{HOST}/static/{name}")
        assert answer.headers["content-type"] == kind
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-content-type-options"] == "nosniff"

    def test_the_documentation_needs_nobody_else(self, recorded: Service) -> None:
        page = recorded.client_with(None).get("/docs").text
        sources = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
        assert len(sources) > 3
        for source in sources:
            assert source.startswith("/") and not source.startswith("//")
            assert recorded.client_with(None).get(HOST + source).status_code == 200
