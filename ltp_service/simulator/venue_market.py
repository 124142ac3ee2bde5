"""Symbols of one spot venue (Bybit, Binance), their trades and books: what really happened."""

import random
import re
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from ltp_service.simulator.market import Side, is_plausible
from ltp_service.simulator.order_book import OrderBook

HISTORY = 1000
UNIT_DECIMALS = 6

_LISTED = re.compile(r"([A-Z0-9]{2,12}?)(USDT|USDC|FDUSD|USD|EUR|TRY|BRL|BTC|ETH|BNB|DAI)")
_NEVER_LISTED = "NOPE"
_STARTS = {"BTCUSDT": (1, 1156302), "ETHUSDT": (2, 421533), "SOLUSDT": (2, 18742)}
_PULL = 0.02  # back to the start price, so that venues do not drift apart


@dataclass(frozen=True, slots=True)
class Print:
    """One trade; those of one match event share the sequence. `block`: arranged off the book."""

    symbol: str
    price: str
    quantity: str
    side: Side
    millis: int
    trade_id: int
    sequence: int
    block: bool = False


class Identifiers:
    """A set of whole numbers that mostly follow each other."""

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []

    def add(self, first: int, last: int) -> None:
        """All from first to last; numbers that are there already are no news."""
        if self._ranges and first == self._ranges[-1][1] + 1:
            self._ranges[-1][1] = last
            return
        for number in range(first, last + 1):
            position = bisect_right(self._ranges, number, key=lambda each: each[0])
            if not position or self._ranges[position - 1][1] < number:
                self._ranges.insert(position, [number, number])

    def ranges(self) -> list[list[int]]:
        """[first, last] of each run, in order."""
        return [list(each) for each in self._ranges]

    def count(self) -> int:
        return sum(last - first + 1 for first, last in self._ranges)


class Listing:
    """One symbol. Not thread safe."""

    def __init__(self, parts: re.Match[str], first_id: int, choice: random.Random) -> None:
        """`parts`: the symbol as base and quote."""
        self.symbol, self.base, self.quote = parts[0], parts[1], parts[2]
        symbol = parts[0]
        self.decimals, self._start = _STARTS.get(symbol, (4, choice.randint(10_000, 10_000_000)))
        self.next_id = first_id + choice.randint(10**9, 2 * 10**9)
        self.sequence = choice.randint(10**11, 2 * 10**11)
        self.last_millis = 0
        self.update_id: int | None = None
        self.ids = Identifiers()
        self.block_ids = Identifiers()
        self.prints: deque[Print] = deque(maxlen=HISTORY)
        self._ticks = self._start
        self._choice = choice
        self._book_seed = choice.getrandbits(32)

    @cached_property
    def book(self) -> OrderBook:
        return OrderBook(self._start, random.Random(self._book_seed))

    def price(self, ticks: int) -> str:
        whole, rest = divmod(ticks, 10**self.decimals)
        return f"{whole}.{rest:0{self.decimals}d}"

    def event(self, now: int, count: int) -> list[Print]:
        """One match event of `count` trades at one made-up price, on the tape. `now` in ms."""
        side: Side = "buy" if self._choice.random() < 0.5 else "sell"
        text = self._walk(side)
        first = self.next_id
        self.next_id += count
        self.sequence += self._choice.randint(1, 30)
        self.last_millis = millis = max(now, self.last_millis)
        choose = self._choice.random
        prints = [
            Print(self.symbol, text, f"{choose() + 0.0001:.5f}", side, millis, first + number, self.sequence)
            for number in range(count)
        ]
        self._record(prints)
        return prints

    def record(self, trade: Print) -> None:
        """A trade with its own id or time onto the tape."""
        self.next_id = max(self.next_id, trade.trade_id + 1)
        self.sequence = max(self.sequence, trade.sequence)
        if trade.block:
            self.block_ids.add(trade.trade_id, trade.trade_id)
            self.prints.append(trade)
        else:
            self.last_millis = max(self.last_millis, trade.millis)
            self._record([trade])

    def block(self, now: int) -> Print:
        """A block trade at ten times the price, on the tape."""
        trade = Print(
            self.symbol,
            self.price(self._ticks * 10),
            "25",
            "buy",
            now,
            self.next_id,
            self.sequence,
            block=True,
        )
        self.record(trade)
        return trade

    def _record(self, prints: list[Print]) -> None:
        self.ids.add(prints[0].trade_id, prints[-1].trade_id)
        self.prints.extend(prints)
        if is_plausible(prints[-1].price):
            self._ticks = max(1, int(Decimal(prints[-1].price).scaleb(self.decimals)))

    def _walk(self, side: Side) -> str:
        move = self._choice.uniform(0, 0.0004) * (1 if side == "buy" else -1)
        pull = (self._start - self._ticks) * _PULL
        return self.price(max(1, round(self._ticks * (1 + move) + pull)))


class VenueMarket:
    """All listings of one venue. A well-formed symbol is listed when it is first asked for; one that begins with
    NOPE never is."""

    def __init__(
        self, venue: str, seed: int, first_id: int = 0, clock: Callable[[], float] = time.time
    ) -> None:
        """Trade ids begin above `first_id`."""
        self.venue = venue
        self.listings: dict[str, Listing] = {}
        self._seed = seed
        self._first_id = first_id
        self._clock = clock
        for symbol in _STARTS:
            self.find(symbol)

    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self._clock() * 1000)

    def find(self, symbol: str) -> Listing | None:
        if symbol in self.listings:
            return self.listings[symbol]
        parts = _LISTED.fullmatch(symbol)
        if parts is None or symbol.startswith(_NEVER_LISTED):
            return None
        choice = random.Random(f"{self._seed} {self.venue} {symbol}")
        self.listings[symbol] = Listing(parts, self._first_id, choice)
        return self.listings[symbol]
