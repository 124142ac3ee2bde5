"""The best bid and ask of a pair: told only while they can be believed."""

from decimal import Decimal

import pytest

from ltp_service.collected.books import BookStore
from ltp_service.collected.pair_books import PairBook, PairBooks
from ltp_service.domain.book import BookSnapshot
from tests.fakes import BTC, ETH

BID, ASK = (Decimal("99.5"), Decimal("1.25")), (Decimal("100.5"), Decimal(2))


class Desk:
    """A store with one book, and the moments that matter."""

    def __init__(self) -> None:
        self.store, self.now, self.as_of = BookStore(), 1000.0, 999.0
        self.books = PairBooks(self.store, lambda: self.as_of, lambda: self.now)
        self.replace()

    def replace(self, bids: tuple[tuple[Decimal, Decimal], ...] = (BID,)) -> None:
        self.store.replace("kraken", BookSnapshot("BTC/USD", 1, bids, [ASK], 7.0), 999.0)

    def btc(self) -> PairBook:
        (book,) = self.books.look([BTC])
        return book


def test_a_book_in_sync_tells_its_best_levels_and_how_old_the_evidence_is() -> None:
    assert Desk().btc() == PairBook(BTC, BID, ASK, True, None, 1.0, 7.0)


def test_a_book_out_of_sync_tells_no_price() -> None:
    desk = Desk()
    desk.store.lose("kraken", ["BTC/USD"])
    assert desk.btc() == PairBook(BTC, None, None, False, "out_of_sync", 1.0, 7.0)


@pytest.mark.parametrize(("silence", "problem"), [(5.0, None), (5.1, "stale")])
def test_a_book_of_a_feed_that_is_silent_tells_no_price(silence: float, problem: str | None) -> None:
    desk = Desk()
    desk.now = desk.as_of + silence
    book = desk.btc()
    assert (book.problem, book.bid is None, book.ask is None) == (problem, bool(problem), bool(problem))


def test_a_book_that_was_never_received_is_unknown() -> None:
    (book,) = Desk().books.look([ETH])
    assert (book.bid, book.ask, book.in_sync, book.problem) == (None, None, False, "unknown")


def test_an_empty_side_is_no_problem() -> None:
    desk = Desk()
    desk.replace(())
    assert (desk.btc().bid, desk.btc().ask, desk.btc().problem) == (None, ASK, None)
