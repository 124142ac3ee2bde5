"""The store of trades: its bounds, its order, its statistics and its speed."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.collected.trades import MAX_BYTES, TradeStore
from ltp_service.domain.trade import Trade
from ltp_service.meters import TRADES_DISCARDED, TRADES_STORED
from tests.fakes import NOON, FakeClock, RecordingMeters, runtime


def trade(
    trade_id: int | str,
    seconds: float = 0.0,
    symbol: str = "BTCUSDT",
    exchange: str = "binance",
    raw: str = "{}",
) -> Trade:
    """A trade `seconds` after noon."""
    at = NOON + seconds
    return Trade(
        exchange, symbol, "buy", Decimal("64103.90"), Decimal("0.001683"), at, str(trade_id), at, raw
    )


def ids(trades: list[Trade]) -> list[str]:
    return [found.trade_id for found in trades]


@pytest.fixture
def store(clock: FakeClock) -> TradeStore:
    return TradeStore(runtime(clock))


def test_trades_come_newest_first_by_exchange_time(store: TradeStore) -> None:
    for number, seconds in ((1, 0.0), (3, 2.0), (2, 1.0)):
        assert store.put(trade(number, seconds))
    assert ids(store.recent()) == ["3", "2", "1"]


def test_trades_of_one_moment_come_in_the_order_of_their_numbers(store: TradeStore) -> None:
    for number in (9, 11, 10):
        store.put(trade(number))
    assert ids(store.recent()) == ["11", "10", "9"]


def test_recent_can_be_asked_for_one_symbol_one_exchange_and_a_few(store: TradeStore) -> None:
    store.put(trade(1, 1))
    store.put(trade(2, 2, exchange="bybit"))
    store.put(trade(3, 3, symbol="ETHUSDT"))
    store.put(trade(4, 4))
    assert ids(store.recent("BTCUSDT")) == ["4", "2", "1"]
    assert ids(store.recent(exchange="binance")) == ["4", "3", "1"]
    assert ids(store.recent("BTCUSDT", "binance", 1)) == ["4"]
    assert ids(store.recent(limit=2)) == ["4", "3"]
    assert store.recent("NOPE") == []


def test_the_kept_trades_of_each_symbol_are_counted(store: TradeStore, clock: FakeClock) -> None:
    for number, symbol in enumerate(("ETHUSDT", "BTCUSDT", "ETHUSDT")):
        store.put(trade(number, symbol=symbol))
    assert store.counts() == {"BTCUSDT": 1, "ETHUSDT": 2}
    clock.advance(3601)
    assert store.counts() == {}


def test_a_duplicate_is_refused_and_told(clock: FakeClock) -> None:
    meters = RecordingMeters()
    store = TradeStore(runtime(clock, meters))
    assert store.put(trade(1))
    assert not store.put(trade(1))
    assert meters.told(TRADES_STORED) == [("binance", "BTCUSDT")]
    assert meters.told(TRADES_DISCARDED) == [("binance", "duplicate")]
    assert ids(store.recent()) == ["1"]


def test_the_same_id_of_another_exchange_or_symbol_is_another_trade(store: TradeStore) -> None:
    assert store.put(trade(1))
    assert store.put(trade(1, exchange="bybit"))
    assert store.put(trade(1, symbol="ETHUSDT"))


def test_a_duplicate_is_refused_after_disorder(store: TradeStore) -> None:
    for number in (5, 3, 4, 1, 2):
        assert store.put(trade(number, number))
    for number in (1, 2, 3, 4, 5):
        assert not store.put(trade(number, number))


def test_a_symbol_keeps_its_newest_thousand(store: TradeStore) -> None:
    for number in range(1500):
        store.put(trade(number, number / 1000))
    store.put(trade("other", symbol="ETHUSDT"))
    assert ids(store.recent("BTCUSDT", limit=2000)) == [str(number) for number in range(1499, 499, -1)]
    assert ids(store.recent("ETHUSDT")) == ["other"]


def test_a_trade_that_had_to_leave_is_refused_when_it_is_told_again(store: TradeStore) -> None:
    for number in range(1001):
        store.put(trade(number))  # all of one moment
    assert not store.put(trade(0))
    assert store.statistics().current_trades_stored == 1000


def test_ten_thousand_are_kept_in_all_and_the_oldest_leaves_first(store: TradeStore) -> None:
    for number in range(10_500):
        store.put(trade(number, number / 1000, symbol=f"S{number % 20}USDT"))
    statistics = store.statistics()
    assert statistics.current_trades_stored == 10_000
    kept = {int(found) for found in ids(store.recent(limit=20_000))}
    assert kept == set(range(500, 10_500))
    assert not store.put(trade(3, 0.003, symbol="S3USDT"))


def test_an_emptied_symbol_is_tracked_no_more_and_its_trades_are_still_known(clock: FakeClock) -> None:
    store = TradeStore(runtime(clock), in_all=2)
    for number, symbol in enumerate(("AUSDT", "BUSDT", "BUSDT")):
        store.put(trade(number, number, symbol=symbol))
    assert store.statistics().symbols_tracked == ["BUSDT"]
    assert not store.put(trade(0, 0, symbol="AUSDT"))
    assert store.statistics().symbols_tracked == ["BUSDT"]


def test_after_an_hour_a_trade_is_gone(store: TradeStore, clock: FakeClock) -> None:
    store.put(trade(1, 0))
    clock.advance(10)
    store.put(trade(2, 10))
    clock.advance(3595)
    assert ids(store.recent()) == ["2"]
    assert store.last("BTCUSDT", "binance") is not None
    clock.advance(10)
    assert store.last("BTCUSDT", "binance") is None
    assert store.statistics().current_trades_stored == 0
    assert store.statistics().memory_usage == 0


def test_a_trade_older_than_an_hour_is_not_taken(store: TradeStore) -> None:
    store.put(trade(2))
    assert not store.put(trade(1, -3601, symbol="ETHUSDT"))
    assert store.statistics().discarded_by_reason == {"too_old": 1}
    assert store.statistics().symbols_tracked == ["BTCUSDT"]


def test_a_time_that_turns_out_impossible_is_not_shown(store: TradeStore, clock: FakeClock) -> None:
    store.put(trade(1, 1e9))
    for number in (2, 3):
        clock.advance(1)
        store.put(trade(number, number))
    store.put(trade(4, 4))
    assert "1" not in ids(store.recent())
    assert "4" in ids(store.recent())


def test_a_late_exchange_keeps_its_trades_beside_one_that_fills_the_storage(clock: FakeClock) -> None:
    """20,000 trades a second fill it in half of one: all that was older was refused, 45,040 of 200,000."""
    store = TradeStore(runtime(clock), per_symbol=100, in_all=200)
    refused = 0
    for number in range(3000):
        clock.advance(0.001)
        refused += not store.put(trade(number, number / 1000, exchange="binance"))
        refused += not store.put(trade(number, number / 1000 - 2.0, exchange="bybit"))
    kept = store.recent(limit=500)
    assert refused == 0
    assert {found.exchange for found in kept} == {"binance", "bybit"}
    assert len(kept) == 100
    assert store.last("BTCUSDT", "bybit") == trade(2999, 0.999, exchange="bybit")


@pytest.mark.parametrize(
    ("told_again", "reason"),
    [
        (trade(1999, 1.999), "duplicate"),
        (trade(3, 0.003), "left"),
        (trade("old", -4000.0), "too_old"),
        (trade("huge", 3.0, raw="x" * MAX_BYTES), "too_large"),
    ],
)
def test_refused_trades_are_counted_by_reason(clock: FakeClock, told_again: Trade, reason: str) -> None:
    meters = RecordingMeters()
    store = TradeStore(runtime(clock, meters))
    for number in range(2000):
        store.put(trade(number, number / 1000))
    assert not store.put(told_again)
    assert store.statistics().discarded_by_reason == {reason: 1}
    assert meters.told(TRADES_DISCARDED) == [("binance", reason)]


def test_an_exchanges_time_is_its_own_and_only_before_its_first_trade_this_machines(
    store: TradeStore, clock: FakeClock
) -> None:
    at = clock.monotonic()
    clock.advance(5)
    assert store.exchange_time("binance", at) == clock.wall() - 5
    store.put(trade(1, -3600))
    assert store.exchange_time("binance", at) == NOON - 3600 - 5


def test_a_step_of_the_wall_clock_empties_nothing(store: TradeStore, clock: FakeClock) -> None:
    store.put(trade(1))
    clock.set_wall(NOON + 7200)
    assert ids(store.recent()) == ["1"]
    assert store.put(trade(2, 1))


def test_the_bytes_are_bounded_whatever_a_trade_weighs(clock: FakeClock) -> None:
    store = TradeStore(runtime(clock), max_bytes=100_000)
    for number in range(200):
        store.put(trade(number, number, raw="x" * 4000))
    statistics = store.statistics()
    assert statistics.memory_usage <= 100_000
    assert statistics.current_trades_stored == 20
    assert not store.put(trade("huge", 500, raw="x" * 200_000))
    assert store.statistics().current_trades_stored == 20


def test_a_trade_that_left_for_a_heavier_one_does_not_come_back(clock: FakeClock) -> None:
    store = TradeStore(runtime(clock), max_bytes=100_000)
    store.put(trade("light", 0))
    store.put(trade("heavy", 1, raw="x" * 60_000))
    store.put(trade("heavier", 2, raw="x" * 70_000))
    assert ids(store.recent()) == ["heavier"]
    assert not store.put(trade("light", 0))
    assert ids(store.recent()) == ["heavier"]


def test_the_newest_trade_of_an_exchange_is_kept_as_its_witness(store: TradeStore) -> None:
    store.put(trade(2, 2, exchange="bybit"))
    store.put(trade(1, 1, exchange="bybit"))
    for number in range(1200):
        store.put(trade(number, 10 + number / 1000))
    witness = store.last("BTCUSDT", "bybit")
    assert witness is not None
    assert witness.trade_id == "2"
    assert store.last("BTCUSDT", "kraken") is None
    assert store.last("NOPE", "bybit") is None


def test_the_statistics_have_the_contracts_names_and_add_up(store: TradeStore, clock: FakeClock) -> None:
    for number in range(20):
        store.put(trade(number))
    store.put(trade(0))
    store.put(trade(0, symbol="ETHUSDT"))
    clock.advance(2)
    statistics = msgspec.structs.asdict(store.statistics())
    memory = statistics.pop("memory_usage")
    assert 21 * 700 < memory < MAX_BYTES
    assert statistics == {
        "total_trades_received": 22,
        "total_trades_stored": 21,
        "trades_discarded": 1,
        "symbols_count": 2,
        "symbols_tracked": ["BTCUSDT", "ETHUSDT"],
        "current_trades_stored": 21,
        "trades_per_second": 11.0,
        "uptime_seconds": 2.0,
        "discarded_by_reason": {"duplicate": 1},
    }


def test_the_rate_forgets_what_is_ten_seconds_old(store: TradeStore, clock: FakeClock) -> None:
    for number in range(100):
        clock.advance(0.1)
        store.put(trade(number))
    assert store.statistics().trades_per_second == pytest.approx(10.0, rel=0.15)
    clock.advance(11)
    assert store.statistics().trades_per_second == 0.0


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.sampled_from("AB")), max_size=120))
def test_no_trade_is_stored_twice_and_every_bound_holds(told: list[tuple[int, int, str]]) -> None:
    store = TradeStore(runtime(), per_symbol=7, in_all=10)
    accepted = []
    for number, exchange, symbol in told:
        # The time belongs to the trade: told again, it is the same.
        if store.put(trade(number, number // 3, symbol=symbol, exchange=str(exchange))):
            accepted.append((number, exchange, symbol))
        assert store.statistics().current_trades_stored <= 10
        assert len(store.recent(symbol, limit=100)) <= 7
    assert len(accepted) == len(set(accepted))
    statistics = store.statistics()
    assert statistics.total_trades_received == statistics.total_trades_stored + statistics.trades_discarded
    assert statistics.current_trades_stored == len(store.recent(limit=100))


def test_threads_that_write_and_read_at_once_lose_nothing(store: TradeStore) -> None:
    def write(exchange: int) -> int:
        stored = sum(store.put(trade(number, number / 10, exchange=str(exchange))) for number in range(200))
        store.recent(exchange=str(exchange))
        store.statistics()
        return stored

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(4))) == [200] * 4
    assert store.statistics().current_trades_stored == 800


def test_the_estimate_is_not_below_what_the_memory_really_holds() -> None:
    raw = '{"e":"trade","s":"BTCUSDT"}'
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        store = TradeStore(runtime())
        for number in range(2000):
            store.put(trade(10**10 + number, number / 1000, f"S{number % 5}", raw=f"{raw}{number}"))
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held <= store.statistics().memory_usage <= 2 * held


def test_trades_are_read_on_in_the_order_of_their_arrival(store: TradeStore) -> None:
    for number, seconds in ((1, 0.0), (3, 2.0), (2, 1.0)):
        store.put(trade(number, seconds))
        store.put(trade(number, seconds, exchange="bybit"))
    found = store.arrival_of("BTCUSDT", "binance", "1")
    assert found is not None

    arrived, is_whole = store.arrived_after("BTCUSDT", "binance", found[0])
    assert (ids([each for _, each in arrived]), is_whole) == (["3", "2"], True)
    assert store.newest_arrival("BTCUSDT", "binance") == arrived[-1]
    assert store.arrived_after("BTCUSDT", "binance", arrived[-1][0]) == ([], True)
    assert store.arrival_of("BTCUSDT", "binance", "9") is None


def test_a_reader_learns_that_trades_were_dropped(clock: FakeClock) -> None:
    store = TradeStore(runtime(clock), per_symbol=2)
    for number in range(1, 5):
        store.put(trade(number))

    for after, is_whole in ((1, False), (2, True)):
        arrived, whole = store.arrived_after("BTCUSDT", "binance", after)
        assert (ids([each for _, each in arrived]), whole) == (["3", "4"], is_whole)


def test_a_listener_hears_of_each_stored_trade(store: TradeStore) -> None:
    heard = list[str]()
    store.listener = heard.append
    assert [store.put(trade(1)), store.put(trade(1)), store.put(trade(2, symbol="ETHUSDT"))] == [
        True,
        False,
        True,
    ]
    assert heard == ["BTCUSDT", "ETHUSDT"]
