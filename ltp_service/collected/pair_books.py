"""The best bid and ask of each pair on Kraken, as far as they can be believed now."""

from collections.abc import Callable, Sequence

import msgspec

from ltp_service.collected.books import BookStore
from ltp_service.collected.kraken_tape import EXCHANGE
from ltp_service.domain.book import BookProblem, Level
from ltp_service.domain.pairs import Pair

FRESH_SECONDS = 5.0
"""Seconds for which Kraken's books are believed after the moment that its last frame tells of. A heartbeat comes each second, and after so many
without one Kraken advises to connect anew (docs.kraken.com/exchange/guides/websockets/reconnection)."""


class PairBook(msgspec.Struct, frozen=True, gc=False):
    """The top of one book. With a problem both sides are None. Without one, a side that is None is empty."""

    pair: Pair
    bid: Level | None
    ask: Level | None
    in_sync: bool
    problem: BookProblem | None
    age: float | None
    """Seconds since the moment that the last frame of the feed tells of, which is the evidence for a book in sync; None
    before the first."""
    changed_at: float | None
    """Exchange time of the last update, unix seconds."""


class PairBooks:
    """Reads the books of this process. Safe from any thread or greenlet."""

    def __init__(
        self, books: BookStore, as_of: Callable[[], float | None], monotonic: Callable[[], float]
    ) -> None:
        """`as_of`: the moment that the last frame of Kraken's books tells of, in monotonic seconds; None before the first."""
        self._books, self._as_of, self._monotonic = books, as_of, monotonic

    def look(self, pairs: Sequence[Pair]) -> list[PairBook]:
        """One for each pair, in that order."""
        as_of = self._as_of()
        age = None if as_of is None else max(0.0, self._monotonic() - as_of)
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
