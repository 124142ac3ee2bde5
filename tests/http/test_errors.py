"""ltp_service.http.errors"""

import logging

import pytest
from flask import Response

from ltp_service.domain import errors
from ltp_service.http.problems import PROBLEMS
from tests.service import FreshService

EXPECTED = [
    (errors.InvalidParameter("x"), 400, "INVALID_PARAMETER"),
    (errors.UnknownPair("x"), 400, "UNSUPPORTED_PAIR"),
    (errors.KeyMissing("x"), 401, "API_KEY_MISSING"),
    (errors.KeyInvalid("x"), 401, "API_KEY_INVALID"),
    (errors.NotPermitted("x"), 403, "PERMISSION_DENIED"),
    (errors.RateLimited("x", retry_after=7.0), 429, "RATE_LIMIT_EXCEEDED"),
    (errors.PriceStale("x"), 503, "PRICE_STALE"),
    (errors.PriceUnavailable("x"), 503, "ALL_PRICES_FAILED"),
    (errors.StoreUnavailable("x"), 500, "CACHE_ERROR"),
]


def failing(service: FreshService, error: Exception) -> FreshService:
    """The service with a route that fails like that."""

    def fail() -> Response:
        raise error

    service.app.add_url_rule("/fails", "fails", fail)
    return service


PROVOKED = [
    ("GET", "/api/v1/ltp?max_age=soon", {}, "INVALID_PARAMETER"),
    ("GET", "/api/v1/ltp?pair=DOGE/USD", {}, "UNSUPPORTED_PAIR"),
    ("POST", "/collectors/symbols", {}, "API_KEY_MISSING"),
    ("POST", "/collectors/symbols", {"X-API-Key": "ltp_wrong"}, "API_KEY_INVALID"),
    ("GET", "/ltp", {}, "NOT_FOUND"),
    ("POST", "/api/v1/pairs", {}, "METHOD_NOT_ALLOWED"),
    ("GET", "/api/v1/pairs", {"If-Match": '"x"'}, "PRECONDITION_FAILED"),
    ("GET", "/api/v1/ltp", {}, "ALL_PRICES_FAILED"),
    ("GET", "/api/v1/ltp?pair=BTC/USD", {}, "PRICE_STALE"),
    ("GET", "/api/v1/ltp?pair=ETH/USD", {}, "PRICE_FETCH_ERROR"),
]


@pytest.mark.parametrize(("method", "path", "headers", "code"), PROVOKED)
def test_the_document_shows_errors_as_they_are_served(
    service: FreshService, method: str, path: str, headers: dict[str, str], code: str
) -> None:
    service.trade("100")
    service.clock.advance(60.0)
    answer = service.client.open(path, method=method, headers=headers)

    assert (answer.status_code, answer.get_json()["code"]) == (PROBLEMS[code].status, code)
    assert answer.get_json()["message"] == PROBLEMS[code].example


@pytest.mark.parametrize(("error", "status", "code"), EXPECTED)
def test_each_error_has_its_status(service: FreshService, error: Exception, status: int, code: str) -> None:
    answer = failing(service, error).get("/fails")
    body = answer.get_json()

    assert answer.status_code == status
    assert body == {"error": code, "message": "x", "code": code, "request_id": answer.headers["X-Request-ID"]}
    assert answer.headers["Cache-Control"] == "no-store"
    assert ("Retry-After" in answer.headers) == (status in (429, 503))


def test_the_error_may_say_when_to_come_back(service: FreshService) -> None:
    answer = failing(service, errors.RateLimited("x", retry_after=7.0)).get("/fails")

    assert answer.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("secret /home/operator/file.py"),
        errors.LtpError("an error without a mapping"),
        KeyError("secret"),
    ],
)
def test_our_own_fault_shows_no_trace_no_path_and_no_cause(
    service: FreshService, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = failing(service, error).get("/fails")
    text = answer.get_data(as_text=True)

    assert (answer.status_code, answer.get_json()["code"]) == (500, "INTERNAL_ERROR")
    for word in ("secret", "home", "Traceback", "without a mapping", ".py"):
        assert word not in text
    assert any(record.exc_info for record in caplog.records)


def test_an_unknown_route_is_json_and_repeats_nothing_of_it(service: FreshService) -> None:
    answer = service.get("/nothing/<script>")

    assert (answer.status_code, answer.get_json()["code"]) == (404, "NOT_FOUND")
    assert "script" not in answer.get_data(as_text=True)
    assert answer.content_type == "application/json"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/ltp", "no route has this path; the nearest one is /api/v1/ltp. /docs describes every route"),
        (
            "/collectors/symbol/BTCUSDT",
            "no route has this path; the nearest one is /collectors/symbols. /docs describes every route",
        ),
        ("/zzz", "no route has this path. /docs describes every route"),
        ("/docs/zzz", "the page has no such file; it is at /docs itself"),
    ],
)
def test_an_unknown_route_says_which_one_may_be_meant(service: FreshService, path: str, message: str) -> None:
    answer = service.get(path)

    assert (answer.status_code, answer.get_json()["message"]) == (404, message)


def test_a_wrong_method_says_which_ones_are_taken(service: FreshService) -> None:
    reads, writes = service.client.post("/api/v1/pairs"), service.get("/api/v1/ltp/refresh")

    assert "takes GET, HEAD, OPTIONS; ask with one of these" in reads.get_json()["message"]
    assert "takes OPTIONS, POST; ask with one of these" in writes.get_json()["message"]
    assert sorted(writes.headers["Allow"].split(", ")) == ["OPTIONS", "POST"]


@pytest.mark.parametrize("path", ["/api/v1/ltp", "/api/v1/pairs", "/api/v1/status", "/health", "/ready"])
def test_a_wrong_method_is_405_with_the_right_ones(service: FreshService, path: str) -> None:
    answer = service.client.patch(path)

    assert (answer.status_code, answer.get_json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert {"GET", "HEAD"} <= set(answer.headers["Allow"].replace(" ", "").split(","))


def test_an_error_names_the_request_that_asked(service: FreshService) -> None:
    answer = service.get("/nothing", X_Request_ID="my-request-1")

    assert answer.get_json()["request_id"] == answer.headers["X-Request-ID"] == "my-request-1"
