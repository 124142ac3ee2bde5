"""Kraken's best bid and ask on a stream, for those who ask for them."""

from decimal import Decimal

import pytest

from ltp_service.domain.book import BookSnapshot
from ltp_service.domain.errors import NotSupported
from ltp_service.streams.question import MarketQuestion
from tests.fakes import BTC, NOON
from tests.streams.room import PRICES, Room

BOOKS = MarketQuestion((BTC,), "prices", books=True)


@pytest.fixture
def room() -> Room:
    return Room()


def replace(room: Room, bid: str = "99.50") -> None:
    level, asks = (Decimal(bid), Decimal("1.50000000")), [(Decimal("100.5"), Decimal(2))]
    room.books.replace("kraken", BookSnapshot("BTC/USD", 1, [level], asks, NOON), room.clock.monotonic())


def test_the_best_prices_come_with_every_digit_and_again_when_they_change(room: Room) -> None:
    replace(room)
    wire = room.join(BOOKS)
    hello, price, book = wire.events()
    assert (hello.name, price.name, book.name) == ("hello", "price", "book")
    assert book.data == {
        "pair": "BTC/USD",
        "bid": {"price": "99.50", "size": "1.50000000"},
        "ask": {"price": "100.5", "size": "2"},
        "in_sync": True,
        "problem": None,
        "changed_at": "2026-09-21T14:13:20.000000Z",
    }
    room.turn(0.2)
    assert wire.names() == []
    replace(room, bid="99.60")
    room.turn(0.2)
    (book,) = wire.events()
    assert book.data["bid"]["price"] == "99.60"


def test_a_loss_and_silence_are_told_without_prices(room: Room) -> None:
    replace(room)
    wire = room.join(BOOKS)
    wire.events()
    room.books.lose("kraken", ["BTC/USD"])
    room.turn(0.2)
    (lost,) = wire.events()
    assert (lost.data["bid"], lost.data["ask"], lost.data["problem"]) == (None, None, "out_of_sync")
    replace(room)
    room.turn(0.2)
    wire.events()
    room.turn(4.9)
    (silent,) = [each for each in wire.events() if each.name == "book"]
    assert (silent.data["bid"], silent.data["in_sync"], silent.data["problem"]) == (None, True, "stale")


def test_who_does_not_ask_for_books_pays_nothing_for_them(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    monkeypatch.setattr(room.sources._pair_books, "_of", lambda *told: looks.append(told))  # noqa: SLF001
    wire = room.join(PRICES)
    replace(room)
    room.turn(0.2)
    assert (wire.names(), looks) == (["hello", "price", "price"], [])


def test_when_nobody_asks_for_books_any_more_they_are_forgotten(room: Room) -> None:
    wire = room.join(BOOKS)
    room.hang_up(wire)
    room.turn(0.2)
    assert not room.sources._of_pairs._seen  # noqa: SLF001 - nothing else shows it


def test_without_the_collector_a_question_for_books_is_refused(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.sources.check(BOOKS)
    monkeypatch.setattr(room.sources, "_pair_books", None)
    with pytest.raises(NotSupported, match="add kraken_books to COLLECTORS"):
        room.sources.check(BOOKS)
