"""Another exchange's price in an answer: never silently, by both ways with the same bytes, and never for longer than needed."""

from typing import Any

import pytest

from ltp_service.domain.pairs import Pair
from ltp_service.http.fast_lane import LOOK_AGAIN_SECONDS, FastLane
from ltp_service.http.price_source import MOST_NAMED, names_of, source_headers
from ltp_service.rest.breaker import URGENT_PROBE_EVERY_SECONDS
from tests.fakes import BTC, ETH, tick
from tests.scrape import Scrape
from tests.service import FreshService, MakeService

BOTH = "pair=BTC/USD,ETH/USD"
SLOW = {"Cache_Control": "no-transform"}
"""An own header keeps the fast lane out and changes nothing else."""


@pytest.fixture
def service(fresh_service: MakeService) -> FreshService:
    """Kraken was last heard 31 s ago, and Coinbase just now, of one of two pairs at the same price."""
    service = fresh_service(
        supported_pairs=(BTC, ETH),
        rate_limit_enabled=False,
        price_sources=("kraken", "coinbase", "bitstamp"),
        substitute_sources=("coinbase",),
    )
    service.trade("100", BTC)
    service.clock.advance(31)
    service.trade("7", ETH)
    service.trade_elsewhere("coinbase", "100", BTC)
    return service


def told(service: FreshService, query: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    answer = service.get(f"/api/v1/ltp?{query}", **headers)
    names = ("X-Price-Source", "ETag", "Cache-Control")
    return answer.status_code, answer.data, {name: answer.headers.get(name, "") for name in names}


def test_both_ways_answer_with_the_same_bytes_and_name_the_source(service: FreshService) -> None:
    for query in (BOTH, "pair=BTC/USD", f"{BOTH},FOO/BAR"):
        fast, slow = told(service, query), told(service, query, **SLOW)

        assert fast == slow
        assert fast[0] == (206 if "FOO" in query else 200)
        assert fast[2]["X-Price-Source"] == "BTC/USD=coinbase:websocket"
    assert told(service, "pair=ETH/USD")[2]["X-Price-Source"] == ""
    cached = service.get(f"/api/v1/ltp/cached?{BOTH}")
    assert cached.headers["X-Price-Source"] == "BTC/USD=coinbase:websocket"


def test_the_etag_changes_with_the_source_where_the_price_is_the_same(service: FreshService) -> None:
    for way in ({}, SLOW):
        of_coinbase = told(service, "pair=BTC/USD", **way)
        unchanged = told(service, "pair=BTC/USD", If_None_Match=of_coinbase[2]["ETag"], **way)
        assert (unchanged[0], unchanged[2]["X-Price-Source"]) == (304, "BTC/USD=coinbase:websocket")

        service.heartbeat(BTC)
        of_kraken = told(service, "pair=BTC/USD", If_None_Match=of_coinbase[2]["ETag"], **way)
        assert of_kraken[:2] == (200, of_coinbase[1])
        assert of_kraken[2]["X-Price-Source"] == ""
        service.clock.advance(31)
        service.trade_elsewhere("coinbase", "100", BTC)


def test_a_waiting_request_looks_again_within_a_second_for_kraken(service: FreshService) -> None:
    prices = service.services.prices
    lane = FastLane(service.services.config, prices.served, service.store, prices.substitutes, service.clock)
    environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "QUERY_STRING": "pair=BTC/USD"}
    ready = lane.answer(environ)

    assert ready is not None
    assert ready.until <= service.clock.monotonic() + LOOK_AGAIN_SECONDS < service.clock.monotonic() + 1
    service.trade_elsewhere("coinbase", "101", BTC, trade_id=2, traded_at=1.0)
    newer = lane.answer(environ)
    assert newer is not None
    assert b"101" in newer.content
    assert lane.take_substituted() == {(BTC, "coinbase:websocket"): 2}


def test_a_new_price_is_announced_only_where_it_is_served(service: FreshService) -> None:
    news: list[Pair] = []
    service.services.prices.changes.listener = news.append
    service.trade_elsewhere("coinbase", "101", BTC, trade_id=2, traded_at=1.0)
    service.trade_elsewhere("bitstamp", "101", BTC)
    service.trade_elsewhere("coinbase", "7", ETH)

    assert set(news) == {BTC}


def test_detail_has_the_substitutes_own_source_age_and_trade(service: FreshService) -> None:
    service.trade_elsewhere("coinbase", "100.5", BTC, trade_id=5, traded_at=1_800_000_000.0)
    service.clock.advance(2)
    (item,) = service.get("/api/v1/ltp?pair=BTC/USD&detail=true").get_json()["ltp"]

    assert (item["state"], item["source"], item["price"]) == ("substitute", "coinbase:websocket", "100.5")
    assert (item["age_ms"], item["trade_id"]) == (2000, 5)
    assert item["traded_at"] == "2027-01-15T08:00:00.000000Z"
    assert told(service, "pair=BTC/USD&max_age=1.9")[0] == 503
    assert told(service, "pair=BTC/USD&max_age=2.1")[0] == 200


def test_detail_and_explain_say_together_what_the_exchanges_say(service: FreshService) -> None:
    service.heartbeat(BTC)
    (few,) = service.get("/api/v1/ltp?pair=BTC/USD&detail=true").get_json()["ltp"]
    assert few["consensus"]["median"] is None
    assert few["consensus"]["reason"].startswith("only kraken and coinbase have")
    assert "deviating" not in few

    service.trade_elsewhere("coinbase", "110.50", trade_id=2, traded_at=1.0)
    service.trade_elsewhere("bitstamp", "110.7")
    (item,) = service.get("/api/v1/ltp?pair=BTC/USD&detail=true").get_json()["ltp"]
    consensus = {
        "median": "110.5",
        "sources": ["kraken", "coinbase", "bitstamp"],
        "spread_bps": 968.3,
        "deviation_bps": -950.2,
    }
    assert (item["amount"], item["consensus"], item["deviating"]) == (100, consensus, True)
    assert (b'"ltp":[{"pair":"BTC/USD","amount":100}]' in told(service, "pair=BTC/USD")[1]) is True

    service.clock.advance(10.5)
    service.heartbeat(BTC)
    explained = service.get("/api/v1/ltp/explain?pair=BTC/USD").get_json()
    assert [(each["exchange"], each["age_ms"], each["counts"]) for each in explained["exchanges"]] == [
        ("kraken", 0, True),
        ("coinbase", 10500, False),
        ("bitstamp", 10500, False),
    ]
    assert explained["exchanges"][1]["reason"] == "not confirmed within 10 s"
    assert explained["substitute"] == "none: Kraken's own price is confirmed"


def test_kraken_is_looked_for_as_urgently_as_without_a_substitute(service: FreshService) -> None:
    service.clock.advance(31)  # ETH/USD is stale too
    service.trade_elsewhere("coinbase", "100", BTC)
    breaker = service.services.prices.breaker
    for _ in range(5):
        breaker.acquire().failed()

    assert told(service, "pair=BTC/USD")[0] == 200
    assert breaker.state().retry_in <= URGENT_PROBE_EVERY_SECONDS


def test_metrics_tell_how_often_and_what_deviates(service: FreshService) -> None:
    told(service, "pair=BTC/USD")
    told(service, "pair=BTC/USD", **SLOW)
    service.trade_elsewhere("coinbase", "8", ETH)
    service.trade_elsewhere("bitstamp", "8", ETH)
    seen = Scrape(service.client.get("/metrics").get_data(as_text=True))

    assert seen.value("prices_substituted_total", pair="BTC/USD", source="coinbase:websocket") == 2
    assert seen.value("prices_substituted_total", pair="ETH/USD", source="coinbase:websocket") == 0
    assert seen.value("price_state", pair="BTC/USD", state="substitute") == 1
    assert [seen.value("price_deviating", pair=pair) for pair in ("BTC/USD", "ETH/USD")] == [0, 1]


def test_a_long_list_of_substitutes_ends_with_how_many_more() -> None:
    ticks = [tick(source="coinbase:websocket")] * (MOST_NAMED + 2)
    ((_, value),) = source_headers(names_of(ticks))

    assert value.count("coinbase") == MOST_NAMED
    assert value.endswith(", +2")
