"""Trades of the last hour, bounded in every direction.

The order is exchange time everywhere, and what was traded first leaves first. So a trade that had to leave
is older than all that stayed, and leaves at once when an exchange tells it again.
"""

import heapq
from bisect import bisect_left
from collections.abc import Iterable
from itertools import chain, islice
from sys import getsizeof
from threading import Lock

import msgspec

from ltp_service.clock import Clock
from ltp_service.observer import Observer
from ltp_service.trade import Trade

PER_SYMBOL = 1_000
IN_ALL = 10_000

MAX_AGE = 3600.0
"""Seconds of exchange time."""

MAX_BYTES = 16 * 1024 * 1024
"""Bound of the estimated memory; 10,000 trades with texts of 200 characters take some 10 MB."""

RATE_WINDOW = 10
"""Seconds over which `trades_per_second` is an average."""

_OVERHEAD = 700
"""Bytes of one stored trade beside its raw text: its objects, its key and its places. Measured: 580."""

_Key = tuple[float, int, str, str, str]
"""Exchange time; the trade id, numbers in their order; exchange; symbol. Unique."""

_BEGINNING: _Key = (0.0, 0, "", "", "")


class TradeStatistics(msgspec.Struct, frozen=True):
    """Counters since the start and the present state; received = stored + discarded."""

    total_trades_received: int
    total_trades_stored: int
    trades_discarded: int
    """Refused: told before, or older than what had to leave."""
    symbols_count: int
    symbols_tracked: list[str]
    current_trades_stored: int
    trades_per_second: float
    """Received, over the last 10 s."""
    uptime_seconds: float
    memory_usage: int
    """Bytes, estimated."""


class TradeStore:
    """The trades of all exchanges. Safe from any thread or greenlet; its lock is held for microseconds."""

    def __init__(
        self,
        clock: Clock,
        observer: Observer,
        *,
        per_symbol: int = PER_SYMBOL,
        in_all: int = IN_ALL,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._monotonic = clock.monotonic
        self._observer = observer
        self._per_symbol, self._in_all, self._max_bytes = per_symbol, in_all, max_bytes
        self._lock = Lock()
        self._tapes: dict[str, _Tape] = {}
        self._order: list[_Key] = []
        """The keys of all tapes together, ascending."""
        self._floor = _BEGINNING
        """The newest that had to leave for all: what is older may not come back into the room it left."""
        self._bytes = self._received = self._stored = 0
        self._started = self._monotonic()
        # Exchange time is compared with this: a later step of the wall clock must not empty the store.
        self._wall_ahead = clock.wall() - self._started
        self._rate = _Rate(self._started)

    def put(self, trade: Trade) -> bool:
        """Takes a trade; False when it was told before or is too old to be kept."""
        now = self._monotonic()
        with self._lock:
            self._received += 1
            self._rate.count(now)
            stored = self._insert(trade) and self._keep_bounds(now, trade)
            self._stored += stored
        if stored:
            self._observer.trade_stored(trade.exchange, trade.symbol)
        else:
            self._observer.trade_discarded(trade.exchange)
        return stored

    def recent(self, symbol: str | None = None, exchange: str | None = None, limit: int = 50) -> list[Trade]:
        """At most `limit` trades, the newest of exchange time first."""
        with self._lock:
            tapes = self._tapes.values() if symbol is None else [self._tapes.get(symbol, _Tape())]
            copies = [tape.trades[-limit:] if exchange is None else tape.trades[:] for tape in tapes]
        oldest = self._oldest(self._monotonic())
        newest = chain.from_iterable(_newest(trades, exchange, limit) for trades in copies)
        return heapq.nlargest(limit, (trade for trade in newest if trade.timestamp >= oldest), key=_key)

    def last(self, symbol: str, exchange: str) -> Trade | None:
        """The newest trade of one symbol on one exchange within the hour."""
        with self._lock:
            tape = self._tapes.get(symbol)
            trade = tape.last.get(exchange) if tape else None
        return trade if trade and trade.timestamp >= self._oldest(self._monotonic()) else None

    def counts(self) -> dict[str, int]:
        """How many trades of each symbol are stored."""
        with self._lock:
            self._expire(self._monotonic())
            return {symbol: len(tape.keys) for symbol, tape in sorted(self._tapes.items())}

    def statistics(self) -> TradeStatistics:
        """A still picture."""
        now = self._monotonic()
        with self._lock:
            self._expire(now)
            return TradeStatistics(
                self._received,
                self._stored,
                self._received - self._stored,
                len(self._tapes),
                sorted(self._tapes),
                len(self._order),
                self._rate.per_second(now),
                now - self._started,
                self._bytes,
            )

    def _oldest(self, now: float) -> float:
        return now + self._wall_ahead - MAX_AGE

    # Under the lock.

    def _insert(self, trade: Trade) -> bool:
        if _size(trade) > self._max_bytes:
            return False
        key = _key(trade)
        tape = self._tapes.get(trade.symbol)
        if tape is None:
            tape = self._tapes[trade.symbol] = _Tape()
        elif (trade.exchange, trade.trade_id) in tape.ids:
            return False
        tape.insert(key, trade)
        self._order.insert(_place(self._order, key), key)
        self._bytes += _size(trade)
        return True

    def _keep_bounds(self, now: float, newcomer: Trade) -> bool:
        """False when the newcomer itself had to leave again."""
        tape = self._tapes[newcomer.symbol]
        if len(tape.keys) > self._per_symbol:
            self._drop_first(tape)
        while len(self._order) > self._in_all or self._bytes > self._max_bytes:
            self._drop_oldest()
        self._expire(now)
        while self._order and self._order[0] <= self._floor:
            self._drop_oldest()
        return (newcomer.exchange, newcomer.trade_id) in tape.ids

    def _expire(self, now: float) -> None:
        oldest = self._oldest(now)
        while self._order and self._order[0][0] < oldest:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        key = self._order[0]
        self._floor = max(self._floor, key)
        tape = self._tapes[key[4]]
        self._drop_first(tape)
        if not tape.keys:
            del self._tapes[key[4]]

    def _drop_first(self, tape: "_Tape") -> None:
        key, trade = tape.pop()
        del self._order[_place(self._order, key)]
        self._bytes -= _size(trade)


class _Tape:
    """One symbol's trades in ascending order."""

    __slots__ = ("ids", "keys", "last", "trades")

    def __init__(self) -> None:
        self.keys: list[_Key] = []
        self.trades: list[Trade] = []
        self.ids: set[tuple[str, str]] = set()
        self.last: dict[str, Trade] = {}
        """The newest of each exchange, which the others cannot push out."""

    def insert(self, key: _Key, trade: Trade) -> None:
        place = _place(self.keys, key)
        self.keys.insert(place, key)
        self.trades.insert(place, trade)
        self.ids.add((trade.exchange, trade.trade_id))
        last = self.last.get(trade.exchange)
        if last is None or key > _key(last):
            self.last[trade.exchange] = trade

    def pop(self) -> tuple[_Key, Trade]:
        trade = self.trades.pop(0)
        self.ids.remove((trade.exchange, trade.trade_id))
        return self.keys.pop(0), trade


class _Rate:
    """Events per second over a sliding window, counted by the second."""

    def __init__(self, now: float) -> None:
        self._started = now
        self._second = int(now)
        self._counts = [0] * RATE_WINDOW

    def count(self, now: float) -> None:
        second = int(now)
        if second != self._second:
            self._turn(second)
        self._counts[second % RATE_WINDOW] += 1

    def per_second(self, now: float) -> float:
        self._turn(int(now))
        counted_since = max(self._started, int(now) - RATE_WINDOW + 1)
        return sum(self._counts) / max(1.0, now - counted_since)

    def _turn(self, second: int) -> None:
        for passed in range(min(second - self._second, RATE_WINDOW)):
            self._counts[(second - passed) % RATE_WINDOW] = 0
        self._second = second


def _key(trade: Trade) -> _Key:
    return (trade.timestamp, len(trade.trade_id), trade.trade_id, trade.exchange, trade.symbol)


def _newest(trades: list[Trade], exchange: str | None, limit: int) -> Iterable[Trade]:
    return islice((trade for trade in reversed(trades) if exchange in (None, trade.exchange)), limit)


def _place(keys: list[_Key], key: _Key) -> int:
    """Where the key is or belongs; nearly always at one of the ends."""
    if not keys or key > keys[-1]:
        return len(keys)
    return 0 if key <= keys[0] else bisect_left(keys, key)


def _size(trade: Trade) -> int:
    return _OVERHEAD + getsizeof(trade.raw)
