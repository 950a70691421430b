"""Problem documents as errors: the same class, exit code and words as on this machine."""

from __future__ import annotations

import httpx
import pytest

from autokd import errors
from autokd.client.problems import error_of, error_of_answer

REQUEST = httpx.Request("GET", "http://autokd.test/api/v1/studies")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "not_found", errors.NotFoundError),
        (404, "nothing_feasible", errors.NothingFeasibleError),
        (409, "conflict", errors.ConflictError),
        (412, "stale_etag", errors.StaleVersionError),
        (401, "unauthenticated", errors.AccessError),
        (403, "forbidden", errors.AccessError),
        (403, "foreign_origin", errors.AccessError),
        (422, "unknown_name", errors.UnknownNameError),
        (422, "invalid_data", errors.DataError),
        (422, "invalid_teacher", errors.TeacherError),
        (422, "invalid_upload", errors.DataError),
        (413, "too_large", errors.SpecError),
        (429, "too_many_studies", errors.ConflictError),
        (500, "verification_failed", errors.VerificationError),
        (507, "storage_full", errors.StorageFullError),
        (503, "database_unavailable", errors.StoreUnavailableError),
        (503, "database_version", errors.StoreVersionError),
        (503, "too_many_readers", errors.ServerUnreachableError),
        (421, "unknown_host", errors.ServerUnreachableError),
        (418, "a_code_of_the_future", errors.AutokdError),
    ],
)
def test_a_problem_is_the_error_that_it_would_be_here(status, code, expected):
    problem = {"status": status, "code": code, "detail": "there is none", "hint": "make one"}
    error = error_of(problem)
    assert type(error) is expected
    assert "there is none" in error.message
    assert "make one" in str(error)


@pytest.mark.parametrize("kind", [errors.VerificationError, errors.NotFoundError])
def test_the_error_of_an_operation_is_known_by_the_name_of_its_class(kind):
    word = kind.__name__.removesuffix("Error")
    code = "".join(f"_{c.lower()}" if c.isupper() else c for c in word).strip("_")
    assert type(error_of({"status": 500, "code": code, "detail": "no"})) is kind


def test_mistakes_are_told_with_their_places():
    error = error_of(
        {
            "status": 422,
            "code": "invalid_spec",
            "detail": "the study has 2 mistakes",
            "errors": [
                {"pointer": "/spec/teacher/model", "message": "expected a network", "hint": "h"},
                {"pointer": "/labels/a~1b~0", "message": "too long"},
            ],
        }
    )
    assert isinstance(error, errors.SpecError)
    assert error.mistakes == (
        errors.Mistake("teacher.model", "expected a network", "h"),
        errors.Mistake("labels.a/b~", "too long"),
    )
    assert error.message.startswith("the study has 2 mistakes:")


def test_a_failure_of_the_server_says_how_to_find_it_in_its_log():
    error = error_of({"status": 500, "code": "error", "detail": "a bug", "request_id": "5f0c"})
    assert (error.message, error.exit_code) == ("a bug (request 5f0c)", 1)


def test_an_answer_of_another_program_is_no_answer():
    html = httpx.Response(404, html="<p>nothing</p>", request=REQUEST)
    error = error_of_answer(html)
    assert error.exit_code == 9
    assert "http://autokd.test" in error.message
    assert "404 Not Found (text/html)" in error.message


def test_a_redirection_says_where_to():
    moved = httpx.Response(307, headers={"location": "https://elsewhere.test"}, request=REQUEST)
    assert "to https://elsewhere.test" in error_of_answer(moved).message


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_before_a_server_that_is_gone_is_unreachable(status):
    error = error_of_answer(httpx.Response(status, text="bad gateway", request=REQUEST))
    assert isinstance(error, errors.ServerUnreachableError)
