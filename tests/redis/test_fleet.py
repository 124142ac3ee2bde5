"""ltp_service.redis.fleet: what the parts of a fleet are told of each other."""

import socket
import tempfile
from threading import Event
from types import SimpleNamespace
from typing import Any

import msgspec

from ltp_service.domain.tick import REST
from ltp_service.feed.contract import Gap, Link
from ltp_service.redis.board import ASKER_LOCK, SLOTS, Board
from ltp_service.redis.client import open_redis
from ltp_service.redis.clock import SharedClock
from ltp_service.redis.fleet import FleetParts, wire_fleet
from ltp_service.redis.lease import Claim
from ltp_service.redis.neighbours import ANSWERED_WITHIN_SECONDS
from ltp_service.redis.prices import RedisStore
from ltp_service.redis.topic import FleetLine
from ltp_service.settings.config import Config
from tests.fakes import ETH, NOON, FakeClock, memory_store, tick


def wired(clock: FakeClock, processes: int = 1) -> tuple[RedisStore, FleetParts]:
    """The store and the fleet of a process that reaches no Redis."""
    client = open_redis(Config(redis_addr="127.0.0.1:1"), clock.monotonic)
    line = FleetLine(client, SharedClock(client.time, clock.monotonic), Event())
    store = RedisStore(memory_store(clock), line)
    return store, wire_fleet(line, store, [], [], clock, processes, kraken=None, clocks={})


def test_a_frame_of_kraken_or_a_price_of_its_feed_is_a_word_from_it_and_rest_and_others_are_none() -> None:
    clock = FakeClock()
    client = open_redis(Config(redis_addr="127.0.0.1:1"), clock.monotonic)
    line = FleetLine(client, SharedClock(client.time, clock.monotonic), Event())
    store = RedisStore(memory_store(clock), line)
    link, others = SimpleNamespace(last_frame_at=None), SimpleNamespace(last_frame_at=clock.monotonic())
    kraken: Any = SimpleNamespace(link=lambda: link)
    bybit: Any = SimpleNamespace(link=lambda: others)
    heard_at = wire_fleet(line, store, [kraken, bybit], [], clock, kraken=kraken, clocks={}).lease._heard_at  # noqa: SLF001

    rest_alone = wire_fleet(line, store, [], [], clock, kraken=None, clocks={}).lease._heard_at  # noqa: SLF001

    assert heard_at() == rest_alone() == 0.0
    store.put(tick("1", source=REST, received_at=clock.monotonic()))
    assert heard_at() == 0.0  # Kraken answers the REST of a machine whose handshakes it refuses
    assert rest_alone() == clock.monotonic()
    clock.advance(1)
    store.put(tick("1", ETH, received_at=clock.monotonic()))
    assert heard_at() == clock.monotonic()
    link.last_frame_at = clock.monotonic() + 1
    assert heard_at() == link.last_frame_at


def test_it_is_known_which_machine_feeds_the_fleet() -> None:
    clock = FakeClock()
    _, fleet = wired(clock)

    def elsewhere(owner: str | None, parts: FleetParts = fleet) -> str | None:
        parts.lease.last_seen = Claim(owner, 1)
        return parts.owner_elsewhere()

    assert elsewhere(None) is None
    assert elsewhere(f"{socket.gethostname()}:17:abc") is None
    assert elsewhere("another-machine:17:abc") == "another-machine"
    fleet.lease._epoch = 1  # noqa: SLF001 - it holds the lease
    assert elsewhere("another-machine:17:abc") is None


def test_each_bulletin_is_known_to_the_neighbours_and_the_store_looks_at_what_they_know() -> None:
    clock = FakeClock()
    store, fleet = wired(clock, processes=2)
    assert fleet.askers() == 2
    with tempfile.TemporaryFile() as file:
        fleet.meet(file.fileno())
        fleet.owner.heard(7, clock.monotonic())
        assert Board(file.fileno()).read().heard_at == clock.monotonic()
        store.all()  # this process is not in step
        assert fleet.askers() == 1


def test_a_process_that_joins_its_fleet_leaves_what_its_neighbours_told_before() -> None:
    clock = FakeClock()
    store, fleet = wired(clock, processes=2)
    neighbours = memory_store(clock)
    neighbours.put(tick("1", ETH))
    with tempfile.TemporaryFile() as file:
        last_slot = Board(file.fileno(), lambda _, at, __: at == ASKER_LOCK + SLOTS)
        word = msgspec.msgpack.encode(list(neighbours.all().values()))
        last_slot.tell(word, clock.monotonic(), hears=False)
        clock.advance(8)
        fleet.meet(file.fileno())
        store.all()
        clock.advance(ANSWERED_WITHIN_SECONDS)
        assert not store.all()
        fleet.follower._is_joining = False  # noqa: SLF001 - it cannot reach Redis
        assert store.all()[ETH].tick.price == "1"


def test_only_where_sentinels_name_the_master_it_is_watched() -> None:
    clock = FakeClock()

    def runners(config: Config) -> set[str]:
        client = open_redis(config, clock.monotonic)
        line = FleetLine(client, SharedClock(client.time, clock.monotonic), Event())
        parts = wire_fleet(line, RedisStore(memory_store(clock), line), [], [], clock, kraken=None, clocks={})
        return {runner.name for runner in parts.runners}

    alone = runners(Config(redis_addr="127.0.0.1:1"))
    assert runners(Config(redis_sentinels=("127.0.0.1:1",), redis_master="prices")) == alone | {
        "master watch"
    }


def test_a_process_knows_the_gaps_that_the_owner_told_and_those_in_what_it_heard() -> None:
    clock = FakeClock()
    client = open_redis(Config(redis_addr="127.0.0.1:1"), clock.monotonic)
    line = FleetLine(client, SharedClock(client.time, clock.monotonic), Event())
    fleet = wire_fleet(
        line,
        RedisStore(memory_store(clock), line),
        [],
        [],
        clock,
        kraken=None,
        clocks={"bybit_trades": lambda at: at + NOON - 1000},
    )
    own, told = [Gap(NOON)], Gap(NOON - 60, NOON - 50)
    assert fleet.gaps("bybit_trades", own) == (Gap(NOON),)

    link = Link("bybit_trades", "active", True, 1, 1, None, None, {}, gaps=(told,))
    fleet.links.learn({"bybit_trades": msgspec.json.encode(link)})
    for _ in range(2):
        fleet.owner.heard(1, clock.monotonic())
        fleet.owner.cut()
    heard, *_ = fleet.owner.gaps("bybit_trades")
    assert fleet.gaps("bybit_trades", own) == (told, heard)
    assert fleet.seen(link).gaps == (told, heard)
    fleet.lease._epoch = 1  # noqa: SLF001 - it holds the lease
    assert fleet.gaps("bybit_trades", own) == (heard, Gap(NOON))
