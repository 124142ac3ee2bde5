"""ltp_service.http.views.explain"""

from pathlib import Path
from typing import Any

import pytest

from ltp_service.domain.tick import REST, WEBSOCKET
from tests.fakes import BTC, NOON
from tests.service import FreshService


def explained(service: FreshService) -> Any:
    answer = service.get("/api/v1/ltp/explain?pair=BTC/USD")
    assert answer.status_code == 200
    return answer.get_json()


def rest_tells(service: FreshService, price: str, age: float = 0.0) -> None:
    """An answer that comes from a cache in which it lay for `age` seconds."""
    at = service.clock.monotonic() - age
    service.trade(price, source=REST, happened_at=None, received_at=at)


def served(service: FreshService) -> dict[str, bool]:
    return {source: seen["served"] for source, seen in explained(service)["sources"].items()}


def test_a_pair_that_was_never_seen_has_nothing_to_explain(service: FreshService) -> None:
    told = explained(service)

    assert (told["served"], told["state"], told["sources"], told["decisions"]) == (None, "unknown", {}, [])


@pytest.mark.parametrize("query", ["", "?pair=BTC/USD,ETH/USD"])
def test_exactly_one_pair_is_explained(service: FreshService, query: str) -> None:
    answer = service.get(f"/api/v1/ltp/explain{query}")

    assert (answer.status_code, answer.get_json()["code"]) == (400, "INVALID_PARAMETER")


def test_the_subscription_of_the_pair_is_explained_where_there_is_a_feed(tmp_path: Path) -> None:
    with_feed = FreshService(tmp_path / "with")
    without = FreshService(tmp_path / "without", kraken_websocket_enabled=False)

    assert explained(with_feed)["subscription"]["state"] == "disconnected"
    assert explained(without)["subscription"] is None


def test_a_feed_whose_ticker_repeats_its_trade_is_served(service: FreshService) -> None:
    service.trade("100.5", traded_at=NOON, trade_id=7)
    service.trade("100.5", traded_at=NOON)

    assert served(service) == {WEBSOCKET: True}


def test_rest_is_served_from_the_answer_that_keeps_a_price_alive(service: FreshService) -> None:
    service.trade("100.5", traded_at=NOON)
    service.clock.advance(5)
    rest_tells(service, "100.50")

    assert explained(service)["served"]["source"] == REST
    assert served(service) == {WEBSOCKET: True, REST: True}


def test_a_source_that_was_refused_is_not_served(service: FreshService) -> None:
    service.trade("100.5", traded_at=NOON)
    rest_tells(service, "99.5", age=1.0)
    told = explained(service)

    assert served(service) == {WEBSOCKET: True, REST: False}
    assert told["sources"][REST]["reason"] == "refused: not newer than what was held"


def test_a_source_that_was_overtaken_is_not_served(service: FreshService) -> None:
    service.trade("100.5", traded_at=NOON)
    service.clock.advance(5)
    rest_tells(service, "99.5")

    assert served(service) == {WEBSOCKET: False, REST: True}


def test_the_last_twenty_decisions_are_told_the_newest_first(service: FreshService) -> None:
    for number in range(25):
        service.trade(f"{100 + number}", traded_at=NOON + number)

    assert [decision["price"] for decision in explained(service)["decisions"]] == [
        f"{price}" for price in range(124, 104, -1)
    ]


def test_a_doubt_about_the_price_is_told_with_its_reason(service: FreshService) -> None:
    service.trade("100.5", traded_at=NOON)
    assert explained(service)["doubt"] is None
    doubts = service.services.prices.doubts
    doubts.open(BTC, "unusable", service.clock.monotonic())
    doubt = explained(service)["doubt"]
    assert (doubt["reason"], doubt["rest_asked_at"]) == ("unusable", None)
    assert doubt["since"] == explained(service)["served"]["confirmed_at"]


def test_the_market_of_the_pair_itself_is_told(service: FreshService) -> None:
    service.store.set_market("online")
    service.store.set_pair_markets({BTC: "cancel_only"})

    assert explained(service)["market"] == "cancel_only"
