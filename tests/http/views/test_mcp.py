"""ltp_service.http.views.mcp"""

import json
import os
from io import BytesIO
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from ltp_service.http.shapes import MAX_BODY_BYTES
from ltp_service.keys.key import make_text
from tests.agent import call, send
from tests.http.openapi.test_document import assert_as_documented
from tests.service import FreshService, MakeService, refusal

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
PAGE = "https://prices.example.org"


@pytest.fixture
def service(fresh_service: MakeService) -> FreshService:
    return fresh_service(rate_limit_enabled=False)


def error(answer: TestResponse) -> tuple[int, int]:
    """Status, and code of JSON-RPC."""
    assert_as_documented(answer)
    return answer.status_code, answer.get_json()["error"]["code"]


def asked_from(service: FreshService, origin: str, host: str) -> int:
    headers = {"Origin": origin, "Host": host}
    return service.client.post("/mcp", json=LIST, headers=headers).status_code


def test_an_answer_is_json_that_nobody_keeps(service: FreshService) -> None:
    answer = send(service, "tools/list")

    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert_as_documented(answer)


def test_a_notification_is_answered_with_nothing(service: FreshService) -> None:
    answer = service.client.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})

    assert (answer.status_code, answer.get_data()) == (202, b"")
    assert "Content-Type" not in answer.headers
    assert_as_documented(answer)


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_there_is_no_stream_to_get_and_no_session_to_delete(service: FreshService, method: str) -> None:
    answer = service.client.open("/mcp", method=method)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    if method != "HEAD":
        assert "this route takes OPTIONS, POST" in answer.get_json()["message"]


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", -32700), (b"{", -32700), (b"[]", -32600), (json.dumps([LIST, LIST]).encode(), -32600)],
)
def test_what_is_no_message_is_400(service: FreshService, content: bytes, told: int) -> None:
    answer = service.client.post("/mcp", data=content, content_type="application/json")

    assert error(answer) == (400, told)


def test_a_method_that_does_not_exist_is_404_with_an_error_that_says_so(service: FreshService) -> None:
    assert error(send(service, "prompts/list")) == (404, -32601)


def test_a_body_up_to_its_bound_is_read_and_a_larger_one_is_not(service: FreshService) -> None:
    fits = json.dumps(LIST).encode().ljust(MAX_BODY_BYTES)

    assert service.client.post("/mcp", data=fits, content_type="application/json").status_code == 200
    assert error(service.client.post("/mcp", data=fits + b" ", content_type="application/json")) == (
        413,
        -32600,
    )


def test_a_body_that_breaks_off_is_400(service: FreshService) -> None:
    answer = service.client.post(
        "/mcp",
        input_stream=BytesIO(b"{"),
        headers={"Content-Type": "application/json", "Content-Length": "9"},
    )

    assert error(answer) == (400, -32700)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_of_another_type_is_415(service: FreshService, content_type: str | None) -> None:
    answer = service.client.post("/mcp", data=json.dumps(LIST), content_type=content_type)

    assert error(answer) == (415, -32600)


def test_a_page_whose_name_was_made_to_point_here_is_refused(service: FreshService) -> None:
    assert asked_from(service, "http://evil.example:8080", "evil.example:8080") == 403
    assert asked_from(service, "http://evil.example", "localhost:8080") == 403
    assert asked_from(service, "null", "localhost:8080") == 403
    assert asked_from(service, "http://localhost:9999", "localhost:8080") == 403
    answer = service.client.post("/mcp", json=LIST, headers={"Origin": PAGE})
    assert "CORS_ORIGINS" in answer.get_json()["error"]["message"]
    assert error(answer) == (403, -32600)


def test_a_page_of_this_machine_may_ask_it(service: FreshService) -> None:
    assert asked_from(service, "http://localhost:8080", "localhost:8080") == 200
    assert asked_from(service, "http://[::1]:8080", "[::1]:8080") == 200


def test_a_page_that_the_settings_name_may_ask(fresh_service: MakeService) -> None:
    service = fresh_service(rate_limit_enabled=False, cors_origins=(PAGE,))

    assert asked_from(service, PAGE, "prices.internal") == 200
    assert asked_from(service, "https://other.example.org", "prices.internal") == 403
    asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    allowed = service.client.options("/mcp", headers=asks).headers["Access-Control-Allow-Headers"]
    assert {"MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Content-Type"} <= set(allowed.split(", "))


def test_where_reads_need_a_key_it_goes_into_the_header_alone(fresh_service: MakeService) -> None:
    key = make_text(os.urandom)
    service = fresh_service(rate_limit_enabled=False, auth_enabled=True, auth_api_key=key)

    assert refusal(service.client.post("/mcp", json=LIST)) == (401, "API_KEY_MISSING")
    assert refusal(service.client.post(f"/mcp?key={key}", json=LIST)) == (401, "API_KEY_MISSING")
    assert service.client.post("/mcp", json=LIST, headers={"X-API-Key": key}).status_code == 200
    named = service.client.post(f"/mcp?key={key}", json=LIST, headers={"X-API-Key": key})
    assert refusal(named) == (400, "INVALID_PARAMETER")
    for answer in (named, service.client.post("/mcp", json=LIST)):
        assert_as_documented(answer)


def test_a_message_costs_a_token_as_a_read_does(fresh_service: MakeService) -> None:
    service = fresh_service(rate_limit_capacity=2)
    service.trade("115643.10")
    assert service.get("/api/v1/ltp?pair=BTC/USD").headers["RateLimit-Remaining"] == "1"
    assert send(service, "tools/list").headers["RateLimit-Remaining"] == "0"

    assert refusal(send(service, "tools/list")) == (429, "RATE_LIMIT_EXCEEDED")
    assert refusal(service.get("/api/v1/ltp?pair=BTC/USD")) == (429, "RATE_LIMIT_EXCEEDED")


def test_it_is_counted_under_its_route(service: FreshService, tmp_path: Path) -> None:
    service.trade("115643.10")
    call(service, "get_price", pair="BTC/USD")
    metrics = service.get("/metrics").get_data(as_text=True)

    assert 'btc_ltp_http_requests_total{method="POST",path="/mcp",status_code="200"} 1.0' in metrics
    assert 'btc_ltp_price_requests_total{cache_result="hit",pair="BTC/USD"} 1.0' in metrics
