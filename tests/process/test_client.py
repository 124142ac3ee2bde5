"""The client against a service as it is run for real, and an exchange that can be broken."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from functools import partial

import pytest

from ltp_service.client import Disconnected, Event, Gap, Price, Prices, PriceStale, Trade, Unavailable
from tests.process.service import Service
from tests.simulator.client import Simulator

PAIR = "BTC/USD"


@pytest.fixture
def single(simulator: Simulator) -> Iterator[Service]:
    """One that a test may break, whose prices are stale soon."""
    with Service.start(simulator, CACHE_TTL="2s") as running:
        yield running


def url(service: Service) -> str:
    return f"http://127.0.0.1:{service.port}"


def until(stream: Iterator[Event], wanted: Callable[[Event], bool]) -> Event:
    return next(event for event in stream if wanted(event))


def test_what_is_asked_is_what_is_streamed(service: Service, simulator: Simulator) -> None:
    with Prices(url(service), max_age=10) as prices, closing(prices.stream([PAIR])) as stream:
        until(stream, lambda event: isinstance(event, Price))
        simulator.trade(PAIR, "115643.10")
        told = until(stream, lambda event: isinstance(event, Price) and event.amount == Decimal("115643.1"))
        asked = prices.get("btc-usd")
    assert isinstance(told, Price)
    assert (asked.pair, asked.price, asked.state, asked.trade_id) == (
        told.pair,
        told.price,
        told.state,
        told.trade_id,
    )
    assert asked.age < 10


def test_every_trade_is_told_once_or_is_in_a_gap_across_a_worker_that_is_killed_or_ends(
    simulator: Simulator, single: Service
) -> None:
    told: list[Event] = []

    def keep_until(wanted: Callable[[Event], bool]) -> None:
        for event in stream:
            told.append(event)
            if wanted(event):
                return

    with Prices(url(single)) as prices, closing(prices.stream([PAIR], events="all")) as stream:
        for number, ending in enumerate((signal.SIGKILL, signal.SIGTERM, None)):
            keep_until(lambda event: isinstance(event, Price))
            simulator.trade(PAIR, last := f"10{number}.5")
            keep_until(partial(is_trade_at, Decimal(last)))
            if ending is not None:
                os.kill(single.worker_pids()[0], ending)
                keep_until(lambda event: isinstance(event, Disconnected))
                simulator.trade(PAIR, "99.5")  # while no stream is open
    assert_whole(told)


def is_trade_at(price: Decimal, event: Event) -> bool:
    return isinstance(event, Trade) and event.price == price


def assert_whole(told: list[Event]) -> None:
    last: int | None = None
    for event in told:
        match event:
            case Trade(trade_id=number):
                assert last is None or number == last + 1
                last = number
            case Gap(before_trade_id=int(before)):
                last = before - 1
            case Gap():
                last = None
    assert last is not None


def test_a_price_without_evidence_is_told_as_unavailable_and_comes_back(
    simulator: Simulator, single: Service
) -> None:
    with Prices(url(single)) as prices, closing(prices.stream([PAIR])) as stream:
        until(stream, lambda event: isinstance(event, Price))
        simulator.fault("rest_status", status=500)
        simulator.fault("freeze")
        gone = until(stream, lambda event: isinstance(event, Unavailable))
        assert isinstance(gone, Unavailable)
        assert gone.state == "stale"
        with pytest.raises(PriceStale, match="s old"):
            prices.get(PAIR)
        simulator.clear()
        until(stream, lambda event: isinstance(event, Price))
