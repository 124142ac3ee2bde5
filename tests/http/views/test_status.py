"""ltp_service.http.views.status"""

import os

import pytest

from ltp_service.domain.pairs import read_pair
from ltp_service.domain.tick import REST
from ltp_service.version import VERSION
from tests.fakes import BTC, ETH, NOON, tick
from tests.service import FreshService, MakeService

TWO = (read_pair("BTC/USD"), read_pair("ETH/USD"))


def test_before_the_first_price_it_is_down(service: FreshService) -> None:
    answer = service.get("/api/v1/status")
    body = answer.get_json()

    assert answer.status_code == 200
    assert body["status"] == "down"
    assert body["connection"]["websocket_enabled"] is True
    assert body["connection"]["websocket_connected"] is False
    assert body["connection"]["last_ws_update"] is None
    assert body["pairs"]["BTC/USD"]["state"] == "unknown"
    assert body["pairs"]["BTC/USD"]["age_ms"] is None


def test_the_time_is_told_as_an_integer_and_in_words(service: FreshService) -> None:
    body = service.get("/api/v1/status").get_json()

    assert body["timestamp"] == int(NOON)
    assert isinstance(body["timestamp"], int)
    assert body["timestamp_iso"] == "2026-09-21T14:13:20.000000Z"


def test_with_every_pair_in_order_it_is_ok(fresh_service: MakeService) -> None:
    service = fresh_service(supported_pairs=TWO)
    service.trade("100", BTC)
    service.trade("200", ETH, happened_at=service.clock.monotonic() - 61)
    service.clock.advance(1.5)
    body = service.get("/api/v1/status").get_json()

    assert body["status"] == "ok"
    states = {pair: told["state"] for pair, told in body["pairs"].items()}
    assert states == {"BTC/USD": "live", "ETH/USD": "quiet"}
    assert body["pairs"]["BTC/USD"]["age_ms"] == 1500


def test_with_a_pair_missing_or_from_the_second_source_it_is_degraded(fresh_service: MakeService) -> None:
    service = fresh_service(supported_pairs=TWO)
    service.trade("100", BTC)
    assert service.get("/api/v1/status").get_json()["status"] == "degraded"
    service.trade("200", ETH, source=REST, happened_at=None)
    assert service.get("/api/v1/status").get_json()["status"] == "degraded"


def test_it_tells_which_process_answers_and_for_how_long_it_runs(service: FreshService) -> None:
    service.clock.advance(12.5)
    body = service.get("/api/v1/status").get_json()

    assert body["uptime_s"] == 12.5
    assert body["version"] == VERSION
    assert body["worker"] == {"pid": os.getpid(), "count": 1}
    assert body["reconnects"] == 0


def test_it_tells_how_kraken_is_reached(fresh_service: MakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = {"kraken_websocket_url": "wss://ws.kraken.com/v2", "kraken_rest_url": "https://api.kraken.com"}

    def reached() -> tuple[str, str]:
        told = fresh_service(**urls).get("/api/v1/status").get_json()["connection"]
        return told["websocket_reached"], told["rest_reached"]

    assert reached() == ("direct", "direct")
    monkeypatch.setenv("https_proxy", "http://anna:s3cret@proxy.test:3128")
    monkeypatch.setenv("no_proxy", "api.kraken.com")
    assert reached() == ("http://***@proxy.test:3128", "direct")


def test_rest_alone_is_a_mode_of_its_own_and_in_order_while_it_works(fresh_service: MakeService) -> None:
    service = fresh_service(supported_pairs=TWO, kraken_websocket_enabled=False)
    for pair in TWO:
        service.trade("100", pair, source=REST, happened_at=None)
    body = service.get("/api/v1/status").get_json()

    assert body["status"] == "ok"
    assert body["connection"]["websocket_enabled"] is False
    assert body["connection"]["websocket_connected"] is False
    assert body["connection"]["fallback_mode"] is False
    assert {told["state"] for told in body["pairs"].values()} == {"fallback"}
    service.clock.advance(31)
    assert service.get("/api/v1/status").get_json()["status"] == "down"


def test_a_pair_that_rest_cannot_refresh_says_why_until_it_is_fed(fresh_service: MakeService) -> None:
    service = fresh_service(supported_pairs=TWO)
    service.services.prices.source.errors[BTC] = "REST: no answer"

    def told() -> str | None:
        error: str | None = service.get("/api/v1/status").get_json()["pairs"]["BTC/USD"]["last_error"]
        return error

    assert told() == "REST: no answer"
    service.trade("100", BTC)
    assert told() is None


def test_how_late_the_feed_is_can_be_read(service: FreshService) -> None:
    kraken = service.services.prices.kraken
    assert kraken is not None
    kraken._lag.learn(read_pair("BTC/USD"), 1.25, None)  # noqa: SLF001 - as a late trade does

    assert service.get("/api/v1/status").get_json()["connection"]["feed_lag_ms"] == 1250
    assert b'btc_ltp_websocket_lag_seconds{exchange="kraken"} 1.25' in service.get("/metrics").get_data()


def test_a_pair_that_is_not_listed_any_more_is_stale_and_said_so(fresh_service: MakeService) -> None:
    service = fresh_service(supported_pairs=TWO)
    service.trade("100", BTC)
    service.trade("200", ETH)
    service.store.set_pair_markets({ETH: "delisted"})
    body = service.get("/api/v1/status").get_json()

    assert body["status"] == "degraded"
    assert body["pairs"]["ETH/USD"]["state"] == "stale"
    assert body["pairs"]["ETH/USD"]["last_error"] == "not listed by the exchange any more"
    answer = service.get("/api/v1/ltp?pair=ETH/USD")
    assert (answer.status_code, answer.get_json()["errors"][0]["code"]) == (503, "PRICE_STALE")
    assert service.get("/api/v1/ltp?pair=ETH/USD&allow_stale=true").status_code == 200


def test_each_other_exchange_that_tells_prices_is_shown_with_the_age_of_its_evidence(
    fresh_service: MakeService,
) -> None:
    service = fresh_service(supported_pairs=TWO, price_sources=("kraken", "coinbase"))
    service.services.prices.sources["coinbase"].put(
        tick("100", BTC, source="coinbase:websocket", received_at=service.clock.monotonic())
    )
    service.clock.advance(0.5)

    assert service.get("/api/v1/status").get_json()["sources"] == {
        "coinbase": {
            "connected": False,
            "last_error": None,
            "pairs": {
                "BTC/USD": {"age_ms": 500, "subscription": None},
                "ETH/USD": {"age_ms": None, "subscription": None},
            },
        }
    }
    assert service.store.all() == {}  # what another exchange tells is never Kraken's price
