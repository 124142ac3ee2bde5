"""ltp_service.prices.quotes"""

import threading
from collections.abc import Callable, Sequence

import pytest

from ltp_service.domain.errors import Unreachable
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST
from ltp_service.prices.changes import Changes
from ltp_service.prices.freshness import Bound
from ltp_service.prices.other_markets import Substitutes
from ltp_service.prices.quotes import FIRST_PRICE_WAIT_SECONDS, Quotes
from tests.deadline import DEADLINE
from tests.fakes import BTC, ETH, XRP, FakeClock, memory_store, tick


class Room:
    """Quotes with everything around it."""

    def __init__(self, answer: Callable[[Sequence[Pair]], object] | None = None) -> None:
        self.clock = FakeClock()
        self.changes = Changes()
        self.store = memory_store(self.clock, self.changes)
        self.asked: list[list[Pair]] = []
        self._answer = answer
        self.coinbase = memory_store(self.clock)
        self.bitstamp = memory_store(self.clock)
        self.refused: set[Pair] = set()
        self.quotes = Quotes(
            self.store,
            self.changes,
            self.clock,
            ttl=30.0,
            fetch=self.fetch,
            refused=self.refused.__contains__,
            substitutes=Substitutes(self.store, [self.coinbase, self.bitstamp], self.clock, 30.0),
        )

    def fetch(self, pairs: Sequence[Pair]) -> None:
        if self._answer is not None:
            self.asked.append(list(pairs))
            self._answer(pairs)

    def trade(self, price: str, pair: Pair) -> None:
        self.store.put(tick(price, pair, received_at=self.clock.monotonic()))


def refuse(pairs: Sequence[Pair]) -> None:
    raise Unreachable("no route", reason="network")


def test_each_pair_gets_its_own_quote_in_the_order_asked() -> None:
    room = Room()
    room.trade("1", BTC)
    room.trade("2", ETH)
    quotes = room.quotes.get([ETH, XRP, BTC])

    assert [quote.pair for quote in quotes] == [ETH, XRP, BTC]
    assert [quote.price and quote.price.tick.price for quote in quotes] == ["2", None, "1"]
    assert [quote.verdict.servable for quote in quotes] == [True, False, True]


def test_what_is_at_hand_is_served_without_asking_anybody() -> None:
    room = Room(refuse)
    room.trade("1", BTC)
    room.quotes.expect_feed()

    assert room.quotes.get([BTC])[0].verdict.servable
    assert room.asked == []


def test_only_the_missing_pairs_are_asked_of_the_second_source() -> None:
    def answer(pairs: Sequence[Pair]) -> None:
        for pair in pairs:
            room.store.put(tick("9", pair, source=REST))

    room = Room(answer)
    room.trade("1", BTC)
    quotes = room.quotes.get([BTC, ETH, XRP])

    assert room.asked == [[ETH, XRP]]
    assert [quote.price and quote.price.tick.price for quote in quotes] == ["1", "9", "9"]


def test_a_second_source_that_fails_leaves_the_rest_served() -> None:
    room = Room(refuse)
    room.trade("1", BTC)
    quotes = room.quotes.get([BTC, ETH])

    assert [quote.verdict.state for quote in quotes] == ["fallback", "unknown"]


@pytest.mark.parametrize(
    ("age", "bound", "servable", "asked"),
    [
        (31.0, Bound(), False, [[BTC]]),
        (31.0, Bound(allow_stale=True), True, []),
        (5.0, Bound(max_age=1.0), False, []),
    ],
    ids=["stale", "stale and taken", "older than the caller wants"],
)
def test_a_stale_price_is_fetched(age: float, bound: Bound, servable: bool, asked: list[list[Pair]]) -> None:
    room = Room(refuse)
    room.trade("1", BTC)
    room.clock.advance(age)

    assert room.quotes.get([BTC], bound)[0].verdict.servable is servable
    assert room.asked == asked


def test_looking_asks_nobody_and_waits_for_nobody() -> None:
    room = Room(refuse)
    room.quotes.expect_feed()

    assert room.quotes.look([BTC])[0].verdict.state == "unknown"
    assert room.asked == []


def test_the_first_question_after_the_start_waits_for_the_feed() -> None:
    room = Room()
    room.quotes.expect_feed()
    answers: list[str] = []

    def ask() -> None:
        quotes = room.quotes.get([BTC, ETH])
        answers.extend(quote.price.tick.price for quote in quotes if quote.price)

    asker = threading.Thread(target=ask)
    asker.start()
    room.trade("1", BTC)
    room.trade("2", ETH)
    asker.join(DEADLINE)

    assert answers == ["1", "2"]


def test_the_wait_for_the_feed_is_over_two_seconds_after_the_start() -> None:
    room = Room(refuse)
    room.quotes.expect_feed()
    room.clock.advance(FIRST_PRICE_WAIT_SECONDS - 0.02)
    room.quotes.get([BTC])
    assert room.asked == [[BTC]]
    room.clock.advance(0.02)
    room.quotes.get([BTC])
    assert room.asked == [[BTC], [BTC]]
    assert FIRST_PRICE_WAIT_SECONDS == 2.0


def test_a_pair_that_the_exchange_refuses_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltp_service.prices.quotes.FIRST_PRICE_WAIT_SECONDS", 10 * DEADLINE)
    room = Room(refuse)
    room.quotes.expect_feed()
    asker = threading.Thread(target=room.quotes.get, args=([BTC],), daemon=True)
    asker.start()
    room.refused.add(BTC)
    room.changes.announce(BTC)
    asker.join(DEADLINE)

    assert room.asked == [[BTC]]


@pytest.mark.parametrize("status", ["maintenance", "cancel_only", "post_only"])
def test_while_the_exchange_does_not_match_the_last_trade_is_served(status: str) -> None:
    room = Room()
    room.trade("1", BTC)
    room.store.set_market(status)  # type: ignore[arg-type]

    (quote,) = room.quotes.get([BTC])
    assert (quote.verdict.state, quote.verdict.servable) == ("halted", True)


def test_a_substitute_is_told_with_its_own_age_which_the_callers_bound_holds_for() -> None:
    room = Room(refuse)
    room.trade("1", BTC)
    room.clock.advance(31)
    room.coinbase.put(tick("2", source="coinbase:websocket", received_at=room.clock.monotonic()))
    room.clock.advance(4)

    (quote,) = room.quotes.get([BTC])
    assert (quote.price and quote.price.tick.price, quote.verdict.state) == ("2", "substitute")
    assert (quote.verdict.age, quote.verdict.servable) == (4.0, True)
    assert room.asked == []
    assert not room.quotes.get([BTC], Bound(max_age=3.9))[0].verdict.servable
    assert room.asked == [[BTC]]
    assert (room.quotes.can_serve([BTC]), room.quotes.hears_kraken([BTC])) == (True, False)


def test_a_substitute_that_meets_the_callers_bound_is_preferred_to_one_that_does_not() -> None:
    room = Room(refuse)
    room.clock.advance(31)
    room.coinbase.put(tick("2", source="coinbase:websocket", received_at=room.clock.monotonic()))
    room.clock.advance(6)
    room.bitstamp.put(tick("3", source="bitstamp:websocket", received_at=room.clock.monotonic()))
    room.clock.advance(0.3)

    def served(max_age: float | None) -> str | None:
        (quote,) = room.quotes.get([BTC], Bound(max_age=max_age))
        return quote.price.tick.price if quote.price and quote.verdict.servable else None

    assert [served(bound) for bound in (None, 7.0, 2.0, 0.1)] == ["2", "2", "3", None]
