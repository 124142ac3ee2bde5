"""The best bid and ask of each pair on Kraken, as far as they can be believed now."""

from collections.abc import Callable, Sequence

import msgspec

from ltp_service.collected.books import BookStore
from ltp_service.collected.kraken_tape import EXCHANGE
from ltp_service.domain.book import BookProblem, Level
from ltp_service.domain.pairs import Pair

FRESH_SECONDS = 5.0
"""Seconds after Kraken's last frame in which its books are believed. A heartbeat comes each second, and after so many
without one Kraken advises to connect anew (docs.kraken.com/exchange/guides/websockets/reconnection)."""


class PairBook(msgspec.Struct, frozen=True, gc=False):
    """The top of one book. With a problem both sides are None. Without one, a side that is None is empty."""

    pair: Pair
    bid: Level | None
    ask: Level | None
    in_sync: bool
    problem: BookProblem | None
    age: float | None
    """Seconds since the last frame of the feed, which is the evidence for a book in sync; None before the first."""
    changed_at: float | None
    """Exchange time of the last update, unix seconds."""


class PairBooks:
    """Reads the books of this process. Safe from any thread or greenlet."""

    def __init__(
        self, books: BookStore, heard_at: Callable[[], float | None], monotonic: Callable[[], float]
    ) -> None:
        """`heard_at`: monotonic seconds of the last frame of Kraken's books, None before the first."""
        self._books, self._heard_at, self._monotonic = books, heard_at, monotonic

    def look(self, pairs: Sequence[Pair]) -> list[PairBook]:
        """One for each pair, in that order."""
        heard_at = self._heard_at()
        age = None if heard_at is None else max(0.0, self._monotonic() - heard_at)
        return [self._of(pair, age) for pair in pairs]

    def _of(self, pair: Pair, age: float | None) -> PairBook:
        view = self._books.view(str(pair), EXCHANGE, 1)
        if view is None or age is None:
            return PairBook(pair, None, None, False, "unknown", age, None)
        problem: BookProblem | None = None
        if not view.in_sync:
            problem = "out_of_sync"
        elif age > FRESH_SECONDS:
            problem = "stale"
        bid = view.bids[0] if view.bids and problem is None else None
        ask = view.asks[0] if view.asks and problem is None else None
        return PairBook(pair, bid, ask, view.in_sync, problem, age, view.changed_at)
