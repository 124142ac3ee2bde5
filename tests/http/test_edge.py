"""ltp_service.http.edge"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ltp_service.http.access_log import MAX_WAITING_LINES
from ltp_service.http.edge import Edge
from tests.fakes import ETH
from tests.service import FreshService


def logged(service: FreshService, captured: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one line about a request."""
    service.write_log()
    lines = [json.loads(line) for line in captured.readouterr().out.splitlines() if line.startswith("{")]
    (line,) = (line for line in lines if line["message"] == "HTTP request processed")
    assert isinstance(line, dict)
    return line


def test_the_clients_own_request_id_comes_back(service: FreshService) -> None:
    assert service.get("/health", X_Request_ID="abc.DEF_123-x").headers["X-Request-ID"] == "abc.DEF_123-x"


@pytest.mark.parametrize(
    "given", ["", "short", "a" * 65, "with blank 123", "semi;colon123", "\u00e4\u00f6\u00fc12345"]
)
def test_an_id_that_is_not_safe_to_repeat_is_replaced(service: FreshService, given: str) -> None:
    answer = service.get("/health", X_Request_ID=given)

    assert answer.headers["X-Request-ID"] != given
    assert 8 <= len(answer.headers["X-Request-ID"]) <= 64


def test_every_request_without_an_id_gets_its_own(service: FreshService) -> None:
    paths = ("/health", "/health", "/nothing", "/api/v1/ltp")

    assert len({service.get(path).headers["X-Request-ID"] for path in paths}) == 4


def test_a_key_in_a_path_is_not_logged(service: FreshService, capfd: pytest.CaptureFixture[str]) -> None:
    service.get("/auth/api-keys/ltp_Ab3dE6gH" + "x" * 35)

    assert logged(service, capfd)["fields"]["http_path"] == "/auth/api-keys/ltp_Ab3dE6gH***"


def test_each_request_is_logged_in_one_line(service: FreshService, capfd: pytest.CaptureFixture[str]) -> None:
    service.trade("100")
    service.trade("200", ETH)
    service.get("/api/v1/ltp?pair=BTC/USD,ETH/USD", X_Request_ID="my-request-1")
    line = logged(service, capfd)
    fields = line["fields"]

    assert line["request_id"] == "my-request-1"
    assert fields["http_method"] == "GET"
    assert fields["http_path"] == "/api/v1/ltp"
    assert fields["http_status_code"] == 200
    assert fields["pairs_count"] == 2
    assert fields["cache_hit"] is True
    assert isinstance(fields["duration_ms"], float)


@pytest.mark.parametrize(
    ("path", "hit", "pairs"),
    [("/api/v1/ltp?pair=BTC/USD", False, 1), ("/api/v1/ltp/cached", False, 0), ("/health", None, None)],
)
def test_a_price_that_had_to_be_fetched_is_logged_as_no_hit(
    service: FreshService,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    hit: bool | None,
    pairs: int | None,
) -> None:
    monkeypatch.setattr(service.services.prices.quotes, "_fetch_from_rest", lambda _: service.trade("100"))
    assert service.get(path).status_code == 200
    fields = logged(service, capfd)["fields"]

    assert (fields["cache_hit"], fields["pairs_count"]) == (hit, pairs)


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/api/v1/ltp?pair=!", 400), ("/ready", 503)]
)
def test_a_request_that_fails_is_logged_too(
    service: FreshService, capfd: pytest.CaptureFixture[str], path: str, status: int
) -> None:
    service.get(path)

    assert logged(service, capfd)["fields"]["http_status_code"] == status


def test_a_browser_that_asks_first_is_answered_without_a_body(tmp_path: Path) -> None:
    service = FreshService(tmp_path, cors_origins=("https://example.org",))
    answer = service.client.options(
        "/api/v1/ltp", headers={"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    )

    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://example.org"
    assert "Origin" in answer.headers["Vary"]
    assert answer.headers["X-Request-ID"]


def test_a_stranger_who_asks_first_is_told_nothing(tmp_path: Path) -> None:
    service = FreshService(tmp_path, cors_origins=("https://example.org",))
    answer = service.client.options(
        "/api/v1/ltp", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    )

    assert answer.status_code == 204
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_application_that_breaks_still_answers(
    service: FreshService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret path")

    monkeypatch.setattr(service.app.wsgi_app, "_app", broken)
    answer = service.get("/api/v1/pairs")

    assert answer.status_code == 500
    assert answer.get_json()["code"] == "INTERNAL_ERROR"
    assert answer.get_json()["request_id"] == answer.headers["X-Request-ID"]
    assert "secret" not in answer.get_data(as_text=True)
    assert "a secret path" in caplog.text


def test_a_late_break_is_answered_once(service: FreshService, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Iterator[bytes]):
        closed = False

        def __next__(self) -> bytes:
            raise RuntimeError

        def close(self) -> None:
            self.closed = True

    content = Broken()

    def application(_: object, start_response: Callable[..., object]) -> Broken:
        start_response("200 OK", [("Content-Length", "7"), ("X-Begun", "yes")])
        return content

    monkeypatch.setattr(service.app.wsgi_app, "_app", application)
    answer = service.get("/api/v1/pairs")

    assert answer.status_code == 500
    assert answer.get_json()["code"] == "INTERNAL_ERROR"
    assert "X-Begun" not in answer.headers
    assert content.closed


def counted(service: FreshService) -> set[str]:
    """The routes that the request counter knows."""
    return set(
        re.findall(r'http_requests_total\{[^}]*path="([^"]*)"', service.get("/metrics").get_data(True))
    )


@pytest.mark.parametrize(
    "path", ["/api/v1/ltp", "/api/v1/pairs", "/collectors/status/bybit_trades", "/health", "/docs/start.js"]
)
def test_a_slash_at_the_end_changes_no_answer(service: FreshService, path: str) -> None:
    for pair in service.services.config.plain_pairs:
        service.trade("100", pair)
    plain, slashed = service.get(path), service.get(f"{path}/")

    assert plain.status_code == slashed.status_code == 200
    assert plain.get_data() == slashed.get_data()


def test_the_fast_lane_takes_a_last_slash(service: FreshService, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("Flask was asked")

    monkeypatch.setattr(service.app.wsgi_app, "_app", never)
    service.trade("115643.1")
    answer = service.get("/api/v1/ltp/?pair=BTC/USD")

    assert answer.get_data(as_text=True) == '{"ltp":[{"pair":"BTC/USD","amount":115643.1}]}'


def test_a_slash_at_the_end_is_limited_and_guarded_and_counted_alike(tmp_path: Path) -> None:
    service = FreshService(tmp_path, auth_enabled=True, rate_limit_capacity=2)
    service.trade("100")
    answers = [service.get(path) for path in ("/api/v1/ltp/", "/debug/tasks/", "/api/v1/pairs/")]

    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert counted(service) >= {"/api/v1/ltp", "/debug/tasks", "/api/v1/pairs"}
    assert not [path for path in counted(service) if path.endswith("/")]


def test_answers_do_not_pile_up_where_nothing_asks_for_the_metrics(service: FreshService) -> None:
    for _ in range(3 * MAX_WAITING_LINES):
        service.get("/health")
    edge = service.app.wsgi_app

    assert isinstance(edge, Edge)
    assert len(edge._answers) < MAX_WAITING_LINES  # noqa: SLF001 - the bound is the point
