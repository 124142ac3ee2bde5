"""The order book: against a naive model, across gaps, and with every digit."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.domain import book
from ltp_service.domain.book import BookChange, BookSnapshot, Level, OrderBook, read_levels
from ltp_service.domain.errors import BadFrame
from tests.deadline import IN_FULL


def levels(*texts: str) -> list[Level]:
    """`"100.5 2"` is 2 at 100.5."""
    return read_levels((price, size) for price, size in (text.split() for text in texts))


def snapshot(update_id: int, bids: list[Level], asks: list[Level]) -> BookSnapshot:
    return BookSnapshot("BTCUSDT", update_id, bids, asks, 1.5)


def change(
    first: int, last: int, bids: list[Level] | None = None, asks: list[Level] | None = None
) -> BookChange:
    return BookChange("BTCUSDT", first, last, bids or [], asks or [], 2.5)


def filled() -> OrderBook:
    order_book = OrderBook()
    order_book.replace(snapshot(10, levels("99 1", "98 2"), levels("101 3", "102 4")), 1000.0)
    return order_book


@dataclass
class NaiveBook:
    """What a book is, without a thought for speed."""

    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)

    def change(self, news: BookChange) -> None:
        for side, changed in ((self.bids, news.bids), (self.asks, news.asks)):
            side.update(changed)
            for price in [price for price, size in side.items() if size == 0]:
                del side[price]

    def snapshot(self, update_id: int) -> BookSnapshot:
        return snapshot(update_id, list(self.bids.items()), list(self.asks.items()))

    def top(self, depth: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        bids = sorted(self.bids.items(), reverse=True)
        return tuple(bids[:depth]), tuple(sorted(self.asks.items())[:depth])


CHANGES = 100_000 if IN_FULL else 10_000


def changes(dice: random.Random, count: int) -> Iterator[BookChange]:
    """Contiguous changes of an uncrossed market that wanders."""
    update_id, middle = 0, 10_000
    for _ in range(count):
        middle += dice.choice((-1, 0, 1))
        first, update_id = update_id + 1, update_id + dice.randint(1, 3)
        yield change(first, update_id, *_around(dice, middle))


def _around(dice: random.Random, middle: int) -> tuple[list[Level], list[Level]]:
    def size() -> Decimal:
        return Decimal(dice.choice((0, 0, dice.randint(1, 10**6)))) / 1000

    # What the middle has passed is gone, as in a market that matches.
    bids = [(Decimal(middle + step), Decimal(0)) for step in range(4)]
    asks = [(Decimal(middle - step), Decimal(0)) for step in range(4)]
    bids += [(Decimal(middle - dice.randint(1, 60)), size()) for _ in range(dice.randint(0, 2))]
    asks += [(Decimal(middle + dice.randint(1, 60)), size()) for _ in range(dice.randint(0, 2))]
    return bids, asks


def test_thousands_of_changes_with_gaps_leave_the_book_of_the_naive_model() -> None:
    dice = random.Random(20261120)
    naive, ours = NaiveBook(), OrderBook()
    ours.replace(naive.snapshot(0), 0.0)
    gaps = compared = 0
    for number, news in enumerate(changes(dice, CHANGES)):
        naive.change(news)
        if dice.random() < 0.001:
            gaps += 1  # this one never arrives
            continue
        if ours.change(news, number) == "gap":
            assert not ours.in_sync
            assert ours.change(news, number) == "gap"
            ours.replace(naive.snapshot(news.last_id), number)
        if number % 50 == 0 and ours.view(1).update_id == news.last_id:
            compared += 1
            view = ours.view(50)
            assert (view.bids, view.asks) == naive.top(50)
            assert view.in_sync
    assert gaps > CHANGES / 2000
    assert compared > CHANGES / 55


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.integers(0, 3)), max_size=60))
def test_any_changes_of_levels_give_the_sides_of_the_naive_model(steps: list[tuple[bool, int, int]]) -> None:
    naive, ours = NaiveBook(), OrderBook()
    ours.replace(naive.snapshot(0), 0.0)
    for number, (is_bid, price, size) in enumerate(steps, start=1):
        level = [(Decimal(price), Decimal(size))]
        news = change(number, number, level if is_bid else [], [] if is_bid else level)
        naive.change(news)
        assert ours.change(news, 0.0) == "applied"
    view = ours.view(50)
    assert (view.bids, view.asks) == naive.top(50)


def test_best_bid_and_ask_come_first_with_their_sizes() -> None:
    view = filled().view(1)
    assert view.bids[0] == (Decimal(99), Decimal(1))
    assert view.asks[0] == (Decimal(101), Decimal(3))
    assert (len(view.bids), len(view.asks)) == (1, 1)
    assert (view.update_id, view.changed_at, view.received_at) == (10, 1.5, 1000.0)


def test_an_empty_book_has_no_best_levels_and_is_not_in_sync() -> None:
    view = OrderBook().view(50)
    assert (view.bids, view.asks, view.in_sync) == ((), (), False)


def test_a_change_that_joins_is_applied_and_moves_the_times() -> None:
    order_book = filled()
    assert order_book.change(change(11, 12, levels("99 0", "98.5 7")), 1001.0) == "applied"
    view = order_book.view(5)
    assert view.bids == tuple(levels("98.5 7", "98 2"))
    assert (view.update_id, view.changed_at, view.received_at) == (12, 2.5, 1001.0)


def test_a_change_that_overlaps_what_is_known_is_applied() -> None:
    assert filled().change(change(8, 11), 0.0) == "applied"


def test_an_old_change_does_nothing() -> None:
    order_book = filled()
    assert order_book.change(change(9, 10, levels("99 0")), 1001.0) == "old"
    assert order_book.view(1).bids[0] == (Decimal(99), Decimal(1))
    assert order_book.in_sync


def test_after_a_gap_nothing_but_a_snapshot_brings_the_sync_back() -> None:
    order_book = filled()
    assert order_book.change(change(12, 12), 0.0) == "gap"
    assert not order_book.view(1).in_sync
    assert order_book.change(change(11, 11), 0.0) == "gap"
    assert not order_book.in_sync
    order_book.replace(snapshot(20, levels("97 1"), levels("103 1")), 0.0)
    assert order_book.view(5).bids == tuple(levels("97 1"))
    assert order_book.in_sync


def test_a_lost_book_is_out_of_sync_at_once() -> None:
    order_book = filled()
    order_book.lose()
    assert not order_book.in_sync


def test_sides_that_cross_are_not_in_sync_until_they_part() -> None:
    order_book = filled()
    assert order_book.change(change(11, 11, levels("101 1")), 0.0) == "applied"
    assert not order_book.in_sync
    assert order_book.change(change(12, 12, [], levels("101 0")), 0.0) == "applied"
    assert order_book.in_sync


def test_removing_an_absent_level_is_normal() -> None:
    assert filled().change(change(11, 11, levels("50 0")), 0.0) == "applied"


def test_the_same_price_with_other_digits_is_the_same_level() -> None:
    order_book = filled()
    order_book.change(change(11, 11, levels("99.00000000 5.00000000")), 0.0)
    assert order_book.view(5).bids == tuple(levels("99 5", "98 2"))


def test_a_side_keeps_only_its_best_levels_when_it_grows_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MAX_LEVELS", 3)
    order_book = filled()
    order_book.change(change(11, 11, levels("97 1", "96 1", "98.5 1"), levels("103 1", "104 1")), 0.0)
    view = order_book.view(50)
    assert [price for price, _ in view.bids] == [99, Decimal("98.5"), 98]
    assert [price for price, _ in view.asks] == [101, 102, 103]
    order_book.change(change(12, 12, levels("96 0")), 0.0)
    assert len(order_book.view(50).bids) == 3


def test_levels_keep_every_digit() -> None:
    [(price, size)] = read_levels([("0.00000637", "6500.00000001")])
    assert (str(price), str(size)) == ("0.00000637", "6500.00000001")


@pytest.mark.parametrize("text", ["0", "0.00000000", "0.0", "00"])
def test_every_spelling_of_zero_deletes(text: str) -> None:
    assert read_levels([("1", text)])[0][1] == 0


@pytest.mark.parametrize("size", ["", ".", "0.0.0", "-1", "NaN", "Infinity", "1e999", "abc"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(BadFrame, match="size"):
        read_levels([("1", size)])


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "x"])
def test_a_price_that_is_none_is_refused(price: str) -> None:
    with pytest.raises(BadFrame, match="price"):
        read_levels([(price, "1")])
