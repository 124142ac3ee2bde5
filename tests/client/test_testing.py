"""The fake service does what a test tells it."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from ltp_service.client import Disconnected, Event, Gap, NotServed, Price, Prices, Trade, Unavailable
from ltp_service.client.testing import FakeService

PAIR = "BTC/USD"


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService(heartbeat=0.1) as running:
        running.set_price(PAIR, "1")
        yield running


@pytest.fixture
def stream(service: FakeService) -> Iterator[Iterator[Event]]:
    with Prices(service.url) as prices, closing(prices.stream([PAIR], events="all")) as opened:
        assert isinstance(next(opened), Price)
        yield opened


def test_a_state_that_is_not_served_takes_the_price_away(
    service: FakeService, stream: Iterator[Event]
) -> None:
    service.set_state(PAIR, "stale", age=60)
    assert isinstance(told := next(stream), Unavailable)
    assert told.state == "stale"
    service.set_state(PAIR, "quiet", age=0)
    assert isinstance(next(stream), Price)


def test_trades_and_gaps_are_told_in_their_order(service: FakeService, stream: Iterator[Event]) -> None:
    service.trade(PAIR, "2")
    service.gap(PAIR, 1, 4)
    service.trade(PAIR, "3", trade_id=4)
    told = [event for event in (next(stream) for _ in range(4)) if not isinstance(event, Price)]
    assert [type(event) for event in told] == [Trade, Gap, Trade]


def test_a_goodbye_is_followed_by_a_resumption(service: FakeService, stream: Iterator[Event]) -> None:
    service.trade(PAIR, "2")
    assert {type(next(stream)) for _ in range(2)} == {Trade, Price}
    service.bye("deploy", retry_ms=500)
    assert isinstance(told := next(stream), Disconnected)
    assert "deploy" in told.reason
    assert isinstance(next(stream), Price)
    assert "last-event-id" in service.requests[-1][1]


def test_what_is_forgotten_is_a_gap(service: FakeService, stream: Iterator[Event]) -> None:
    service.forget()
    service.cut()
    assert [type(next(stream)) for _ in range(3)] == [Disconnected, Gap, Price]


def test_a_refusal_lasts_until_it_is_taken_back(service: FakeService, stream: Iterator[Event]) -> None:
    service.refuse(503, retry_after=1)
    service.cut()
    assert [type(next(stream)) for _ in range(2)] == [Disconnected] * 2  # the cut, and the refusal
    service.accept()
    assert isinstance(next(stream), Price)
    service.refuse(501)
    with Prices(service.url) as prices, pytest.raises(NotServed):
        next(prices.stream([PAIR]))


def test_garbage_ends_the_line(service: FakeService, stream: Iterator[Event]) -> None:
    service.say(b"event: price\ndata: {}\n\n")
    assert isinstance(told := next(stream), Disconnected)
    assert "cannot be read" in told.reason


def test_what_was_frozen_goes_on(service: FakeService, stream: Iterator[Event]) -> None:
    service.freeze()
    service.trade(PAIR, "2")
    service.thaw()
    assert {type(next(stream)) for _ in range(2)} == {Trade, Price}
