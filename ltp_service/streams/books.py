"""How order books are told: when there is something new about one, and the bytes of its event."""

from collections.abc import Sequence

from ltp_service.collected.pair_books import PairBook
from ltp_service.domain.book import BookView, Level
from ltp_service.runtime.moments import rfc3339
from ltp_service.streams.events import BestLevel, BestPrices, StreamedBook, digits, encode

ExchangeBook = tuple[str, str]
"""Exchange and symbol."""


def book_key(seen: tuple[ExchangeBook, BookView | None]) -> object:
    """Equal for two looks at a book between which nothing has changed."""
    view = seen[1]
    return view and (view.in_sync, view.bids, view.asks)


def render_book(seen: tuple[ExchangeBook, BookView | None]) -> bytes:
    """The data of the event of another exchange's book."""
    (exchange, symbol), view = seen
    in_sync = view is not None and view.in_sync
    changed_at = view.changed_at if view else None
    bids, asks = (view.bids, view.asks) if view and in_sync else ((), ())
    return encode(
        BestPrices(
            exchange=exchange,
            symbol=symbol,
            in_sync=in_sync,
            best_bid=_best(bids),
            best_ask=_best(asks),
            changed_at=None if changed_at is None else rfc3339(changed_at),
        )
    )


def pair_book_key(book: PairBook) -> object:
    """The same of a pair's book on Kraken, whatever its age."""
    return book.bid, book.ask, book.in_sync, book.problem


def render_pair_book(book: PairBook) -> bytes:
    """The data of its event."""
    return encode(
        StreamedBook(
            pair=str(book.pair),
            bid=_best((book.bid,) if book.bid else ()),
            ask=_best((book.ask,) if book.ask else ()),
            in_sync=book.in_sync,
            problem=book.problem,
            changed_at=None if book.changed_at is None else rfc3339(book.changed_at),
        )
    )


def _best(levels: Sequence[Level]) -> BestLevel | None:
    return BestLevel(digits(levels[0][0]), digits(levels[0][1])) if levels else None
