"""Kraken's order books: a window of the best levels, told whole on subscription and then by what changed in it.

Nothing numbers the updates. Each has a checksum of the best ten levels of either side, which is made of the digits on the
wire, so that every dialect has its own.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ltp_service.simulator.dialect import Topic
from ltp_service.simulator.market import KrakenTape, Pair
from ltp_service.simulator.order_book import Half

CHANNEL = "book"
DEPTHS = (10, 25, 100, 500, 1000)
CHECKED_LEVELS = 10
SIZE_DECIMALS = 8

Levels = Mapping[int, int]
"""Units by price in ticks, best first."""


def book_topic(pair: str, depth: int) -> Topic:
    return Topic(f"{CHANNEL}-{depth} {pair}", CHANNEL, pair)


@dataclass(frozen=True)
class BookState:
    """What is told at once: a whole window, or its changes; `best` is the window afterwards."""

    pair: Pair
    depth: int
    bids: Levels
    asks: Levels
    best: tuple[Levels, Levels]
    returned: frozenset[int] = field(default_factory=frozenset)
    """Prices that are told only because they are in the window again."""

    def checksum(self, price: Callable[[int], str]) -> int:
        """`price` writes a price as the dialect does."""
        bids, asks = self.best
        digits = [
            text.replace(".", "").lstrip("0")
            for half in (asks, bids)
            for ticks, units in list(half.items())[:CHECKED_LEVELS]
            for text in (price(ticks), size(units))
        ]
        return zlib.crc32("".join(digits).encode())


@dataclass(frozen=True)
class Top:
    """The best bid and ask, as texts of price and size, and the unix seconds since when."""

    since: float
    levels: tuple[tuple[str, str], tuple[str, str]]


def top_of(tape: KrakenTape, since: float) -> Top:
    bid, ask = (
        (tape.pair.price(half.best()), size(half.units[half.best()]))
        for half in (tape.book.bids, tape.book.asks)
    )
    return Top(since, (bid, ask))


class Window:
    """One depth of one pair's book. Not thread safe."""

    def __init__(self, tape: Callable[[], KrakenTape], depth: int) -> None:
        """`tape` gives the pair's present one."""
        self.topic = book_topic(tape().pair.name, depth)
        self._tape = tape
        self._depth = depth
        self._seen = self._now()

    def snapshot(self) -> BookState:
        bids, asks = self._seen
        return BookState(self._tape().pair, self._depth, bids, asks, self._seen)

    def update(self) -> BookState | None:
        """What has changed since the last call; None: nothing. A level that is pushed out is not told to be gone."""
        before, self._seen = self._seen, self._now()
        if before == self._seen:
            return None
        book = self._tape().book
        bids, asks = (
            _changed(old, new, half)
            for old, new, half in zip(before, self._seen, (book.bids, book.asks), strict=True)
        )
        # Where a level went, those that came were below the window before.
        came = {
            ticks for old, new in zip(before, self._seen, strict=True) for ticks in new if ticks not in old
        }
        gone = {ticks for told in (bids, asks) for ticks, units in told.items() if not units}
        return BookState(
            self._tape().pair, self._depth, bids, asks, self._seen, frozenset(came if gone else ())
        )

    def _now(self) -> tuple[Levels, Levels]:
        book = self._tape().book
        return book.bids.top(self._depth), book.asks.top(self._depth)


def _changed(old: Levels, new: Levels, half: Half) -> Levels:
    changes = {ticks: units for ticks, units in new.items() if old.get(ticks) != units}
    changes.update((ticks, 0) for ticks in old if ticks not in half.units)
    return changes


def size(units: int) -> str:
    """With all eight decimals."""
    whole, rest = divmod(units, 10**SIZE_DECIMALS)
    return f"{whole}.{rest:0{SIZE_DECIMALS}d}"
