"""ltp_service.http.views.pairs"""

from collections.abc import Callable

from ltp_service.domain.pairs import Pair, read_pair
from tests.fakes import BTC, ETH, online
from tests.service import FreshService, refusal

NEW = Pair("ADA", "USD")


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


def test_before_the_exchanges_list_is_known_a_pair_of_a_wildcard_is_no_mistake_of_the_caller(
    fresh_service: Callable[..., FreshService],
) -> None:
    service = fresh_service(supported_pairs=("*/USD",))
    of_one = "/api/v1/ltp?pair=BTC/USD", "/api/v1/ltp/cached?pair=BTC/USD", "/api/v1/ltp/explain?pair=BTC/USD"
    for path in ("/api/v1/ltp", "/api/v1/stream", *of_one):
        assert refusal(service.get(path)) == (503, "ALL_PRICES_FAILED")
    assert refusal(service.get("/api/v1/ltp?pair=BTC/EUR")) == (400, "UNSUPPORTED_PAIR")
    status = service.get("/api/v1/status").get_json()
    assert (status["status"], status["pair_list"]) == ("down", {"known": False, "wildcards": {"*/USD": 0}})


def test_a_wildcard_that_fits_no_pair_of_the_list_is_no_mistake_of_the_caller_either(
    fresh_service: Callable[..., FreshService],
) -> None:
    service = fresh_service(supported_pairs=("*/USD",))
    service.services.prices.served.listed(online(Pair("BTC", "EUR")), 0.0, complete=True)
    answer = service.get("/api/v1/ltp")

    assert refusal(answer) == (503, "ALL_PRICES_FAILED")
    assert (
        answer.get_json()["message"] == "no pair that the exchange lists is served here; see SUPPORTED_PAIRS"
    )


def test_what_the_exchange_lists_is_served_at_once(fresh_service: Callable[..., FreshService]) -> None:
    service = fresh_service(supported_pairs=("BTC/USD", "*/USD"))
    service.trade("100", BTC)
    service.get("/api/v1/ltp")
    service.services.prices.served.listed(online(BTC, ETH), 0.0, complete=True)
    service.trade("20", ETH)

    assert [item["pair"] for item in service.get("/api/v1/ltp").get_json()["ltp"]] == ["BTC/USD", "ETH/USD"]
    assert [entry["pair"] for entry in service.get("/api/v1/pairs").get_json()["pairs"]] == [
        "BTC/USD",
        "ETH/USD",
    ]
    service.services.prices.served.listed(online(NEW), 1.0, complete=False)
    service.trade("3", NEW)
    assert len(service.get("/api/v1/ltp").get_json()["ltp"]) == 3
