"""The owner's collectors, as other processes see them."""

import time

import pytest

from ltp_service.feed.contract import Gap, Link
from ltp_service.redis.links import Links
from ltp_service.redis.topic import EPOCH_KEY, open_line
from ltp_service.settings.config import Config
from tests.redis_server import RedisServer


class FakeCollector:
    """Says of itself what a test wants."""

    def __init__(self, last_frame_at: float | None, delay: float = 0.0) -> None:
        gaps = (Gap(1.0, 2.0),)
        symbols = {"BTC/USD": "active"}
        self.told = Link("kraken", "active", True, 3, 4, last_frame_at, None, symbols, None, gaps, delay)

    def link(self) -> Link:
        return self.told


@pytest.fixture
def server(server: RedisServer) -> RedisServer:
    server.run("SET", EPOCH_KEY, 7)
    return server


def links(server: RedisServer, *collectors: FakeCollector, ahead: float = 0.0) -> Links:
    """Of a process whose monotonic clock is `ahead` of the test's."""
    line = open_line(Config(redis_addr=server.address), lambda: time.monotonic() + ahead)
    line.clock.measure()
    return Links([each.link for each in collectors], line)


def take(server: RedisServer, owner: Links, other: Links, epoch: int = 7) -> None:
    subscription = server.client().subscribe(owner.channel)
    assert owner.tell(epoch)
    message = subscription.receive(5)
    assert isinstance(message, tuple)
    other.take(message[1])


def test_another_process_sees_the_collector_with_its_moments_on_its_own_clock(server: RedisServer) -> None:
    frame_at = time.monotonic()
    owner, other = links(server, FakeCollector(frame_at)), links(server, ahead=5000.0)
    take(server, owner, other)
    seen = other.told("kraken")
    assert seen is not None
    assert (seen.state, seen.connected, seen.attempts, seen.gaps) == ("active", True, 4, (Gap(1.0, 2.0),))
    assert seen.last_frame_at is not None
    assert frame_at + 4999.0 < seen.last_frame_at <= frame_at + 5000.0


def test_another_process_sees_how_late_the_collector_is(server: RedisServer) -> None:
    frame_at = time.monotonic()
    owner, other = links(server, FakeCollector(frame_at, delay=3.0)), links(server)
    take(server, owner, other)
    seen = other.told("kraken")
    assert seen is not None
    assert seen.last_frame_at is not None
    assert (seen.delay, seen.as_of) == (3.0, seen.last_frame_at - 3.0)


def test_a_collector_without_a_frame_has_none_elsewhere(server: RedisServer) -> None:
    owner, other = links(server, FakeCollector(None)), links(server)
    take(server, owner, other)
    seen = other.told("kraken")
    assert seen is not None
    assert seen.last_frame_at is None


def test_nobody_is_believed_to_be_there_because_redis_remembers_it(server: RedisServer) -> None:
    owner, late = links(server, FakeCollector(None)), links(server)
    assert owner.tell(7)
    late.load()
    assert late.told("kraken") is None


def test_an_owner_whose_number_is_lower_is_heard_once_redis_told_it(server: RedisServer) -> None:
    owner, other = links(server, FakeCollector(None)), links(server)
    take(server, owner, other)
    other.lost()
    server.run("SET", EPOCH_KEY, 6)  # another Redis, which never had the last takeover
    other.load()
    owner.restart()
    take(server, owner, other, epoch=6)
    assert other.epoch == 6
    assert other.told("kraken") is not None


def test_what_was_told_is_forgotten_when_nobody_tells_any_more(server: RedisServer) -> None:
    owner, other = links(server, FakeCollector(None)), links(server)
    take(server, owner, other)
    other.lost()
    assert other.told("kraken") is None


def test_links_are_told_twice_a_second_and_at_once_by_a_new_owner(server: RedisServer) -> None:
    owner = links(server, FakeCollector(None))
    assert owner.take_news()
    assert owner.take_news() == {}
    owner.restart()
    assert owner.take_news()
