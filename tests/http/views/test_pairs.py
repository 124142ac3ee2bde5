"""ltp_service.http.views.pairs"""

from collections.abc import Callable

from ltp_service.domain.pairs import read_pair
from tests.service import FreshService


def test_the_pairs_are_told_in_order_with_krakens_names(fresh_service: Callable[..., FreshService]) -> None:
    pairs = tuple(map(read_pair, ("ETH/USD", "BTC/USD", "DOGE/BTC", "AIXBT/USD")))
    answer = fresh_service(supported_pairs=pairs).get("/api/v1/pairs")

    assert answer.status_code == 200
    assert answer.get_json() == {
        "pairs": [
            {"pair": "ETH/USD", "kraken": "ETH/USD"},
            {"pair": "BTC/USD", "kraken": "XBT/USD"},
            {"pair": "DOGE/BTC", "kraken": "XDG/XBT"},
            {"pair": "AIXBT/USD", "kraken": "AIXBT/USD"},
        ]
    }


def test_the_default_pairs_are_the_seven_promised(service: FreshService) -> None:
    told = service.get("/api/v1/pairs").get_json()["pairs"]

    assert [
        entry["pair"] for entry in told
    ] == "BTC/USD BTC/EUR BTC/CHF BTC/CAD ETH/USD LTC/USD XRP/USD".split()
