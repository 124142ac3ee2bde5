"""ltp_service.http.views.health"""

from collections.abc import Callable

import pytest

from ltp_service.domain.errors import StoreUnavailable
from tests.fakes import BTC
from tests.service import FreshService


def test_a_process_that_can_answer_is_healthy_whatever_the_exchange_does(service: FreshService) -> None:
    answer = service.get("/health")
    body = answer.get_json()

    assert answer.status_code == 200
    assert body["status"] == "healthy"
    assert body["timestamp"] == "2026-09-21T14:13:20.000000Z"
    assert body["services"]["service"] == "running"
    assert body["services"]["kraken"] == "stopped"


def test_without_a_price_it_is_not_ready_and_says_why(service: FreshService) -> None:
    answer = service.get("/ready")
    body = answer.get_json()

    assert answer.status_code == 503
    assert body["status"] == "unhealthy"
    assert body["services"]["cache"] == "ready"
    assert body["services"]["service"].startswith("error: ")
    assert body["reasons"]
    assert "Retry-After" in answer.headers


def test_one_servable_pair_makes_it_ready(service: FreshService) -> None:
    service.trade("100")
    answer = service.get("/ready")

    assert answer.status_code == 200
    assert answer.get_json() == {
        "status": "ready",
        "timestamp": "2026-09-21T14:13:20.000000Z",
        "services": {"cache": "ready", "service": "ready", "database": "ready"},
    }


def test_prices_that_went_stale_make_it_unready_again(service: FreshService) -> None:
    service.trade("100")
    service.clock.advance(31.0)
    assert service.get("/ready").status_code == 503
    service.heartbeat(BTC)
    assert service.get("/ready").status_code == 200


def test_serving_from_the_second_source_is_ready(service: FreshService) -> None:
    service.trade("100", source="kraken:rest", happened_at=None)

    assert service.get("/ready").status_code == 200


def test_a_store_that_is_silent_is_named(service: FreshService, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise StoreUnavailable("Redis at localhost:6379 does not answer")

    service.trade("100")
    monkeypatch.setattr(service.store, "ping", fail)
    answer = service.get("/ready")

    assert answer.status_code == 503
    assert answer.get_json()["services"]["cache"] == "error: Redis at localhost:6379 does not answer"


def test_while_it_ends_it_is_healthy_but_not_ready(fresh_service: Callable[..., FreshService]) -> None:
    service = fresh_service(kraken_websocket_enabled=False)
    service.trade("100")
    serving = [True]
    service.services.start(lambda: serving[0])
    try:
        assert service.get("/ready").status_code == 200
        serving[0] = False
        assert service.get("/ready").get_json()["services"]["service"] == "error: shutting down"
        assert service.get("/health").status_code == 200
    finally:
        service.services.stop(5.0)
