"""Bybit and Binance beside Kraken, seen over HTTP."""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.process.answer import Answer
from tests.process.service import Service
from tests.simulator.client import Simulator

Levels = dict[str, list[tuple[Decimal, Decimal]]]
EXCHANGES = ("bybit", "binance")
ADMIN = "ltp_" + "a" * 43
KEY = {"X-API-Key": ADMIN}
HELD_AT_MOST = 2.0


def start(simulator: Simulator, folder: Path, **more: str) -> Service:
    settings = {
        "COLLECTORS": "bybit_trades,binance_trades,bybit_books,binance_books,kraken_books",
        "BYBIT_WEBSOCKET_URL": simulator.bybit_url,
        "BINANCE_WEBSOCKET_URL": simulator.binance_url,
        "SYMBOLS": "BTCUSDT",
        "AUTH_API_KEY": ADMIN,
        "DATABASE_PATH": str(folder / "ltp.sqlite3"),
        **more,
    }
    return Service.start(simulator, "wsgi:app", fed=True, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("database")


@pytest.fixture(scope="module")
def service(simulator: Simulator, folder: Path) -> Iterator[Service]:
    with start(simulator, folder) as running:
        for exchange in EXCHANGES:
            simulator.wait(exchange=exchange, subscriptions=2)  # a trade stream and a book
        yield running


def trades(service: Service, query: str = "") -> list[dict[str, str]]:
    told: list[dict[str, str]] = service.get(f"/collectors/trades?{query}").json()["trades"]
    return told


def collector(service: Service, name: str) -> dict[str, Any]:
    told: dict[str, Any] = service.get(f"/collectors/status/{name}").json()
    return told


def streams(simulator: Simulator, exchange: str, symbol: str) -> int:
    """How many streams of the symbol are subscribed: its trades, its book."""
    by_channel: dict[str, dict[str, int]] = simulator.counters(exchange)["subscriptions"]
    return sum(symbols.get(symbol, 0) for symbols in by_channel.values())


def until_subscribed(service: Service, simulator: Simulator, symbol: str, wanted: int) -> None:
    for exchange in EXCHANGES:
        service.until(partial(lambda name: streams(simulator, name, symbol) == wanted, exchange))


def until_shown(service: Service, trade: dict[str, Any]) -> None:
    """Returns when a trade that happened is among those collected."""
    number = str(trade["trade_id"])
    query = f"symbol={trade['pair']}&limit=100"
    service.until(
        lambda: number in [row["trade_id"] for row in trades(service, query)], what=f"trade {number}"
    )


def test_trades_of_both_are_shown_newest_first_digit_by_digit(service: Service, simulator: Simulator) -> None:
    simulator.exchange_trade("bybit", "BTCUSDT", "64103.900", volume="0.00168300")
    simulator.exchange_trade("binance", "BTCUSDT", "123456789.12345678", volume="12")
    simulator.exchange_trade("bybit", "BTCUSDT", "0.00000001230", side="sell")
    service.until(lambda: len(trades(service, "symbol=BTCUSDT")) == 3)
    told = trades(service, "symbol=BTCUSDT")

    assert [row["timestamp"] for row in told] == sorted((row["timestamp"] for row in told), reverse=True)
    assert {(row["exchange"], row["price"], row["quantity"], row["side"]) for row in told} == {
        ("bybit", "64103.9", "0.001683", "buy"),
        ("binance", "123456789.12345678", "12", "buy"),
        ("bybit", "0.0000000123", "0.01", "sell"),
    }
    assert all(row["price"] in row["raw"] for row in told)


def test_a_book_in_sync_is_the_exchanges_own(service: Service, simulator: Simulator) -> None:
    for exchange in EXCHANGES:
        simulator.change_book(exchange, "BTCUSDT", 200)
        true = simulator.book(exchange, "BTCUSDT", 5)
        levels = {side: [(Decimal(price), Decimal(size)) for price, size in true[side]] for side in true}
        service.until(partial(_is_shown, service, exchange, levels), what=f"book of {exchange}")


def test_krakens_bid_and_ask_are_the_exchanges_own_until_a_checksum_is_wrong(
    service: Service, simulator: Simulator
) -> None:
    simulator.change_book("kraken", "ETH/USD", 200)
    true = simulator.book("kraken", "ETH/USD", 1)
    levels = {side: [(Decimal(price), Decimal(size)) for price, size in true[side]] for side in true}
    service.until(lambda: _best(service) == levels, what="best bid and ask")
    simulator.fault("bad_checksum", pair="ETH/USD")
    simulator.change_book("kraken", "ETH/USD", 20)
    service.until(lambda: _best(service) is None, what="book out of sync")
    assert "checksum" in collector(service, "kraken_books")["last_error"]
    counted = b'websocket_invalid_messages_total{exchange="kraken_books",reason="checksum"}'
    service.until(lambda: counted in service.get("/metrics").body, what="the mismatch among the metrics")
    simulator.fault("bad_checksum", on=False)
    service.until(lambda: _best(service) is not None, what="book in sync again")


def _best(service: Service) -> Levels | None:
    """Bid and ask of ETH/USD as `detail=true` has them; None with a problem."""
    (item,) = service.get("/api/v1/ltp?pair=ETH/USD&detail=true").json()["ltp"]
    book = item["book"]
    if book["problem"]:
        assert (book["bid"], book["ask"]) == (None, None)
        return None
    return {
        f"{side}s": [(Decimal(book[side]["price"]), Decimal(book[side]["size"]))] for side in ("bid", "ask")
    }


def _is_shown(service: Service, exchange: str, levels: Levels) -> bool:
    return _shown(service, exchange) == levels


def _shown(service: Service, exchange: str) -> Levels | None:
    books = service.get(f"/collectors/books?symbol=BTCUSDT&exchange={exchange}&depth=5").json()["books"]
    if not books or not books[0]["in_sync"]:
        return None
    return {
        side: [(Decimal(level["price"]), Decimal(level["size"])) for level in books[0][side]]
        for side in ("bids", "asks")
    }


def test_a_cut_is_told_as_a_gap_and_touches_nothing_else(service: Service, simulator: Simulator) -> None:
    others = {
        "kraken": simulator.counters()["connections_total"],
        "binance": _settled(simulator, "binance")["connections_total"],
    }
    before = time.time()
    simulator.cut(exchange="bybit")
    service.until(lambda: any(gap["until"] for gap in collector(service, "bybit_trades")["gaps"]))
    told = collector(service, "bybit_trades")

    assert (told["state"] in ("active", "subscribing"), told["connected"]) == (True, True)
    assert len(told["gaps"]) == 1
    assert _moment(told["gaps"][0]["since"]) <= before <= _moment(told["gaps"][0]["until"])
    assert collector(service, "binance_trades")["gaps"] == []
    assert {name: simulator.counters(name)["connections_total"] for name in others} == others
    assert service.get("/ready").status == 200


def _settled(simulator: Simulator, exchange: str) -> dict[str, Any]:
    """The counters of an exchange to which both collectors are connected."""
    return simulator.wait(exchange=exchange, open=2, subscriptions=2)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_symbol_comes_and_goes_while_running(service: Service, simulator: Simulator, folder: Path) -> None:
    connections = {name: _settled(simulator, name)["connections_total"] for name in EXCHANGES}
    assert service.send("POST", "/collectors/symbols?symbol=ETHUSDT", KEY).status == 201
    until_subscribed(service, simulator, "ETHUSDT", 2)
    for exchange in EXCHANGES:
        until_shown(service, simulator.exchange_trade(exchange, "ETHUSDT", "7.5"))
    with start(simulator, folder, COLLECTORS="") as restarted:
        assert restarted.get("/collectors/symbols").json()["symbols"] == ["BTCUSDT", "ETHUSDT"]

    assert service.send("DELETE", "/collectors/symbols/ETHUSDT", KEY).status == 200
    until_subscribed(service, simulator, "ETHUSDT", 0)
    assert {name: simulator.counters(name)["connections_total"] for name in EXCHANGES} == connections
    assert service.get("/collectors/symbols").json()["symbols"] == ["BTCUSDT"]


def test_a_lone_leap_is_held_back_until_it_is_confirmed(service: Service, simulator: Simulator) -> None:
    def held() -> dict[str, str] | None:
        told: dict[str, str] | None = service.get("/api/v1/ltp/explain?pair=ETH/USD").json()["quarantined"]
        return told

    simulator.trade("ETH/USD", "4000.50")
    service.wait_until_served("ETH/USD", "4000.5")
    started = time.monotonic()
    simulator.trade("ETH/USD", "8000.00")
    service.until(lambda: (held() or {}).get("price") == "8000.00")
    assert service.ltp()["ETH/USD"] == "4000.5"
    service.wait_until_served("ETH/USD", "8000")
    assert time.monotonic() - started >= HELD_AT_MOST
    assert held() is None

    simulator.trade("ETH/USD", "16000.00")
    service.until(
        lambda: held() is not None or service.ltp()["ETH/USD"] == "16000", what="held, or its time over"
    )
    simulator.trade("ETH/USD", "16000.10")
    service.wait_until_served("ETH/USD", "16000.1")
    assert held() is None
    metrics = service.get("/metrics").body.decode()
    counted = re.search(r'^btc_ltp_quarantined_trades_total\{pair="ETH/USD"\} (\d+)', metrics, re.MULTILINE)
    assert counted is not None
    assert int(counted[1]) >= 2


def test_exchanges_that_refuse_cost_no_readiness_nor_prices(simulator: Simulator, tmp_path: Path) -> None:
    simulator.fault("restricted", exchange="bybit")
    try:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nowhere = f"ws://127.0.0.1:{closed.getsockname()[1]}/stream"
            with start(simulator, tmp_path, BINANCE_WEBSOCKET_URL=nowhere) as alone:
                alone.until(lambda: collector(alone, "bybit_trades")["state"] == "error")
                alone.until(lambda: "refused" in str(collector(alone, "binance_trades")["last_error"]))
                refused = collector(alone, "bybit_trades")
                assert (alone.get("/ready").status, len(alone.ltp())) == (200, 7)
    finally:
        simulator.fault("restricted", on=False, exchange="bybit")

    assert "451" in refused["problem"]
    assert refused["healthy"] is False


def test_without_a_file_reads_and_the_environments_key_go_on(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("not a folder")
    with start(simulator, tmp_path / "occupied", COLLECTORS="") as stuck:
        told = stuck.wait_for_line("no API key and no symbol can be kept: the database file (DATABASE_PATH)")
        assert told["level"] == "error"
        ready = stuck.get("/ready")
        assert (ready.status, len(stuck.ltp())) == (200, 7)
        assert ready.json()["services"]["database"].startswith("error: the database file (DATABASE_PATH)")
        assert stuck.get("/api/v1/status").json()["database"]["usable"] is False
        assert stuck.get("/collectors/symbols").json()["symbols"] == ["BTCUSDT"]
        assert stuck.get("/debug/tasks", KEY).status == 200
        for path in ("/auth/api-keys?name=x", "/collectors/symbols?symbol=ETHUSDT"):
            answer = stuck.send("POST", path, KEY)
            assert (answer.status, answer.json()["code"]) == (500, "CACHE_ERROR")
            assert "DATABASE_PATH" in answer.json()["message"]
        assert stuck.wait_for_line("nothing was changed")["level"] == "error"
        assert stuck.get("/collectors/symbols").json()["symbols"] == ["BTCUSDT"]


def test_two_workers_agree_on_a_new_and_on_a_revoked_key(simulator: Simulator, tmp_path: Path) -> None:
    more = {"WEB_CONCURRENCY": "2", "AUTH_ENABLED": "true", "COLLECTORS": ""}
    seen = set[int]()
    made: dict[str, str] = {}
    with start(simulator, tmp_path, **more) as pair, ThreadPoolExecutor(8) as clients:

        def answers(count: int) -> list[Answer]:
            reader = {"X-API-Key": made["key"]}
            return list(clients.map(lambda _: pair.get("/api/v1/status", reader), range(count)))

        def both_accept_a_new_one() -> bool:
            made.update(pair.send("POST", "/auth/api-keys?name=reader", KEY).json())
            accepted = answers(8)
            assert {answer.status for answer in accepted} == {200}
            seen.update(int(answer.json()["worker"]["pid"]) for answer in accepted)
            return seen == set(pair.worker_pids())

        for _ in range(10):
            both_accept_a_new_one()
        pair.until(both_accept_a_new_one)
        assert pair.send("DELETE", f"/auth/api-keys/{made['prefix']}", KEY).status == 200
        pair.until(lambda: {answer.status for answer in answers(40)} <= {401, 429})
