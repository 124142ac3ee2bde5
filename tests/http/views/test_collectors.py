"""ltp_service.http.views.collectors"""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from werkzeug.test import TestResponse

from ltp_service.domain.book import BookChange, BookSnapshot
from ltp_service.domain.pair_choice import read_choice
from ltp_service.domain.trade import Trade
from ltp_service.exchanges.kraken_books import KrakenBooks, KrakenBooksV1
from ltp_service.feed.contract import Gap, Link
from ltp_service.feed.trades import TradeCollector
from tests.fakes import BTC, ETH, NOON, online, tick
from tests.service import NOWHERE, FreshService, MakeService, refusal

WRITER = "ltp_" + "w" * 43

STATISTICS = (
    "total_trades_received total_trades_stored trades_discarded symbols_count symbols_tracked current_trades_stored"
    " trades_per_second uptime_seconds memory_usage discarded_by_reason"
).split()


def traded(number: int, symbol: str = "BTCUSDT", exchange: str = "bybit", price: str = "100.10") -> Trade:
    """Trade `number`, that many seconds after noon."""
    at, amount, quantity = NOON + number, Decimal(price), Decimal("0.00100")
    return Trade(exchange, symbol, "buy", amount, quantity, at, str(number), at + 0.25, f"raw {number}")


def snapshot(update_id: int = 5) -> BookSnapshot:
    bids = [(Decimal(f"{100 - level}.50"), Decimal("1.5")) for level in range(60)]
    asks = [(Decimal(f"{101 + level}.50"), Decimal("0.250")) for level in range(60)]
    return BookSnapshot("BTCUSDT", update_id, bids, asks, NOON)


def change(service: FreshService, method: str, path: str) -> TestResponse:
    return service.client.open(path, method=method, headers={"X-API-Key": WRITER})


@pytest.fixture
def service(tmp_path: Path) -> FreshService:
    return FreshService(tmp_path, rate_limit_enabled=False, auth_api_key=WRITER)


# Status.


def test_every_collector_tells_how_it_is(service: FreshService) -> None:
    told = service.get("/collectors/status").get_json()["collectors"]

    assert list(told) == ["kraken", "bybit_trades", "binance_trades"]
    assert told["bybit_trades"] == {
        "name": "bybit_trades",
        "state": "stopped",
        "healthy": False,
        "connected": False,
        "generation": 0,
        "attempts": 0,
        "last_frame_at": None,
        "last_error": None,
        "problem": None,
        "subscriptions": {},
        "gaps": [],
    }
    assert "gaps" not in told["kraken"]


def test_one_collector_is_found_by_its_name_and_no_other(service: FreshService) -> None:
    assert service.get("/collectors/status/kraken").get_json()["name"] == "kraken"
    assert refusal(service.get("/collectors/status/nyse_trades")) == (404, "NOT_FOUND")


def test_a_collector_tells_its_gaps_problem_and_last_sign_of_life_in_utc(service: FreshService) -> None:
    collector = service.services.collectors["bybit_trades"]
    assert isinstance(collector, TradeCollector)
    collector.gaps = lambda: (Gap(NOON, NOON + 1.5, "BTCUSDT", 3), Gap(NOON + 60))  # type: ignore[method-assign]
    collector.problem = lambda now: "receives and has stored nothing for 11 s"  # type: ignore[method-assign]
    told = service.get("/collectors/status/bybit_trades").get_json()

    assert told["healthy"] is False
    assert told["problem"] == "receives and has stored nothing for 11 s"
    assert told["gaps"] == [
        {
            "since": "2026-09-21T14:13:20.000000Z",
            "until": "2026-09-21T14:13:21.500000Z",
            "symbol": "BTCUSDT",
            "missing": 3,
        },
        {"since": "2026-09-21T14:14:20.000000Z", "until": None, "symbol": None, "missing": None},
    ]


@pytest.mark.parametrize(
    ("connected", "problem", "healthy"),
    [(True, None, True), (True, "receives and has stored nothing for 11 s", False), (False, None, False)],
)
def test_healthy_is_connected_and_without_a_problem(
    service: FreshService, connected: bool, problem: str | None, healthy: bool
) -> None:
    link = Link("kraken", "active", connected, 1, 1, service.clock.monotonic(), None, {}, problem)
    service.services.collectors["kraken"].link = lambda: link  # type: ignore[method-assign]
    told = service.get("/collectors/status/kraken").get_json()

    assert told["healthy"] is healthy
    assert told["last_frame_at"] == "2026-09-21T14:13:20.000000Z"


# Trades.


def numbers(answer: TestResponse) -> list[str]:
    return [trade["trade_id"] for trade in answer.get_json()["trades"]]


def test_trades_come_newest_first_with_every_digit_and_the_exchanges_text(service: FreshService) -> None:
    service.services.trades.trades.put(traded(1, price="0.0000001234"))
    service.services.trades.trades.put(traded(2, price="115643.10"))
    answer = service.get("/collectors/trades")

    assert numbers(answer) == ["2", "1"]
    prices = re.findall(r'"price":([^,]+),"quantity":([^,]+)', answer.get_data(as_text=True))
    assert prices == [("115643.1", "0.001"), ("0.0000001234", "0.001")]
    newest = answer.get_json()["trades"][0]
    assert newest | {"price": 0, "quantity": 0} == {
        "exchange": "bybit",
        "symbol": "BTCUSDT",
        "side": "buy",
        "price": 0,
        "quantity": 0,
        "timestamp": "2026-09-21T14:13:22.000000Z",
        "trade_id": "2",
        "received_at": "2026-09-21T14:13:22.250000Z",
        "raw": "raw 2",
    }


def test_trades_are_chosen_by_symbol_and_exchange(service: FreshService) -> None:
    for trade in (traded(1), traded(2, "ETHUSDT"), traded(3, exchange="binance")):
        service.services.trades.trades.put(trade)

    assert numbers(service.get("/collectors/trades?symbol=btcusdt")) == ["3", "1"]
    assert numbers(service.get("/collectors/trades?symbol=BTCUSDT&exchange=bybit")) == ["1"]
    assert numbers(service.get("/collectors/trades?exchange=Binance")) == ["3"]
    assert numbers(service.get("/collectors/trades?symbol=SOLUSDT")) == []
    assert numbers(service.get("/collectors/trades?symbol=&exchange=")) == ["3", "2", "1"]


def test_krakens_trades_are_told_beside_the_others_and_alone(service: FreshService) -> None:
    tape = service.services.prices.tape
    assert tape is not None
    for each in (
        traded(2, "BTC/USD", "kraken"),
        traded(4, "ETH/USD", "kraken"),
        traded(1, "BTC/USD", "kraken"),
    ):
        tape.put(each)
    service.services.trades.trades.put(traded(3))

    def told(query: str) -> list[tuple[str, str]]:
        trades = service.get(f"/collectors/trades?{query}").get_json()["trades"]
        return [(trade["symbol"], trade["trade_id"]) for trade in trades]

    kept = [("ETH/USD", "4"), ("BTCUSDT", "3"), ("BTC/USD", "2"), ("BTC/USD", "1")]
    assert told("") == kept
    assert told("limit=2") == kept[:2]
    assert told("exchange=kraken") == [kept[0], *kept[2:]]
    assert told("exchange=bybit") == [kept[1]]
    assert told("symbol=BTC/USD") == told("symbol=btcusd&exchange=KRAKEN") == kept[2:]
    assert told("symbol=BTCUSDT") == [kept[1]]


def test_without_trade_ids_krakens_trades_are_not_kept(tmp_path: Path) -> None:
    service = FreshService(tmp_path, kraken_websocket_url="wss://ws.kraken.com")
    assert service.services.prices.tape is None
    assert refusal(service.get("/collectors/trades?exchange=kraken")) == (400, "INVALID_PARAMETER")
    assert service.get("/collectors/trades").get_json()["trades"] == []


def test_fifty_trades_are_shown_unless_one_to_a_hundred_are_asked_for(service: FreshService) -> None:
    for number in range(120):
        service.services.trades.trades.put(traded(number))

    assert len(numbers(service.get("/collectors/trades"))) == 50
    assert len(numbers(service.get("/collectors/trades?limit=100"))) == 100
    assert numbers(service.get("/collectors/trades?limit=1")) == ["119"]


@pytest.mark.parametrize(
    "query",
    [
        *"limit=0 limit=101 limit=-1 limit= limit=5.0 limit=+5 limit=1_0 limit=%D9%A5 exchange=nyse".split(),
        *("symbol=BTC//USDT", "symbol=B", "symbol=%C3%9F%C3%9F", "symbol=" + "A" * 21),
    ],
)
def test_a_question_about_trades_that_cannot_be_read_is_refused(service: FreshService, query: str) -> None:
    assert refusal(service.get(f"/collectors/trades?{query}")) == (400, "INVALID_PARAMETER")


# Books.


@pytest.fixture
def with_books(fresh_service: MakeService) -> FreshService:
    service = fresh_service(collectors=("bybit_books", "binance_books"), rate_limit_enabled=False)
    service.services.trades.books.replace("bybit", snapshot(), service.clock.monotonic())
    return service


def book(service: FreshService, query: str = "") -> dict[str, Any]:
    answer = service.get(f"/collectors/books?symbol=BTCUSDT{query}")
    (told,) = answer.get_json(force=True)["books"]
    assert isinstance(told, dict)
    return told


def test_a_book_in_sync_shows_its_best_prices_with_every_digit(with_books: FreshService) -> None:
    with_books.clock.advance(0.5)
    told = book(with_books)
    text = with_books.get("/collectors/books?symbol=BTCUSDT").get_data(as_text=True)

    assert (told["exchange"], told["symbol"], told["in_sync"]) == ("bybit", "BTCUSDT", True)
    assert '"best_bid":{"price":100.5,"size":1.5},"best_ask":{"price":101.5,"size":0.25}' in text
    assert [level["price"] for level in told["bids"][:2]] == [100.5, 99.5]
    assert [level["price"] for level in told["asks"][:2]] == [101.5, 102.5]
    assert told["changed_at"] == told["received_at"] == "2026-09-21T14:13:20.000000Z"
    assert told["age_ms"] == 500


def test_a_book_has_ten_levels_unless_one_to_fifty_are_asked_for(with_books: FreshService) -> None:
    assert [len(book(with_books)[side]) for side in ("bids", "asks")] == [10, 10]
    assert [len(book(with_books, "&depth=50")[side]) for side in ("bids", "asks")] == [50, 50]
    assert [len(book(with_books, "&depth=1")[side]) for side in ("bids", "asks")] == [1, 1]


def test_a_book_out_of_sync_says_so_and_has_no_prices(with_books: FreshService) -> None:
    gap = BookChange("BTCUSDT", 9, 9, [(Decimal(100), Decimal(7))], [], NOON)
    with_books.services.trades.books.change("bybit", gap, with_books.clock.monotonic())
    told = book(with_books)

    assert told["in_sync"] is False
    assert (told["best_bid"], told["best_ask"], told["bids"], told["asks"]) == (None, None, [], [])
    assert told["received_at"] == "2026-09-21T14:13:20.000000Z"


def test_books_of_one_symbol_are_told_by_exchange(with_books: FreshService) -> None:
    with_books.services.trades.books.replace("binance", snapshot(), with_books.clock.monotonic())
    everywhere = with_books.get("/collectors/books?symbol=BTCUSDT").get_json()["books"]

    assert [told["exchange"] for told in everywhere] == ["bybit", "binance"]
    assert book(with_books, "&exchange=binance")["exchange"] == "binance"
    assert with_books.get("/collectors/books?symbol=ETHUSDT").get_json() == {"books": []}


@pytest.mark.parametrize("symbol", ["BTC/USD", "btcusd"])
def test_a_book_of_krakens_is_asked_for_by_its_pair(fresh_service: MakeService, symbol: str) -> None:
    service = fresh_service(collectors=("bybit_books", "kraken_books"), rate_limit_enabled=False)
    book_of_pair = msgspec.structs.replace(snapshot(), symbol="BTC/USD")
    service.services.trades.books.replace("kraken", book_of_pair, service.clock.monotonic())
    (told,) = service.get(f"/collectors/books?symbol={symbol}").get_json()["books"]
    assert (told["exchange"], told["symbol"], told["best_bid"]["price"]) == ("kraken", "BTC/USD", 100.5)
    assert service.get("/collectors/books?symbol=BTCUSDT&exchange=kraken").get_json() == {"books": []}


@pytest.mark.parametrize(("path", "kind"), [("/v2", KrakenBooks), ("/", KrakenBooksV1)])
def test_krakens_books_are_those_of_the_pairs_in_the_protocol_of_the_address(
    fresh_service: MakeService, path: str, kind: type[KrakenBooks]
) -> None:
    url = f"ws://{NOWHERE}{path}"
    service = fresh_service(collectors=("kraken_books",), supported_pairs=(BTC,), kraken_websocket_url=url)
    collector = service.services.collectors["kraken_books"]
    assert type(collector) is kind
    service.services.trades.symbols.add("ETHUSDT")  # one of the others'
    assert collector._subscriptions.symbols == ("BTC/USD",)  # noqa: SLF001 - it does not run
    assert collector._wanted is None  # noqa: SLF001


def test_krakens_books_follow_the_pairs_of_a_wildcard(fresh_service: MakeService) -> None:
    service = fresh_service(
        collectors=("kraken_books",), supported_pairs=tuple(map(read_choice, ("BTC/USD", "*/USD")))
    )
    service.services.prices.served.listed(online(BTC, ETH), service.clock.monotonic(), complete=True)
    collector = service.services.collectors["kraken_books"]
    assert collector._wanted == ("BTC/USD", "ETH/USD")  # noqa: SLF001 - it does not run


@pytest.mark.parametrize("query", ["", "symbol=", "symbol=BTCUSDT&depth=0", "symbol=BTCUSDT&depth=51"])
def test_a_question_about_books_that_cannot_be_read_is_refused(with_books: FreshService, query: str) -> None:
    assert refusal(with_books.get(f"/collectors/books?{query}")) == (400, "INVALID_PARAMETER")


# Storage and symbols.


def test_the_storage_tells_exactly_the_promised_numbers(service: FreshService) -> None:
    for trade in (traded(1), traded(2, "ETHUSDT"), traded(1)):
        service.services.trades.trades.put(trade)
    told = service.get("/collectors/storage/stats").get_json()

    assert list(told) == STATISTICS
    assert [told[name] for name in STATISTICS[:6]] == [3, 2, 1, 2, ["BTCUSDT", "ETHUSDT"], 2]
    assert told["discarded_by_reason"] == {"duplicate": 1}


def test_a_symbol_is_added_once_and_removed_once(service: FreshService) -> None:
    def status(method: str, path: str) -> int:
        return change(service, method, path).status_code

    assert service.get("/collectors/symbols").get_json()["symbols"] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert status("POST", "/collectors/symbols?symbol=xrpusdt") == 201
    assert status("POST", "/collectors/symbols?symbol=XRPUSDT") == 200
    assert service.get("/collectors/symbols").get_json()["symbols"][-1] == "XRPUSDT"
    assert status("DELETE", "/collectors/symbols/XRPUSDT") == 200
    assert refusal(change(service, "DELETE", "/collectors/symbols/XRPUSDT")) == (404, "NOT_FOUND")


@pytest.mark.parametrize("query", ["", "?symbol=", "?symbol=BTC/USDT", "?symbol=%C3%9F%C3%9F"])
def test_what_cannot_be_a_symbol_is_not_added(service: FreshService, query: str) -> None:
    assert refusal(change(service, "POST", f"/collectors/symbols{query}")) == (400, "INVALID_PARAMETER")


def test_more_than_two_hundred_symbols_are_refused(service: FreshService) -> None:
    answers = [change(service, "POST", f"/collectors/symbols?symbol=AB{number}") for number in range(198)]

    assert [answer.status_code for answer in answers] == [201] * 197 + [400]
    assert "200 symbols" in answers[-1].get_json()["message"]


def test_an_added_symbol_is_there_after_a_restart(service: FreshService, tmp_path: Path) -> None:
    change(service, "POST", "/collectors/symbols?symbol=XRPUSDT")

    assert FreshService(tmp_path).get("/collectors/symbols").get_json()["symbols"][-1] == "XRPUSDT"


# Witnesses and the quarantine, where prices are told.


@pytest.fixture
def witnessed(fresh_service: MakeService) -> FreshService:
    service = fresh_service(supported_pairs=("BTC/USDT", "ETH/USDT"))
    pair = service.services.config.plain_pairs[0]
    service.trade("100", pair)
    service.services.trades.trades.put(traded(0, price="100.10"))
    service.services.trades.trades.put(traded(1, exchange="binance", price="99.9000"))
    return service


def test_what_other_exchanges_trade_at_stands_beside_the_price(witnessed: FreshService) -> None:
    witnessed.clock.advance(1.5)
    witnessed.heartbeat(*witnessed.services.config.plain_pairs)
    answer = witnessed.get("/api/v1/ltp?pair=BTC/USDT&detail=true")

    assert answer.get_json()["ltp"][0]["amount"] == 100
    assert answer.get_json()["ltp"][0]["witnesses"] == [
        {"exchange": "bybit", "price": 100.1, "age_ms": 1500, "divergence_bps": 10},
        {"exchange": "binance", "price": 99.9, "age_ms": 1500, "divergence_bps": -10},
    ]
    assert (
        witnessed.get("/api/v1/ltp/explain?pair=BTC/USDT").get_json()["witnesses"]
        == (answer.get_json()["ltp"][0]["witnesses"])
    )


def test_a_pair_that_nobody_else_trades_has_no_witnesses(witnessed: FreshService) -> None:
    witnessed.trade("5", witnessed.services.config.plain_pairs[1])

    assert "witnesses" not in witnessed.get("/api/v1/ltp?pair=ETH/USDT&detail=true").get_json()["ltp"][0]
    assert witnessed.get("/api/v1/ltp/explain?pair=ETH/USDT").get_json()["witnesses"] == []


def test_without_a_price_of_our_own_a_witness_diverges_from_nothing(witnessed: FreshService) -> None:
    witnessed.services.trades.trades.put(traded(2, "ETHUSDT"))
    (witness,) = witnessed.get("/api/v1/ltp/explain?pair=ETH/USDT").get_json()["witnesses"]

    assert witness["divergence_bps"] is None


def test_a_trade_that_is_held_back_is_told_by_explain(service: FreshService) -> None:
    kraken = service.services.prices.kraken
    assert kraken is not None
    assert service.get("/api/v1/ltp/explain?pair=BTC/USD").get_json()["quarantined"] is None
    held = tick("150.0", traded_at=NOON, received_at=service.clock.monotonic())
    kraken.held = lambda pair: held  # type: ignore[method-assign]

    assert service.get("/api/v1/ltp/explain?pair=BTC/USD").get_json()["quarantined"] == {
        "price": "150.0",
        "traded_at": "2026-09-21T14:13:20.000000Z",
        "held_since": "2026-09-21T14:13:20.000000Z",
    }
