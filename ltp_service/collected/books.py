"""The order books of all exchanges, as they are now."""

from collections.abc import Iterable
from threading import Lock

import msgspec

from ltp_service.domain.book import Applied, BookChange, BookSnapshot, BookView, OrderBook

MAX_BOOKS = 5_000
"""Books held at the same time. MAX_COLLECTED_SYMBOLS, and the pairs that Kraken lists, keep their number lower, so more of
them are a bug."""


class BookState(msgspec.Struct, frozen=True):
    """Whether one book is in sync."""

    exchange: str
    symbol: str
    in_sync: bool


class BookStore:
    """Owns every OrderBook. Safe from any thread or greenlet; `received_at` is in monotonic seconds."""

    def __init__(self) -> None:
        self._books: dict[tuple[str, str], OrderBook] = {}
        self._lock = Lock()

    def replace(self, exchange: str, snapshot: BookSnapshot, received_at: float) -> None:
        """Replaces the whole book; it is in sync from now on. Raises ValueError for a book beyond MAX_BOOKS."""
        with self._lock:
            book = self._books.get((exchange, snapshot.symbol))
            if book is None:
                book = self._open(exchange, snapshot.symbol)
            book.replace(snapshot, received_at)

    def change(self, exchange: str, change: BookChange, received_at: float) -> Applied:
        """Applies the next change. After a `gap` or a `mismatch` the book is out of sync until it is replaced."""
        with self._lock:
            book = self._books.get((exchange, change.symbol))
            return book.change(change, received_at) if book else "gap"

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

    def _open(self, exchange: str, symbol: str) -> OrderBook:
        if len(self._books) >= MAX_BOOKS:
            raise ValueError(f"{len(self._books)} order books are open; {exchange} {symbol} is one too many")
        book = self._books[exchange, symbol] = OrderBook()
        return book
