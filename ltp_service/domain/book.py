"""An order book: a snapshot and the changes after it in, best bid and ask out; pure.

Sizes in base units, prices in quote currency per base unit. Update ids are the exchange's own; they grow
by one from change to change, or a change covers a range of them.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal
from zlib import crc32

import msgspec

from ltp_service.domain.decimals import read_price
from ltp_service.domain.errors import BadFrame

Level = tuple[Decimal, Decimal]
"""Price and size."""

Applied = Literal["applied", "old", "gap", "mismatch"]

BookProblem = Literal["unknown", "out_of_sync", "stale"]
"""Why a book has no prices to tell: it has not been received yet; an update of it may be missing; nothing has been heard
of the exchange for too long."""

MAX_LEVELS = 10_000
"""Best levels kept on one side. Binance's longest depth snapshot has 5,000 (Binance, "Order book")."""

CHECKED_LEVELS = 10
"""Best levels of each side that a checksum covers, however deep the book is (Kraken, "Book checksum")."""

_ZERO = Decimal(0)


class BookSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A whole book; it replaces the levels known before."""

    symbol: str
    update_id: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    changed_at: float | None = None
    """Exchange time in unix seconds; None where the exchange does not tell."""
    depth: int | None = None
    """Levels of each side that are told. A level that leaves them is not told to be gone. None: all levels are told."""
    checksum: int | None = None
    """What `checksum_of` gives for these levels at the exchange; None where it does not tell."""


class BookChange(msgspec.Struct, frozen=True, gc=False):
    """New sizes of some levels; size 0 deletes a level, whether it is known or not."""

    symbol: str
    first_id: int
    last_id: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    changed_at: float | None = None
    checksum: int | None = None
    """What `checksum_of` gives for the exchange's book after this change; None where it does not tell."""


class BookView(msgspec.Struct, frozen=True, gc=False):
    """A still picture of a book, best levels first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    in_sync: bool
    update_id: int
    changed_at: float | None
    """Exchange time of the last update, unix seconds."""
    received_at: float | None
    """Monotonic seconds of the last update; None before the first."""


class OrderBook:
    """Levels of both sides. A snapshot puts the book in sync. A change that leaves out update ids, or after which the
    book is not the exchange's, ends that."""

    def __init__(self) -> None:
        self._bids = _Side(highest_first=True)
        self._asks = _Side(highest_first=False)
        self._joined = False
        self._update_id = 0
        self._changed_at: float | None = None
        self._received_at: float | None = None

    @property
    def in_sync(self) -> bool:
        """False before a snapshot, after a gap, and while bid and ask cross: a market that is matched never crosses."""
        bid, ask = self._bids.best(), self._asks.best()
        return self._joined and (bid is None or ask is None or bid < ask)

    def replace(self, snapshot: BookSnapshot, received_at: float) -> None:
        """Replaces all levels by those of a snapshot."""
        self._bids.replace(snapshot.bids, snapshot.depth)
        self._asks.replace(snapshot.asks, snapshot.depth)
        self._joined = True
        self._note(snapshot.update_id, snapshot.changed_at, received_at)

    def change(self, change: BookChange, received_at: float) -> Applied:
        """Applies the next change. An `old` one changes nothing. After a `gap`, or a `mismatch` with the checksum, the
        book is out of sync."""
        if not self._joined:
            return "gap"
        if change.last_id <= self._update_id:
            return "old"
        if change.first_id > self._update_id + 1:
            self._joined = False
            return "gap"
        self._bids.change(change.bids)
        self._asks.change(change.asks)
        self._note(change.last_id, change.changed_at, received_at)
        if change.checksum is not None and change.checksum != self._checksum():
            self._joined = False
            return "mismatch"
        return "applied"

    def lose(self) -> None:
        """Puts the book out of sync: changes may be missing."""
        self._joined = False

    def view(self, depth: int) -> BookView:
        """The best `depth` levels of each side."""
        return BookView(
            bids=self._bids.top(depth),
            asks=self._asks.top(depth),
            in_sync=self.in_sync,
            update_id=self._update_id,
            changed_at=self._changed_at,
            received_at=self._received_at,
        )

    def _checksum(self) -> int:
        return checksum_of(self._bids.top(CHECKED_LEVELS), self._asks.top(CHECKED_LEVELS))

    def _note(self, update_id: int, changed_at: float | None, received_at: float) -> None:
        self._update_id = update_id
        self._changed_at = changed_at
        self._received_at = received_at


class _Side:
    """One side: sizes by price, and the prices in ascending order."""

    def __init__(self, *, highest_first: bool) -> None:
        self._highest_first = highest_first
        self._sizes: dict[Decimal, Decimal] = {}
        self._prices: list[Decimal] = []
        self._most = MAX_LEVELS

    def replace(self, levels: Iterable[Level], depth: int | None) -> None:
        self._most = min(depth or MAX_LEVELS, MAX_LEVELS)
        self._sizes = {price: size for price, size in levels if size}
        self._prices = sorted(self._sizes)
        self._trim()

    def change(self, levels: Iterable[Level]) -> None:
        for price, size in levels:
            if size:
                if price not in self._sizes:
                    insort(self._prices, price)
                self._sizes[price] = size
            elif self._sizes.pop(price, None) is not None:
                del self._prices[bisect_left(self._prices, price)]
        self._trim()

    def best(self) -> Decimal | None:
        if not self._prices:
            return None
        return self._prices[-1 if self._highest_first else 0]

    def top(self, depth: int) -> tuple[Level, ...]:
        prices = self._prices[: -depth - 1 : -1] if self._highest_first else self._prices[:depth]
        return tuple((price, self._sizes[price]) for price in prices)

    def _trim(self) -> None:
        surplus = len(self._prices) - self._most
        if surplus > 0:
            worst = slice(0, surplus) if self._highest_first else slice(self._most, None)
            for price in self._prices[worst]:
                del self._sizes[price]
            del self._prices[worst]


def checksum_of(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """CRC32 of the best ten levels, best first: those of the asks, then those of the bids. Of each price and each size it
    covers the digits as sent, without the point and the zeros that lead.

    Source: docs.kraken.com/exchange/guides/websockets/book-checksum-v2
    """
    levels = [*asks[:CHECKED_LEVELS], *bids[:CHECKED_LEVELS]]
    texts = [f"{number:f}".replace(".", "").lstrip("0") for level in levels for number in level]
    return crc32("".join(texts).encode())


def read_levels(rows: Iterable[tuple[str, str]]) -> list[Level]:
    """Levels from an exchange's texts, with every digit. Raises BadFrame for a price or size that is none."""
    return [(read_price(price), _read_size(size)) for price, size in rows]


def _read_size(text: str) -> Decimal:
    if text and not text.strip("0.") and text.count(".") <= 1 and text != ".":
        return _ZERO
    try:
        return read_price(text)
    except BadFrame as error:
        raise BadFrame(f"size: {error}", reason=error.reason) from None
