"""Trades of the last hour, bounded per symbol, in all and in bytes.

They are read in the order of exchange time. The one that arrived first is dropped first, so that an exchange whose
trades arrive late does not lose them to another one. A trade that was dropped is refused when it comes again.
"""

import heapq
from bisect import bisect_left
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import chain, count, islice
from sys import getsizeof
from threading import Lock
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ltp_service.domain.exchange_time import TIME_TOLERANCE_SECONDS, ExchangeTime
from ltp_service.domain.trade import Trade
from ltp_service.meters import TRADES_DISCARDED, TRADES_STORED, Meters
from ltp_service.prices.freshness import FRESH_SECONDS
from ltp_service.runtime.runtime import Runtime

TRADES_PER_SYMBOL, TRADES_IN_ALL = 1_000, 10_000
"""Most trades kept of one symbol, and of all."""

MAX_AGE_SECONDS = 3600.0
"""Seconds of exchange time for which a trade is kept."""

MAX_BYTES = 16 * 1024 * 1024
"""Most bytes of memory, estimated; 10,000 trades with texts of 200 characters take 11 MB."""

RATE_WINDOW_SECONDS = 10
"""Seconds over which `trades_per_second` is an average."""

_OVERHEAD_BYTES = 850
"""Bytes of one stored trade without its raw text: objects, key and places in lists. Measured: 720."""

UNKNOWN_AGE_SECONDS = FRESH_SECONDS + 1.0
"""The least age of a trade that another process told some time ago: too old to speak of now."""

EXPIRE_EVERY_SECONDS = 1.0
"""Seconds between removals of trades that are too old; readers never see those."""

MAX_FLOORS = 2_000
"""Pairs of exchange and symbol whose newest dropped trade is remembered."""

_Key = tuple[float, int, str, str]
"""Exchange time; the trade id, numbers in their order; exchange. Unique within a symbol."""

Refusal = Literal["duplicate", "too_old", "left", "too_large"]
"""Known already; older than an hour or from the future; not newer than a dropped one; larger than MAX_BYTES."""

_Count = Annotated[int, Meta(ge=0)]


class TradeStatistics(msgspec.Struct, frozen=True):
    """Counters since the start, and the present state. Received = stored + discarded."""

    total_trades_received: _Count
    total_trades_stored: _Count
    trades_discarded: _Count
    """Refused; `discarded_by_reason` says why."""
    symbols_count: _Count
    symbols_tracked: list[str]
    current_trades_stored: _Count
    trades_per_second: Annotated[float, Meta(ge=0)]
    """Received, over the last 10 s."""
    uptime_seconds: Annotated[float, Meta(ge=0)]
    memory_usage: _Count
    """Bytes, estimated."""
    discarded_by_reason: dict[str, _Count]
    """`duplicate`, `too_old`, `left` and `too_large`."""


class TradeStore:
    """The trades of all exchanges. Safe from any thread or greenlet; the lock is held for microseconds."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        per_symbol: int = TRADES_PER_SYMBOL,
        in_all: int = TRADES_IN_ALL,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._monotonic, self._wall = runtime.clock.monotonic, runtime.clock.wall
        self._meters = runtime.meters
        self._per_symbol, self._in_all, self._max_bytes = per_symbol, in_all, max_bytes
        self._lock = Lock()
        self._tapes: dict[str, _Tape] = {}
        self._arrivals: OrderedDict[int, _Tape] = OrderedDict()
        """The tape of each trade, in the order of arrival."""
        self._numbers = count(1)
        self._floors: dict[tuple[str, str], _Key] = {}
        """The newest dropped trade by exchange and symbol."""
        self._left: dict[tuple[str, str], int] = {}
        """The number of the trade that was dropped last, likewise."""
        self.listener: Callable[[str], None] | None = None
        """Called with the symbol of each stored trade; must be quick. None while no stream tells trades."""
        self._bytes = self._received = self._stored = 0
        self._discarded: Counter[str] = Counter()
        self._started = self._monotonic()
        self._times: defaultdict[str, ExchangeTime] = defaultdict(lambda: ExchangeTime(trusting=True))
        """Each exchange's own clock, which says how old its trades are."""
        self._expire_at = 0.0
        self._rate = _Rate(self._started)

    def put(self, trade: Trade) -> bool:
        """Takes a trade; False when it is refused."""
        now, key = self._monotonic(), _key(trade)
        with self._lock:
            self._received += 1
            self._rate.count(now)
            age = -self._times[trade.exchange].learn(trade.timestamp, now)
            refusal = self._refusal(trade, key, age)
            if refusal is None:
                self._stored += 1
                self._insert(trade, key, now)
                if now >= self._expire_at:
                    self._expire(now)
            else:
                self._discarded[refusal] += 1
        if refusal is None:
            self._meters.later(_count_stored, (trade.exchange, trade.symbol))
            if self.listener is not None:
                self.listener(trade.symbol)
        else:
            self._meters.count(TRADES_DISCARDED, trade.exchange, refusal)
        return refusal is None

    def recent(self, symbol: str | None = None, exchange: str | None = None, limit: int = 50) -> list[Trade]:
        """At most `limit` trades, newest exchange time first."""
        with self._lock:
            tapes = self._tapes.values() if symbol is None else [self._tapes.get(symbol, _Tape(symbol))]
            copies = [tape.trades[-limit:] if exchange is None else tape.trades[:] for tape in tapes]
        now = self._monotonic()
        newest = chain.from_iterable(_newest(trades, exchange, limit) for trades in copies)
        return heapq.nlargest(limit, (trade for trade in newest if self._is_recent(trade, now)), key=_key)

    def last(self, symbol: str, exchange: str) -> Trade | None:
        """The newest trade of one symbol on one exchange; None when there is none within the hour."""
        with self._lock:
            tape = self._tapes.get(symbol)
            trade = tape.last.get(exchange) if tape else None
        return trade if trade and self._is_recent(trade, self._monotonic()) else None

    def age(self, trade: Trade) -> float:
        """Seconds since the newest trade of a symbol on an exchange arrived here. Since it was made where that is clearly
        longer: by the exchange's clock, which is known to a minute. This machine's wall clock says nothing about it.
        """
        now = self._monotonic()
        with self._lock:
            tape = self._tapes.get(trade.symbol)
            arrived_at = tape.last_arrived_at.get(trade.exchange, 0.0) if tape else 0.0
            at_the_exchange = self._times[trade.exchange].at(now)
        since_made = 0.0 if at_the_exchange is None else at_the_exchange - trade.timestamp
        return max(now - arrived_at, since_made if since_made > TIME_TOLERANCE_SECONDS else 0.0)

    def exchange_time(self, exchange: str, at: float) -> float:
        """The exchange's unix time at a monotonic moment; this machine's until a trade told it."""
        with self._lock:
            known = self._times[exchange].at(at)
        return known if known is not None else self._wall() - (self._monotonic() - at)

    def came_from_elsewhere(self) -> None:
        """The newest trades were told by another process, which may have had them for long: they say nothing about now.

        How old they are is only estimated, with the wall clocks of both.
        """
        now, wall = self._monotonic(), self._wall()
        with self._lock:
            for tape in self._tapes.values():
                for exchange, trade in tape.last.items():
                    age = max(UNKNOWN_AGE_SECONDS, min(wall - trade.received_at, MAX_AGE_SECONDS))
                    tape.last_arrived_at[exchange] = min(now - age, tape.last_arrived_at[exchange])

    def has(self, symbol: str) -> bool:
        """Whether any trade of the symbol is kept."""
        return symbol in self._tapes

    def arrived_after(self, symbol: str, exchange: str, number: int) -> tuple[list[tuple[int, Trade]], bool]:
        """The trades that arrived after the one with this number, each with its own, and whether they are all: False
        when some of them were dropped already. 0 comes before the first."""
        found: list[tuple[int, Trade]] = []
        with self._lock:
            tape = self._tapes.get(symbol)
            for arrival, _, trade in reversed(tape.arrived if tape else ()):
                if arrival <= number:
                    break
                if trade.exchange == exchange:
                    found.append((arrival, trade))
            return found[::-1], self._left.get((exchange, symbol), 0) <= number

    def newest_arrival(self, symbol: str, exchange: str) -> tuple[int, Trade] | None:
        """The trade that arrived last, and its number."""
        with self._lock:
            tape = self._tapes.get(symbol)
            arrived = reversed(tape.arrived if tape else ())
            return next(((number, each) for number, _, each in arrived if each.exchange == exchange), None)

    def arrival_of(self, symbol: str, exchange: str, trade_id: str) -> tuple[int, Trade] | None:
        """A trade that is kept, and its number."""
        with self._lock:
            tape = self._tapes.get(symbol)
            if tape is None or (exchange, trade_id) not in tape.ids:
                return None
            arrived = ((number, trade) for number, _, trade in tape.arrived if trade.exchange == exchange)
            return next((each for each in arrived if each[1].trade_id == trade_id), None)

    def counts(self) -> dict[str, int]:
        """The number of stored trades by symbol."""
        with self._lock:
            self._expire(self._monotonic())
            return {symbol: len(tape.keys) for symbol, tape in sorted(self._tapes.items())}

    def statistics(self) -> TradeStatistics:
        """The counters and the present state."""
        now = self._monotonic()
        with self._lock:
            self._expire(now)
            return TradeStatistics(
                total_trades_received=self._received,
                total_trades_stored=self._stored,
                trades_discarded=self._received - self._stored,
                symbols_count=len(self._tapes),
                symbols_tracked=sorted(self._tapes),
                current_trades_stored=len(self._arrivals),
                trades_per_second=self._rate.per_second(now),
                uptime_seconds=now - self._started,
                memory_usage=self._bytes,
                discarded_by_reason=dict(sorted(self._discarded.items())),
            )

    def _is_recent(self, trade: Trade, now: float) -> bool:
        at_the_exchange = self._times[trade.exchange].at(now)
        return (
            at_the_exchange is not None
            and -TIME_TOLERANCE_SECONDS <= at_the_exchange - trade.timestamp <= MAX_AGE_SECONDS
        )

    # Under the lock.

    def _refusal(self, trade: Trade, key: _Key, age: float) -> Refusal | None:
        tape = self._tapes.get(trade.symbol)
        if tape is not None and (trade.exchange, trade.trade_id) in tape.ids:
            return "duplicate"
        if not -TIME_TOLERANCE_SECONDS <= age <= MAX_AGE_SECONDS:
            return "too_old"
        floor = self._floors.get((trade.exchange, trade.symbol))
        if floor is not None and key <= floor:
            return "left"
        return "too_large" if _size(trade) > self._max_bytes else None

    def _insert(self, trade: Trade, key: _Key, now: float) -> None:
        tape = self._tapes.get(trade.symbol)
        if tape is None:
            tape = self._tapes[trade.symbol] = _Tape(trade.symbol)
        number = next(self._numbers)
        tape.insert(number, key, trade, now)
        self._arrivals[number] = tape
        self._bytes += _size(trade)
        if len(tape.keys) > self._per_symbol:
            self._drop_first(tape, now)
        while len(self._arrivals) > self._in_all or self._bytes > self._max_bytes:
            self._drop_first(next(iter(self._arrivals.values())), now)

    def _expire(self, now: float) -> None:
        self._expire_at = now + EXPIRE_EVERY_SECONDS
        while self._arrivals:
            tape = next(iter(self._arrivals.values()))
            if self._is_recent(tape.first(), now):
                return
            self._drop_first(tape, now)

    def _drop_first(self, tape: "_Tape", now: float) -> None:
        """Drops the trade of this tape that arrived first."""
        number, key, trade = tape.pop()
        del self._arrivals[number]
        self._bytes -= _size(trade)
        place = (trade.exchange, trade.symbol)
        self._left[place] = number
        if len(self._left) > MAX_FLOORS:
            del self._left[next(iter(self._left))]
        floor = self._floors.get(place)
        # A time in the future must not refuse all later trades.
        latest = (self._times[trade.exchange].at(now) or 0.0) + TIME_TOLERANCE_SECONDS
        if (floor is None or key > floor) and key[0] <= latest:
            self._floors[place] = key
            if len(self._floors) > MAX_FLOORS:
                del self._floors[next(iter(self._floors))]
        if not tape.keys:
            del self._tapes[tape.symbol]


class _Tape:
    """One symbol's trades in ascending order."""

    __slots__ = ("arrived", "ids", "keys", "last", "last_arrived_at", "symbol", "trades")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.keys: list[_Key] = []
        self.trades: list[Trade] = []
        self.arrived: deque[tuple[int, _Key, Trade]] = deque()
        self.ids: set[tuple[str, str]] = set()
        self.last: dict[str, Trade] = {}
        """The newest trade of each exchange; other exchanges cannot displace it."""
        self.last_arrived_at: dict[str, float] = {}
        """When it arrived, monotonic seconds."""

    def insert(self, number: int, key: _Key, trade: Trade, now: float) -> None:
        place = _place(self.keys, key)
        self.keys.insert(place, key)
        self.trades.insert(place, trade)
        self.arrived.append((number, key, trade))
        self.ids.add((trade.exchange, trade.trade_id))
        last = self.last.get(trade.exchange)
        if last is None or key > _key(last):
            self.last[trade.exchange], self.last_arrived_at[trade.exchange] = trade, now

    def first(self) -> Trade:
        """The trade that arrived first."""
        return self.arrived[0][2]

    def pop(self) -> tuple[int, _Key, Trade]:
        number, key, trade = self.arrived.popleft()
        place = _place(self.keys, key)
        del self.keys[place], self.trades[place]
        self.ids.remove((trade.exchange, trade.trade_id))
        return number, key, trade


class _Rate:
    """Events per second over a sliding window, counted by the second."""

    def __init__(self, now: float) -> None:
        self._started = now
        self._second = int(now)
        self._counts = [0] * RATE_WINDOW_SECONDS

    def count(self, now: float) -> None:
        second = int(now)
        if second != self._second:
            self._turn(second)
        self._counts[second % RATE_WINDOW_SECONDS] += 1

    def per_second(self, now: float) -> float:
        self._turn(int(now))
        counted_since = max(self._started, int(now) - RATE_WINDOW_SECONDS + 1)
        return sum(self._counts) / max(1.0, now - counted_since)

    def _turn(self, second: int) -> None:
        for passed in range(min(second - self._second, RATE_WINDOW_SECONDS)):
            self._counts[(second - passed) % RATE_WINDOW_SECONDS] = 0
        self._second = second


def _count_stored(meters: Meters, stored: list[tuple[str, str]]) -> None:
    for (exchange, symbol), amount in Counter(stored).items():
        meters.count(TRADES_STORED, exchange, symbol, amount=amount)


def _key(trade: Trade) -> _Key:
    return (trade.timestamp, len(trade.trade_id), trade.trade_id, trade.exchange)


def _newest(trades: list[Trade], exchange: str | None, limit: int) -> Iterable[Trade]:
    return islice((trade for trade in reversed(trades) if exchange in (None, trade.exchange)), limit)


def _place(keys: list[_Key], key: _Key) -> int:
    """The index where the key is or belongs; nearly always at one of the ends."""
    if not keys or key > keys[-1]:
        return len(keys)
    return 0 if key <= keys[0] else bisect_left(keys, key)


def _size(trade: Trade) -> int:
    return _OVERHEAD_BYTES + getsizeof(trade.raw)
