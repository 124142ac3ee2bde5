"""Trades through a real Redis: what one process collects, the others show."""

import time
from dataclasses import dataclass
from decimal import Decimal

import pytest

from ltp_service.collected.trades import TradeStore
from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.trade import Trade
from ltp_service.prices.freshness import FRESH_SECONDS
from ltp_service.redis.topic import EPOCH_KEY, open_line
from ltp_service.redis.trades import MAX_WAITING_TRADES, SharedTrades
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.redis_server import RedisServer


@dataclass(frozen=True)
class Process:
    """One process's trades, and its line to the fleet."""

    shared: SharedTrades
    store: TradeStore

    def ids(self) -> list[str]:
        return [trade.trade_id for trade in self.store.recent(limit=100)]


@pytest.fixture
def server(server: RedisServer) -> RedisServer:
    server.run("SET", EPOCH_KEY, 7)
    return server


def process(server: RedisServer) -> Process:
    store = TradeStore(Runtime())
    line = open_line(Config(redis_addr=server.address), time.monotonic)
    line.clock.measure()
    return Process(SharedTrades(store, line, loaded=store.came_from_elsewhere), store)


def trade(number: int, exchange: str = "bybit", price: str = "100.10") -> Trade:
    now = time.time() + number / 1000
    return Trade(
        exchange, "BTCUSDT", "buy", Decimal(price), Decimal("0.10"), now, str(number), now, '{"a":"\\u20ac"}'
    )


def test_a_collected_trade_is_told_digit_for_digit(server: RedisServer) -> None:
    owner, other = process(server), process(server)
    subscription = server.client().subscribe(owner.shared.channel)
    told = [trade(1), trade(2, "binance", "0.00000012340")]
    assert [owner.shared.put(one) for one in told] == [True, True]
    assert owner.shared.tell(7)

    message = subscription.receive(5)
    assert isinstance(message, tuple)
    other.shared.take(message[1])
    assert other.store.recent() == owner.store.recent() == [told[1], told[0]]
    assert str(other.store.recent()[0].price) == "1.2340E-7"


def test_what_a_new_process_reads_says_nothing_about_now_until_the_next_trade(server: RedisServer) -> None:
    owner, other = process(server), process(server)
    owner.shared.put(trade(1))
    assert owner.shared.tell(7)
    other.shared.load()
    (read,) = other.store.recent()
    assert owner.store.age(read) < FRESH_SECONDS < other.store.age(read)

    subscription = server.client().subscribe(owner.shared.channel)
    owner.shared.put(trade(2))
    assert owner.shared.tell(7)
    message = subscription.receive(5)
    assert isinstance(message, tuple)
    other.shared.take(message[1])
    assert other.store.age(other.store.recent()[0]) < FRESH_SECONDS


def test_a_trade_that_was_told_before_is_not_told_again(server: RedisServer) -> None:
    owner = process(server)
    assert owner.shared.put(trade(1))
    assert not owner.shared.put(trade(1))
    assert list(owner.shared.take_news()) == ["bybit/BTCUSDT"]
    assert owner.shared.take_news() == {}


def test_who_comes_later_knows_the_last_batch_of_each_symbol(server: RedisServer) -> None:
    owner, late = process(server), process(server)
    owner.shared.put(trade(1))
    owner.shared.tell(7)
    owner.shared.put(trade(2))
    owner.shared.put(trade(3, "binance"))
    owner.shared.tell(7)
    late.shared.load()
    assert late.ids() == ["3", "2"]


def test_trades_that_could_not_be_told_are_told_the_next_time(server: RedisServer) -> None:
    owner, other = process(server), process(server)
    owner.shared.put(trade(1))
    server.freeze()
    with pytest.raises(StoreUnavailable):
        owner.shared.tell(7)
    owner.shared.put(trade(2))
    server.thaw()
    deadline = time.monotonic() + 10
    while not other.ids() and time.monotonic() < deadline:
        try:
            owner.shared.tell(7)
            other.shared.load()
        except StoreUnavailable:
            continue
    assert other.ids() == ["2", "1"]


def test_while_redis_is_away_only_so_many_trades_wait(server: RedisServer) -> None:
    owner = process(server)
    for number in range(MAX_WAITING_TRADES + 10):
        owner.shared.put(trade(number))
    assert sum(text.count(b'"trade_id"') for text in owner.shared.take_news().values()) == MAX_WAITING_TRADES


def test_a_new_owner_tells_nothing_that_an_earlier_tenure_left_behind(server: RedisServer) -> None:
    owner = process(server)
    owner.shared.put(trade(1))
    owner.shared.restart()
    assert owner.shared.take_news() == {}
