"""The store of order books: one owner, many readers."""

from decimal import Decimal

import pytest

from ltp_service.collected import books
from ltp_service.collected.books import BookState, BookStore
from ltp_service.domain.book import BookChange, BookSnapshot

BID, ASK = (Decimal(99), Decimal(1)), (Decimal(101), Decimal(2))


def snapshot(symbol: str = "BTCUSDT", update_id: int = 10) -> BookSnapshot:
    return BookSnapshot(symbol, update_id, [BID], [ASK])


def change(update_id: int) -> BookChange:
    return BookChange("BTCUSDT", update_id, update_id, [(Decimal(100), Decimal(5))], [])


def in_sync(store: BookStore, exchange: str = "bybit") -> bool | None:
    view = store.view("BTCUSDT", exchange, 1)
    return view.in_sync if view else None


def test_a_book_is_kept_per_exchange_and_symbol() -> None:
    store = BookStore()
    store.replace("bybit", snapshot(), 1.0)
    store.replace("binance", snapshot("ETHUSDT"), 1.0)
    assert store.view("BTCUSDT", "binance", 5) is None
    view = store.view("BTCUSDT", "bybit", 5)
    assert view is not None
    assert (view.bids[0], view.asks[0], view.in_sync) == (BID, ASK, True)
    assert store.states() == [BookState("binance", "ETHUSDT", True), BookState("bybit", "BTCUSDT", True)]


def test_a_view_stays_as_it_was_when_the_book_goes_on() -> None:
    store = BookStore()
    store.replace("bybit", snapshot(), 1.0)
    before = store.view("BTCUSDT", "bybit", 5)
    assert store.change("bybit", change(11), 2.0) == "applied"
    assert before is not None
    assert before.bids[0] == BID
    after = store.view("BTCUSDT", "bybit", 5)
    assert after is not None
    assert after.bids[0] == (Decimal(100), Decimal(5))


def test_a_change_of_an_unknown_book_is_a_gap() -> None:
    assert BookStore().change("bybit", change(11), 1.0) == "gap"


def test_a_gap_puts_the_book_out_of_sync_until_it_is_replaced() -> None:
    store = BookStore()
    store.replace("bybit", snapshot(), 1.0)
    assert store.change("bybit", change(12), 1.0) == "gap"
    assert in_sync(store) is False
    store.replace("bybit", snapshot(update_id=20), 1.0)
    assert in_sync(store) is True


def test_a_lost_connection_puts_its_books_out_of_sync_and_no_others() -> None:
    store = BookStore()
    store.replace("bybit", snapshot(), 1.0)
    store.replace("binance", snapshot(), 1.0)
    store.lose("bybit", ["BTCUSDT", "NEVERSEEN"])
    assert in_sync(store, "bybit") is False
    assert in_sync(store, "binance") is True


def test_a_forgotten_book_is_gone() -> None:
    store = BookStore()
    store.replace("bybit", snapshot(), 1.0)
    store.forget("bybit", "BTCUSDT")
    assert in_sync(store) is None


def test_a_book_too_many_stays_unknown_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MAX_BOOKS", 1)
    store = BookStore()
    store.replace("bybit", snapshot(), 1.0)
    store.replace("bybit", snapshot("ETHUSDT"), 1.0)
    store.replace("bybit", snapshot(), 1.0)

    assert store.view("ETHUSDT", "bybit", 1) is None
    assert store.change("bybit", BookChange("ETHUSDT", 2, 2, [], []), 2.0) == "old"
    assert in_sync(store) is True
    store.forget("bybit", "BTCUSDT")
    store.replace("bybit", snapshot("ETHUSDT"), 3.0)
    assert store.view("ETHUSDT", "bybit", 1) is not None
