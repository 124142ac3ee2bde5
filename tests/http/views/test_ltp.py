"""ltp_service.http.views.ltp"""

import json
import threading
from decimal import Decimal

import msgspec
import pytest
from werkzeug.test import TestResponse

from ltp_service.domain.book import BookSnapshot
from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.domain.tick import REST
from ltp_service.exchanges.kraken_books import KrakenBooks
from ltp_service.http import shapes
from tests.deadline import DEADLINE
from tests.fakes import BTC, ETH, NOON, XRP
from tests.service import FreshService, MakeService, amounts

DEFAULT = tuple(map(read_pair, "BTC/USD BTC/EUR BTC/CHF BTC/CAD ETH/USD LTC/USD XRP/USD".split()))


def fill(service: FreshService) -> None:
    """A price for each default pair: 1, 2, 3, …"""
    for number, pair in enumerate(DEFAULT, 1):
        service.trade(f"{number}.50", pair)


def test_all_pairs_are_answered_in_configuration_order(service: FreshService) -> None:
    fill(service)
    answer = service.get("/api/v1/ltp")

    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert list(amounts(answer)) == [str(pair) for pair in DEFAULT]
    assert list(answer.get_json()) == ["ltp"]


@pytest.mark.parametrize("query", ["", "?pair=", "?pairs=", "?pair=,", "?pair=%20"])
def test_naming_no_pair_means_all(service: FreshService, query: str) -> None:
    fill(service)

    assert len(service.get(f"/api/v1/ltp{query}").get_json()["ltp"]) == len(DEFAULT)


@pytest.mark.parametrize(
    ("wire", "shown"),
    [
        ("0.00000012", "0.00000012"),
        ("123456789.123456789", "123456789.123456789"),
        ("115643.00000", "115643"),
        ("159937.70000", "159937.7"),
        ("1.2e-7", "0.00000012"),
    ],
)
def test_an_amount_has_the_exchanges_own_digits(service: FreshService, wire: str, shown: str) -> None:
    service.trade(wire)
    answer = service.get("/api/v1/ltp?pair=BTC/USD")

    assert answer.get_data(as_text=True) == f'{{"ltp":[{{"pair":"BTC/USD","amount":{shown}}}]}}'


@pytest.mark.parametrize(
    "spelling", ["BTC/USD", "btc-usd", "BTC_USD", "BTCUSD", "XBT/USD", "XBTUSD", "XXBTZUSD", "BTC%2FUSD"]
)
def test_every_spelling_gives_the_same_pair(service: FreshService, spelling: str) -> None:
    fill(service)

    assert amounts(service.get(f"/api/v1/ltp?pair={spelling}")) == {"BTC/USD": "1.5"}


def test_look_alike_assets_stay_themselves(fresh_service: MakeService) -> None:
    pairs = tuple(map(read_pair, ("BTC/USD", "AIXBT/USD", "TBTC/USD", "BTC/USDT")))
    service = fresh_service(supported_pairs=pairs)
    for number, pair in enumerate(pairs, 1):
        service.trade(str(number), pair)

    assert amounts(service.get("/api/v1/ltp?pair=AIXBTUSD,TBTCUSD,BTCUSDT,XBTUSD")) == {
        "AIXBT/USD": "2",
        "TBTC/USD": "3",
        "BTC/USDT": "4",
        "BTC/USD": "1",
    }


def test_the_order_asked_is_the_order_answered_without_duplicates(service: FreshService) -> None:
    fill(service)
    answer = service.get("/api/v1/ltp?pair=XRP/USD,BTC/USD&pairs=ETH-USD&pair=XBTUSD")

    assert list(amounts(answer)) == ["XRP/USD", "BTC/USD", "ETH/USD"]


def test_some_prices_are_a_partial_answer_that_names_what_is_missing(service: FreshService) -> None:
    service.trade("100")
    answer = service.get("/api/v1/ltp?pair=BTC/USD,DOGE/USD,ETH/USD")

    assert answer.status_code == 206
    assert amounts(answer) == {"BTC/USD": "100"}
    errors = {error["pair"]: error for error in answer.get_json()["errors"]}
    assert {pair: error["code"] for pair, error in errors.items()} == {
        "DOGE/USD": "UNSUPPORTED_PAIR",
        "ETH/USD": "PRICE_FETCH_ERROR",
    }
    assert errors["DOGE/USD"]["message"] == "Unsupported trading pair"
    assert all(error["error"] == "Failed to fetch price" for error in errors.values())
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("headers", [{}, {"Cache_Control": "no-transform"}], ids=["fast lane", "view"])
def test_the_quick_answers_have_the_documented_shapes(service: FreshService, headers: dict[str, str]) -> None:
    service.trade("115643.10")
    price = shapes.Price("BTC/USD", msgspec.Raw(b"115643.1"))
    failed = shapes.PairError(
        "DOGE/USD", "Failed to fetch price", "UNSUPPORTED_PAIR", "Unsupported trading pair"
    )

    for pairs, shape in (
        ("BTC/USD", shapes.Prices([price])),
        ("BTC/USD,DOGE/USD", shapes.SomePrices([price], [failed])),
    ):
        assert service.get(f"/api/v1/ltp?pair={pairs}", **headers).data == msgspec.json.encode(shape)


def test_only_unsupported_pairs_are_the_callers_mistake(service: FreshService) -> None:
    fill(service)
    answer = service.get("/api/v1/ltp?pair=DOGE/USD,SOL/USD")

    assert answer.status_code == 400
    assert answer.get_json()["code"] == "UNSUPPORTED_PAIR"
    assert "DOGE/USD" in answer.get_json()["message"]


@pytest.mark.parametrize(
    "query",
    [
        *("pair=!!!", "pair=BTC/USD,%00", "pair=BTC", "pair=" + "A" * 3000),
        "pair=" + ",".join(f"A{number}/USD" for number in range(101)),
        *(f"pair=BTC/USD&{more}" for more in ("max_age=soon", "max_age=-1", "max_age=nan")),
        *(f"pair=BTC/USD&{switch}=perhaps" for switch in ("detail", "allow_stale")),
    ],
)
def test_what_cannot_be_read_is_an_invalid_parameter(service: FreshService, query: str) -> None:
    fill(service)
    answer = service.get(f"/api/v1/ltp?{query}")

    assert answer.status_code == 400
    assert answer.get_json()["error"] == answer.get_json()["code"] == "INVALID_PARAMETER"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_hundred_pairs_may_be_asked_at_once(service: FreshService) -> None:
    service.trade("100")
    names = ["BTC/USD", *(f"A{number}/USD" for number in range(99))]

    assert service.get("/api/v1/ltp?pair=" + ",".join(names)).status_code == 206


def test_every_one_of_fifteen_hundred_pairs_is_served(fresh_service: MakeService) -> None:
    pairs = tuple(Pair(f"A{number}", "USD") for number in range(1500))
    service = fresh_service(supported_pairs=pairs)
    for pair in pairs:
        service.trade("100", pair)
    answer = service.get("/api/v1/ltp")

    assert answer.status_code == 200
    assert len(amounts(answer)) == 1500


def test_without_any_price_the_answer_is_503_with_a_time_to_come_back(service: FreshService) -> None:
    answer = service.get("/api/v1/ltp")
    body = answer.get_json()

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert body["code"] == "ALL_PRICES_FAILED"
    assert {error["pair"] for error in body["errors"]} == {str(pair) for pair in DEFAULT}
    assert "ltp" not in body


def test_one_pair_without_a_price_says_so_itself(service: FreshService) -> None:
    answer = service.get("/api/v1/ltp?pair=BTC/USD")

    assert answer.status_code == 503
    assert answer.get_json()["code"] == "PRICE_FETCH_ERROR"
    assert "Retry-After" in answer.headers


def test_a_price_without_evidence_for_longer_than_its_life_is_not_served(service: FreshService) -> None:
    service.trade("100")
    service.clock.advance(30.0)
    assert service.get("/api/v1/ltp?pair=BTC/USD").status_code == 200
    service.clock.advance(0.1)
    answer = service.get("/api/v1/ltp?pair=BTC/USD")

    assert answer.status_code == 503
    assert answer.get_json()["code"] == "PRICE_STALE"
    assert "100" not in json.dumps(answer.get_json()["errors"])


def test_evidence_keeps_a_quiet_price_served_for_ever(service: FreshService) -> None:
    service.trade("100")
    for _ in range(100):
        service.clock.advance(20.0)
        service.heartbeat(BTC)
    answer = service.get("/api/v1/ltp?pair=BTC/USD&detail=true")

    assert answer.get_json()["ltp"][0]["state"] == "quiet"


def test_a_stale_price_is_served_to_whoever_asks_for_it_and_marked(service: FreshService) -> None:
    service.trade("100")
    service.clock.advance(3600.0)
    answer = service.get("/api/v1/ltp?pair=BTC/USD&allow_stale=true&detail=true")

    assert answer.status_code == 200
    assert answer.get_json()["ltp"][0]["state"] == "stale"
    assert answer.get_json()["ltp"][0]["age_ms"] == 3_600_000


def test_the_callers_bound_on_the_age_is_kept(service: FreshService) -> None:
    service.trade("100")
    service.trade("200", ETH)
    service.clock.advance(5.0)
    service.heartbeat(ETH)
    path = "/api/v1/ltp?pair=BTC/USD,ETH/USD"

    assert service.get(f"{path}&max_age=5").status_code == 200
    partial = service.get(f"{path}&max_age=4.9")
    assert partial.status_code == 206
    assert amounts(partial) == {"ETH/USD": "200"}
    assert partial.get_json()["errors"][0]["code"] == "PRICE_STALE"
    assert service.get("/api/v1/ltp?pair=BTC/USD&max_age=4.9").status_code == 503


def test_the_bound_may_come_as_a_header(service: FreshService) -> None:
    service.trade("100")
    service.clock.advance(5.0)
    path = "/api/v1/ltp?pair=BTC/USD"

    assert service.get(path, Cache_Control="max-age=4").status_code == 503
    assert service.get(path, Cache_Control="no-cache, max-age=5").status_code == 200
    assert service.get(f"{path}&max_age=10", Cache_Control="max-age=4").status_code == 200


def test_the_details_tell_both_clocks_and_the_source(service: FreshService) -> None:
    service.trade("115643.00000", traded_at=NOON - 0.5, trade_id=109116693)
    service.clock.advance(2.0)
    service.heartbeat(BTC)
    service.clock.advance(1.25)
    answer = service.get("/api/v1/ltp?pair=BTC/USD&detail=true")

    assert answer.get_json()["ltp"] == [
        {
            "pair": "BTC/USD",
            "amount": 115643,
            "price": "115643.00000",
            "state": "live",
            "source": "kraken:websocket",
            "traded_at": "2026-09-21T14:13:19.500000Z",
            "confirmed_at": "2026-09-21T14:13:22.000000Z",
            "age_ms": 1250,
            "trade_id": 109116693,
        }
    ]


def test_the_details_have_bid_and_ask_and_their_age_where_books_are_collected(
    fresh_service: MakeService,
) -> None:
    service = fresh_service(collectors=("kraken_books",))
    service.trade("100")
    book = BookSnapshot("BTC/USD", 1, [(Decimal("99.5"), Decimal("1.50"))], [(Decimal("100.5"), Decimal(2))])
    service.services.trades.books.replace("kraken", book, service.clock.monotonic())
    assert service.services.pair_books is not None

    def told() -> object:
        return service.get("/api/v1/ltp?pair=BTC/USD&detail=true").get_json()["ltp"][0]["book"]

    unknown = {"bid": None, "ask": None, "in_sync": False, "problem": "unknown", "age_ms": None}
    assert told() == unknown
    collector = service.services.collectors["kraken_books"]
    assert isinstance(collector, KrakenBooks)
    collector._last_frame_at = service.clock.monotonic()  # noqa: SLF001 - it does not run
    service.clock.advance(0.25)
    levels = {"bid": {"price": 99.5, "size": 1.5}, "ask": {"price": 100.5, "size": 2}}
    assert told() == levels | {"in_sync": True, "problem": None, "age_ms": 250}
    collector._delay = 3.0  # noqa: SLF001 - as above
    assert told() == levels | {"in_sync": True, "problem": None, "age_ms": 3250}


def test_what_the_exchange_does_not_tell_is_null_and_never_invented(service: FreshService) -> None:
    service.trade("100", source=REST, happened_at=None)
    (item,) = service.get("/api/v1/ltp?pair=BTC/USD&detail=true").get_json()["ltp"]

    assert (item["traded_at"], item["trade_id"]) == (None, None)
    assert (item["state"], item["source"]) == ("fallback", "kraken:rest")


def test_while_the_exchange_does_not_match_the_price_is_marked_as_halted(service: FreshService) -> None:
    service.trade("100")
    service.store.set_market("maintenance")

    assert service.get("/api/v1/ltp?pair=BTC/USD&detail=true").get_json()["ltp"][0]["state"] == "halted"


def test_an_age_is_never_negative_when_the_machines_clock_is_set(service: FreshService) -> None:
    service.trade("100", received_at=service.clock.monotonic() + 5)
    service.clock.set_wall(0.0)

    assert service.get("/api/v1/ltp?pair=BTC/USD&detail=true").get_json()["ltp"][0]["age_ms"] == 0


def test_only_complete_answers_may_be_cached_and_only_for_a_second(service: FreshService) -> None:
    fill(service)

    assert service.get("/api/v1/ltp").headers["Cache-Control"] == "public, max-age=1"
    assert service.get("/api/v1/ltp?detail=true").headers["Cache-Control"] == "public, max-age=0"


def test_the_cached_answer_holds_only_what_is_there_and_asks_nobody(service: FreshService) -> None:
    service.trade("100")
    answer = service.get("/api/v1/ltp/cached")

    assert answer.status_code == 200
    assert amounts(answer) == {"BTC/USD": "100"}
    assert "errors" not in answer.get_json()


def test_the_cached_answer_of_all_pairs_is_empty_while_no_pair_is_known(fresh_service: MakeService) -> None:
    answer = fresh_service(supported_pairs=("*/USD",)).get("/api/v1/ltp/cached")

    assert (answer.status_code, answer.get_json()) == (200, {"ltp": []})


def test_a_tag_changes_exactly_when_the_body_would(service: FreshService) -> None:
    path = "/api/v1/ltp?pair=BTC/USD"
    service.trade("100", traded_at=NOON)
    tag = service.get(path).headers["ETag"]
    service.clock.advance(1.0)
    service.heartbeat(BTC)

    assert service.get(path, If_None_Match=tag).status_code == 304
    assert service.get(path).headers["ETag"] == tag
    service.trade("100.01", traded_at=NOON + 1)
    changed = service.get(path, If_None_Match=tag)
    assert (changed.status_code, amounts(changed)) == (200, {"BTC/USD": "100.01"})
    assert changed.headers["ETag"] != tag


def test_an_answer_that_did_not_change_can_be_waited_for(service: FreshService) -> None:
    path = "/api/v1/ltp?pair=BTC/USD"
    service.trade("100")
    tag = service.get(path).headers["ETag"]
    answers: list[TestResponse] = []

    def wait() -> None:
        answers.append(service.get(path, If_None_Match=tag, Prefer="wait=20"))

    waiting = threading.Thread(target=wait)
    waiting.start()
    service.trade("101")
    waiting.join(DEADLINE)

    assert [amounts(answer) for answer in answers] == [{"BTC/USD": "101"}]


def test_a_process_that_is_to_end_lets_no_request_wait(service: FreshService) -> None:
    path = "/api/v1/ltp?pair=BTC/USD"
    service.trade("100")
    tag = service.get(path).headers["ETag"]
    service.services._serving.append(lambda: False)  # noqa: SLF001 - `start` would start the feed, too

    assert service.get(path, If_None_Match=tag, Prefer="wait=30").status_code == 304


def test_a_refresh_without_pairs_is_refused_and_without_a_source_is_503(service: FreshService) -> None:
    service.trade("100")

    assert service.client.post("/api/v1/ltp/refresh").status_code == 400
    assert service.client.post("/api/v1/ltp/refresh?pairs=BTC/USD").status_code == 503


def test_head_works_and_a_wrong_method_is_told_the_right_ones(service: FreshService) -> None:
    fill(service)
    head = service.client.head("/api/v1/ltp")
    wrong = service.client.delete("/api/v1/ltp")

    assert (head.status_code, head.data) == (200, b"")
    assert wrong.status_code == 405
    assert "GET" in wrong.headers["Allow"]
    assert wrong.get_json()["code"] == "METHOD_NOT_ALLOWED"


def test_a_newer_trade_is_answered_at_once(service: FreshService) -> None:
    for price in ("1", "2", "3"):
        service.clock.advance(0.001)
        service.trade(price, XRP)
        assert amounts(service.get("/api/v1/ltp?pair=XRP/USD")) == {"XRP/USD": price}


def test_no_pair_ever_shows_another_pairs_number(fresh_service: MakeService) -> None:
    pairs = tuple(Pair(f"A{number}", "USD") for number in range(60))
    service = fresh_service(supported_pairs=pairs)
    for number, pair in enumerate(pairs, 1):
        service.trade(str(number), pair)
    reversed_order = ",".join(str(pair) for pair in reversed(pairs))

    expected = {str(pair): str(number) for number, pair in enumerate(pairs, 1)}
    assert amounts(service.get("/api/v1/ltp")) == expected
    assert amounts(service.get(f"/api/v1/ltp?pair={reversed_order}")) == expected
