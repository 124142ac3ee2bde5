"""The order books of all exchanges, as they are now."""

import logging
from collections.abc import Iterable
from threading import Lock

import msgspec

from ltp_service.domain.book import Applied, BookChange, BookSnapshot, BookView, OrderBook

log = logging.getLogger(__name__)

MAX_BOOKS = 5_000
"""Books held at the same time. MAX_COLLECTED_SYMBOLS, and the pairs that Kraken lists, keep their number lower. One more is
left out, and the others go on."""


class BookState(msgspec.Struct, frozen=True):
    """Whether one book is in sync."""

    exchange: str
    symbol: str
    in_sync: bool


class BookStore:
    """Owns every OrderBook. Safe from any thread or greenlet; `received_at` is in monotonic seconds."""

    def __init__(self) -> None:
        self._books: dict[tuple[str, str], OrderBook] = {}
        self._left_out: set[tuple[str, str]] = set()
        """Those that there was no room for."""
        self._lock = Lock()

    def replace(self, exchange: str, snapshot: BookSnapshot, received_at: float) -> None:
        """Replaces the whole book; it is in sync from now on. A book beyond MAX_BOOKS stays unknown."""
        with self._lock:
            book = self._books.get((exchange, snapshot.symbol))
            if book is None:
                book = self._open(exchange, snapshot.symbol)
            if book is not None:
                book.replace(snapshot, received_at)

    def change(self, exchange: str, change: BookChange, received_at: float) -> Applied:
        """Applies the next change. After a `gap` or a `mismatch` the book is out of sync until it is replaced. For a book
        that there was no room for every change is `old`, because another snapshot would not help."""
        place = exchange, change.symbol
        with self._lock:
            book = self._books.get(place)
            if book is None:
                return "old" if place in self._left_out else "gap"
            return book.change(change, received_at)

    def lose(self, exchange: str, symbols: Iterable[str]) -> None:
        """These books are not updated any more: out of sync until they are replaced."""
        with self._lock:
            for symbol in symbols:
                if book := self._books.get((exchange, symbol)):
                    book.lose()

    def forget(self, exchange: str, symbol: str) -> None:
        """Removes the book."""
        with self._lock:
            self._books.pop((exchange, symbol), None)
            self._left_out.discard((exchange, symbol))

    def view(self, symbol: str, exchange: str, depth: int) -> BookView | None:
        """The best `depth` levels of each side; None for a book that was never seen."""
        with self._lock:
            book = self._books.get((exchange, symbol))
            return book.view(depth) if book else None

    def states(self) -> list[BookState]:
        """The state of every book, sorted by exchange and symbol."""
        with self._lock:
            return [
                BookState(exchange, symbol, book.in_sync)
                for (exchange, symbol), book in sorted(self._books.items(), key=lambda item: item[0])
            ]

    def _open(self, exchange: str, symbol: str) -> OrderBook | None:
        if len(self._books) >= MAX_BOOKS:
            self._left_out.add((exchange, symbol))
            log.warning(
                "%d order books are held, which is the most; left out: %s %s; collect fewer symbols or pairs",
                len(self._books),
                exchange,
                symbol,
                extra={"once_a_minute": ("books", "most")},
            )
            return None
        self._left_out.discard((exchange, symbol))
        book = self._books[exchange, symbol] = OrderBook()
        return book
