"""tests.drill.books: what is a wrong best bid or ask, and what the simulator tells of the true ones."""

import time
from decimal import Decimal

from tests.drill.books import BookReading, Level, Tops, streamed, wrong_books
from tests.drill.listener import Told
from tests.drill.truth import never_waited
from tests.simulator.client import Simulator

PAIR = "ETH/USD"
TRANSPORT = 0.25


def level(price: str) -> Level:
    return Decimal(price), Decimal(1)


def tops() -> Tops:
    """100 and 101 until 10 s ago, then 102 and 103."""
    now = time.time()
    return Tops([[now - 30, ["100", "1"], ["101", "1"]], [now - 10, ["102", "1.0"], ["103", "1.0"]]])


def reading(ago: float, bid: str, ask: str, age: float = 0.0, problem: str | None = None) -> BookReading:
    moment = time.monotonic() - ago
    return BookReading(moment, moment + 0.001, PAIR, level(bid), level(ask), problem, age)


def wrong(*readings: BookReading, unnoticed: float = 0.0) -> int:
    return len(wrong_books(readings, {PAIR: tops()}, TRANSPORT, {PAIR: unnoticed}, never_waited))


def test_the_best_prices_of_the_moment_are_right() -> None:
    assert not wrong(reading(15, "100", "101"), reading(5, "102", "103"), reading(9.9, "100", "101"))


def test_those_of_another_moment_or_of_two_moments_are_wrong() -> None:
    assert wrong(reading(5, "100", "101"), reading(15, "102", "103"), reading(5, "100", "103")) == 3


def test_a_book_may_be_as_old_as_it_says_and_as_a_deaf_one_may_be() -> None:
    assert not wrong(reading(8, "100", "101", age=2.0))
    assert not wrong(reading(8, "100", "101"), unnoticed=2.0)
    assert wrong(reading(5, "100", "101", age=2.0), unnoticed=2.0) == 1


def test_a_book_with_a_problem_claims_nothing() -> None:
    assert not wrong(reading(5, "100", "101", problem="out_of_sync"))


def test_a_streamed_book_is_an_answer_of_its_moment() -> None:
    data = {"pair": PAIR, "bid": {"price": "102", "size": "1"}, "ask": None, "problem": None}
    (told,) = streamed([Told(5.0, 0, "book", "1", data), Told(6.0, 0, "price", "2", {})])
    assert told == BookReading(5.0, 5.0, PAIR, level("102"), None, None, 0.0)


def test_the_simulator_tells_each_best_price_since_the_book_was_subscribed() -> None:
    with Simulator.start() as simulator:
        assert simulator.tops(PAIR) == []
