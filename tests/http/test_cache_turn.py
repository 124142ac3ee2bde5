"""ltp_service.http.cache_turn: the service's half of nginx's micro-cache."""

from pathlib import Path

import pytest

from ltp_service.http.cache_turn import MAX_TRIES, Turn, read_turn
from tests.service import FreshService

QUESTION = "/api/v1/ltp?pair=BTC/USD"


@pytest.fixture
def service(tmp_path: Path) -> FreshService:
    service = FreshService(tmp_path, trusted_proxies=1, rate_limit_capacity=2)
    service.trade("100.0")
    return service


def asked(service: FreshService, ago: float = 0.0, waited: float = 0.0, tries: int = 1) -> str:
    """What nginx says: the fake clock stands at the beginning of a half second."""
    at = service.clock.wall() - ago
    return f"{at:.3f} {at + waited:.3f} {'+' * tries}"


def test_a_request_in_its_half_second_is_answered(service: FreshService) -> None:
    service.clock.advance(0.4)
    answer = service.get(QUESTION, X_Asked_At=asked(service, ago=0.4))

    assert answer.status_code == 200


@pytest.mark.parametrize(("ago", "waited"), [(0.501, 0.0), (0.0, 0.1), (7.0, 0.0)])
def test_one_that_waited_is_sent_back_priceless(service: FreshService, ago: float, waited: float) -> None:
    answer = service.get(QUESTION, X_Asked_At=asked(service, ago, waited))

    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["X-Accel-Redirect"] == QUESTION
    assert "ETag" not in answer.headers


def test_one_that_was_sent_back_often_is_answered(service: FreshService) -> None:
    assert service.get(QUESTION, X_Asked_At=asked(service, 7.0, tries=MAX_TRIES)).status_code == 204
    assert service.get(QUESTION, X_Asked_At=asked(service, 7.0, tries=MAX_TRIES + 1)).status_code == 200


def test_who_waited_pays_no_token_for_being_sent_back(service: FreshService) -> None:
    for _ in range(10):
        assert service.get(QUESTION, X_Asked_At=asked(service, waited=0.1)).status_code == 204
    assert service.get(QUESTION, X_Asked_At=asked(service)).status_code == 200


@pytest.mark.parametrize("query", ["?pair=BTC/USD,AAA/BBB", "?pair=x"])
def test_what_the_cache_does_not_keep_passes(service: FreshService, query: str) -> None:
    assert service.get(f"/api/v1/ltp{query}", X_Asked_At=asked(service, waited=0.1)).status_code in (206, 400)


@pytest.mark.parametrize(("query", "status"), [("?pair=BTC/USD,AAA/BBB", 206), ("?pair=x", 400)])
def test_what_the_cache_does_not_keep_costs_a_token(service: FreshService, query: str, status: int) -> None:
    answers = [service.get(f"/api/v1/ltp{query}", X_Asked_At=asked(service, waited=0.1)) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [status, status, 429, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["1", "0", "0", "0"]


def test_nobody_is_believed_without_a_proxy_that_is_trusted(tmp_path: Path) -> None:
    direct = FreshService(tmp_path)
    direct.trade("100.0")

    assert direct.get(QUESTION, X_Asked_At=asked(direct, waited=0.1)).status_code == 200


@pytest.mark.parametrize("nginx", ["", "127.0.0.1", "::1"])
def test_an_nginx_of_this_machine_is_believed(service: FreshService, nginx: str) -> None:
    service.client.environ_base["REMOTE_ADDR"] = nginx

    assert service.get(QUESTION, X_Asked_At=asked(service, waited=0.1)).status_code == 204


def test_a_client_whose_header_comes_from_elsewhere_pays_for_each_answer(service: FreshService) -> None:
    service.client.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    answers = [service.get(QUESTION, X_Asked_At="0 1 +") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_other_routes_know_nothing_of_it(service: FreshService) -> None:
    assert service.get("/api/v1/pairs", X_Asked_At=asked(service, waited=0.1)).status_code == 200


@pytest.mark.parametrize("text", ["", "1", "a b +", "1 2", "inf 1 +", "nan nan +", "1e999 1 +", "1 2 3 +"])
def test_what_cannot_be_read_is_a_request_like_any_other(text: str) -> None:
    assert read_turn(text) is None


@pytest.mark.parametrize(
    ("asked_at", "ends_at"), [("10.000", 10.5), ("10.499", 10.5), ("10.5", 11.0), ("10.999", 11.0)]
)
def test_a_half_second_ends_where_nginx_begins_the_next(asked_at: str, ends_at: float) -> None:
    assert read_turn(f"{asked_at} {asked_at} +") == Turn(False, ends_at)
