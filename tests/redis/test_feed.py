"""ltp_service.redis.feed"""

import pytest

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Tick
from ltp_service.redis.feed import FleetFeed
from ltp_service.rest.poll import NoFeed
from tests.fakes import BTC, ETH, tick


class OwnFeed(NoFeed):
    """This process's own collector; remembers what it is asked to do."""

    def __init__(self) -> None:
        self.up = True
        self.delivered: dict[Pair, float] = {}
        self.asked: list[str] = []

    def is_connected(self) -> bool:
        return self.up

    def delivered_at(self, pair: Pair) -> float | None:
        return self.delivered.get(pair)

    def renew(self, pair: Pair) -> None:
        self.asked.append(f"renew {pair}")

    def held(self, pair: Pair) -> Tick | None:
        return tick("1", pair)

    def market_told_at(self) -> float:
        return 5.0

    def leave(self) -> None:
        self.asked.append("leave")


class Place:
    """A process's place in the fleet, as a test sets it."""

    def __init__(self) -> None:
        self.own = OwnFeed()
        self.told: dict[Pair, float] = {}
        self.epoch: int | None = None
        self.in_step = True
        self.feed = FleetFeed(self.own, self.told_at, lambda: self.epoch, lambda: self.in_step)

    def told_at(self, pair: Pair) -> float | None:
        return self.told.get(pair)


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_follower_is_connected_while_in_step_and_the_owner_while_its_feed_is(place: Place) -> None:
    place.own.up = False
    assert place.feed.is_connected()
    place.in_step = False
    place.own.up = True
    assert not place.feed.is_connected()
    place.epoch = 7
    assert place.feed.is_connected()
    place.in_step, place.own.up = True, False
    assert not place.feed.is_connected()


def test_only_the_owner_watches_the_feed(place: Place) -> None:
    assert not place.feed.is_here()
    place.epoch = 7
    assert place.feed.is_here()


def test_a_follower_knows_what_was_told_and_not_what_its_own_collector_once_brought(place: Place) -> None:
    place.own.delivered = {BTC: 20.0}
    assert place.feed.delivered_at(BTC) is None
    place.told = {BTC: 10.0}
    assert place.feed.delivered_at(BTC) == 10.0


def test_a_new_owner_goes_by_what_it_was_told_until_its_own_collector_delivers(place: Place) -> None:
    place.told = {BTC: 10.0}
    place.epoch = 7
    assert place.feed.delivered_at(BTC) == 10.0
    assert place.feed.delivered_at(ETH) is None
    place.own.delivered = {BTC: 20.0, ETH: 20.0}
    assert place.feed.delivered_at(BTC) == place.feed.delivered_at(ETH) == 20.0


def test_only_an_owner_can_do_something_about_a_pair(place: Place) -> None:
    for epoch in (None, 7):
        place.epoch = epoch
        place.feed.renew(BTC)
        assert (place.feed.held(BTC) is not None) == (epoch is not None)
    assert place.own.asked == ["renew BTC/USD"]


def test_a_connection_can_be_left_after_the_lease_was_lost(place: Place) -> None:
    place.feed.leave()
    assert place.own.asked == ["leave"]
    assert place.feed.market_told_at() == 5.0


def test_where_the_websocket_is_switched_off_the_owner_has_nothing_but_rest(place: Place) -> None:
    nothing = NoFeed()
    place.feed = FleetFeed(nothing, place.told_at, lambda: 7, lambda: True)
    nothing.renew(BTC)
    nothing.leave()
    assert nothing.is_here()
    assert not place.feed.is_connected()
    assert place.feed.delivered_at(BTC) is None
    assert place.feed.held(BTC) is None
    assert place.feed.market_told_at() == 0.0
