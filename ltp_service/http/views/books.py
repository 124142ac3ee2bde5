"""Levels and best prices of order books, in the shapes of the answers."""

from collections.abc import Sequence

from ltp_service.assembly.services import Services
from ltp_service.domain.book import Level
from ltp_service.domain.pairs import Pair
from ltp_service.http import shapes
from ltp_service.http.answers import number


def level(told: Level) -> shapes.Level:
    """What is bid or asked at one price."""
    price, size = told
    return shapes.Level(number(price), number(size))


def best_of(parts: Services, pairs: Sequence[Pair]) -> dict[Pair, shapes.PairBook]:
    """Kraken's best bid and ask of each pair; nothing where its books are not collected."""
    if parts.pair_books is None:
        return {}
    return {
        book.pair: shapes.PairBook(
            bid=None if book.bid is None else level(book.bid),
            ask=None if book.ask is None else level(book.ask),
            in_sync=book.in_sync,
            problem=book.problem,
            age_ms=None if book.age is None else round(book.age * 1000),
        )
        for book in parts.pair_books.look(pairs)
    }
