"""Floods, and the walk by itself."""

import time
from collections.abc import Callable
from itertools import pairwise

from tests.deadline import DEADLINE
from tests.simulator.client import Simulator
from tests.simulator.clients import (
    Client,
    is_ack,
    is_data,
    is_stream,
    is_trade,
    is_type,
    joined_to,
    trades_of,
)


def test_a_flood_ends_at_the_market_s_last_price(simulator: Simulator, v1: Client, v2: Client) -> None:
    v1.subscribe_v1("XBT/USD")
    v2.subscribe_v2("BTC/USD")
    simulator.wait(subscriptions=2)
    frames = simulator.flood("BTC/USD", rate=20_000, seconds=0.1)
    assert frames  # how many there are in that time is up to the machine
    last = simulator.market("BTC/USD")["BTC/USD"]
    tickers = [v2.find(lambda frame: frame.get("channel") == "ticker") for _ in range(frames + 1)]
    assert f"{tickers[-1]['data'][0]['last']:.1f}" == f"{float(last['price']):.1f}"
    stamps = [ticker["data"][0]["timestamp"] for ticker in tickers]
    assert stamps == sorted(stamps)
    assert [v1.find(is_data("ticker"))[1]["c"][0] for _ in range(frames + 1)][-1] == last["price"]


def test_every_trade_of_a_flood_is_sent_and_accounted_for(simulator: Simulator, spot: Client) -> None:
    symbols = ("FLOODUSDT", "STREAMUSDT")
    spot.subscribe(*(trades_of(spot.exchange, symbol) for symbol in symbols))
    spot.find(is_ack)
    simulator.exchange_flood(spot.exchange, *symbols, rate=20_000, seconds=0.2, background=True)
    heard: list[int] = []
    while len(heard) < 4000:
        heard += spot.trade_ids()
    accounts = [simulator.exchange_trades(spot.exchange, symbol) for symbol in symbols]
    assert sum(account["count"] for account in accounts) == 4000
    assert sorted(heard) == sorted(n for account in accounts for n in numbers(account["ranges"]))


def numbers(ranges: list[list[int]]) -> list[int]:
    return [number for first, last in ranges for number in range(first, last + 1)]


def test_gaps_of_a_churn_lose_that_many_updates(simulator: Simulator, binance: Client) -> None:
    binance.subscribe("btcusdt@depth")
    binance.find(is_ack)
    simulator.change_book("binance", "BTCUSDT", 100, gaps=7)
    spans = [binance.find(is_stream("depthUpdate"))["data"] for _ in range(93)]
    assert binance.hears_nothing()
    assert any(later["U"] != earlier["u"] + 1 for earlier, later in pairwise(spans))


def test_the_walk_trades_and_moves_books_on_both_exchanges() -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    with (
        Simulator.start("--walk", "200", "--fault", "block_trades=BTCUSDT") as simulator,
        joined_to(simulator, "bybit") as bybit,
        joined_to(simulator, "binance") as binance,
    ):
        bybit.subscribe(*(f"publicTrade.{symbol}" for symbol in symbols), "orderbook.50.BTCUSDT")
        binance.subscribe(*(f"{symbol.lower()}@{what}" for symbol in symbols for what in ("trade", "depth")))
        assert bybit.find(lambda frame: is_trade(frame) and frame["data"][0]["BT"])
        assert bybit.find(is_type("delta"))
        assert binance.find(is_trade)
        assert binance.find(is_stream("depthUpdate"))


def test_the_same_seed_gives_the_same_walk() -> None:
    def history(seed: str) -> list[str]:
        with Simulator.start("--seed", seed) as simulator:
            simulator.walk(rate=2000)
            until(lambda: len(simulator.market("BTC/USD")["BTC/USD"]["history"]) > 10)
            return [price for _, price in simulator.market("BTC/USD")["BTC/USD"]["history"]][:10]

    assert history("7") == history("7") != history("8")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
