"""ltp_service.redis.neighbours: the workers of one machine on one file, by one clock."""

import os
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from threading import Event
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from ltp_service.domain.exchange_clock import ExchangeClock
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST, WEBSOCKET
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.served import ServedPairs
from ltp_service.redis.board import ASKER_LOCK, Board
from ltp_service.redis.client import open_redis
from ltp_service.redis.clock import SharedClock
from ltp_service.redis.neighbours import (
    ANSWERED_WITHIN_SECONDS,
    BEHIND_SECONDS,
    FRESH_SECONDS,
    LOOK_EVERY_SECONDS,
    MUTE_AFTER_SECONDS,
    NEED_SECONDS,
    UNHEARD_SECONDS,
    Neighbours,
)
from ltp_service.redis.prices import RedisStore
from ltp_service.redis.topic import FleetLine
from ltp_service.rest.poll import CALLS_APART_SECONDS, POLL_EVERY_SECONDS, Poll
from ltp_service.rest.poll import LOOK_EVERY_SECONDS as POLL_LOOKS_EVERY_SECONDS
from ltp_service.rest.sequence import Detail
from ltp_service.rest.source import RestSource
from ltp_service.settings.config import Config
from tests.fakes import BTC, ETH, NOON, FakeClock, memory_store, runtime, tick
from tests.rest.test_poll import FakeRest

WORKERS = 3


class Machine:
    """What its workers share: the file, its locks, and the clock."""

    def __init__(self, file: int) -> None:
        self.file = file
        self.clock = FakeClock()
        self.locks: dict[int, Worker] = {}

    def workers(self, *, hears: bool) -> "tuple[Worker, Worker]":
        return Worker(self, hears=hears), Worker(self, hears=hears)


class Worker:
    def __init__(self, machine: Machine, *, hears: bool) -> None:
        self.machine, self.leads, self.hears = machine, False, hears
        self.is_joining = False
        self.waits_since: float | None = None
        self.heard_at = 0.0
        client = open_redis(Config(redis_addr="127.0.0.1:1"), machine.clock.monotonic)
        line = FleetLine(client, SharedClock(client.time, machine.clock.monotonic), Event())
        self.store = RedisStore(memory_store(machine.clock), line)
        self.neighbours = Neighbours(
            self.store,
            leads=lambda: self.leads,
            heard_at=lambda: self.heard_at if self.hears else None,
            is_joining=lambda: self.is_joining,
            waits_since=lambda: self.waits_since,
            processes=WORKERS,
            monotonic=machine.clock.monotonic,
        )
        self.neighbours.meet(Board(machine.file, self._lock))

    def _lock(self, _: int, at: int, wanted: bool) -> bool:
        if not wanted:
            del self.machine.locks[at]
            return True
        return self.machine.locks.setdefault(at, self) is self

    def hears_the_owner(self) -> None:
        self.heard_at = self.machine.clock.monotonic()
        self.neighbours.heard(self.heard_at)

    def dies(self) -> None:
        for at in [at for at, worker in self.machine.locks.items() if worker is self]:
            del self.machine.locks[at]

    def asks_rest(self, price: str, pair: Pair = BTC) -> None:
        """And is told that."""
        self.store.put(tick(price, pair, source=REST, received_at=self.machine.clock.monotonic()))

    def is_told(self, price: str, trade_id: int) -> None:
        """By the feed, its own or the owner's."""
        now = self.machine.clock.monotonic()
        self.store.put(tick(price, traded_at=NOON + trade_id, trade_id=trade_id, received_at=now))

    def poll(self, rest: FakeRest) -> Poll:
        """Of this worker, without a feed of its own."""
        config, world, doubts = Config(), runtime(self.machine.clock), Doubts()
        source = RestSource(config, rest, self.store, doubts, ExchangeClock(), world)
        fleet: Any = SimpleNamespace(
            leads=lambda: self.leads,
            in_step=lambda: self.hears,
            told_at=self.store.told_at,
            askers=self.neighbours.askers,
        )
        return Poll(config, ServedPairs((BTC, ETH)), source, self.store, doubts, world, None, fleet)

    def serves(self, pair: Pair = BTC) -> str | None:
        price = self.store.all().get(pair)
        return None if price is None else price.tick.price


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryFile() as file:
        yield Machine(file.fileno())


def test_what_one_worker_serves_the_other_serves_from_that_moment_on(machine: Machine) -> None:
    one, other = machine.workers(hears=False)
    for price in ("1", "2", "3"):
        one.asks_rest(price)
        assert one.serves() == price
        assert other.serves() == price
        machine.clock.advance(2)
    other.asks_rest("10", ETH)
    assert (other.serves(ETH), one.serves(ETH), one.serves()) == ("10", "10", "3")


def test_pollers_that_share_ask_rest_at_most_once_a_second_and_agree_whoever_is_gone(
    machine: Machine,
) -> None:
    rest = FakeRest(machine.clock)
    rest.details = dict.fromkeys((BTC, ETH), Detail(None, None, dated=True))
    workers = list(machine.workers(hears=False))
    polls = {worker: worker.poll(rest) for worker in workers}
    served = set()
    for second in range(60):
        rest.traded(f"{100 + second}.0", 0)
        if second == 30:
            machine.locks[ASKER_LOCK].dies()
            workers = [worker for worker in workers if worker in machine.locks.values()]
        for _ in range(4):
            machine.clock.advance(POLL_LOOKS_EVERY_SECONDS)
            for worker in workers:
                polls[worker].look()
                assert len({each.serves() for each in workers}) == 1
        served.add(workers[0].serves())

    assert len(served) > 20
    moments = [at for _, at in rest.asked]
    assert min(later - earlier for earlier, later in pairwise(moments)) >= CALLS_APART_SECONDS
    assert max(later - earlier for earlier, later in pairwise(moments)) <= 2 * POLL_EVERY_SECONDS


def test_one_worker_asks_for_all_and_the_next_one_at_once_when_it_is_gone(machine: Machine) -> None:
    one, other = machine.workers(hears=False)
    third = Worker(machine, hears=False)
    for worker in (one, other, third):
        worker.serves()
    assert [worker.neighbours.askers() for worker in (one, other, third)] == [1, 0, 0]
    one.dies()
    assert [worker.neighbours.askers() for worker in (other, third)] == [1, 0]
    other.hears = True
    other.serves()
    assert third.neighbours.askers() == 1


def test_where_the_one_that_asks_tells_nothing_each_asks_as_seldom_as_without_neighbours(
    machine: Machine,
) -> None:
    one, other = machine.workers(hears=False)
    for worker in (one, other):
        worker.serves()
    assert one.neighbours.askers() == 1
    machine.clock.advance(UNHEARD_SECONDS - 0.1)
    assert other.neighbours.askers() == 0
    one.asks_rest("1")
    assert one.serves() == other.serves() == "1"
    machine.clock.advance(UNHEARD_SECONDS - 0.1)
    assert other.neighbours.askers() == 0
    machine.clock.advance(0.1)
    assert other.neighbours.askers() == WORKERS


def test_a_worker_that_is_in_step_first_hands_on_to_the_others(machine: Machine) -> None:
    first, second = machine.workers(hears=False)
    first.asks_rest("1")
    assert first.serves() == second.serves() == "1"

    first.hears = True
    for number in (7, 8):
        machine.clock.advance(LOOK_EVERY_SECONDS)
        first.is_told(f"1.{number}", trade_id=number)
        assert first.serves() == f"1.{number}"
        assert second.serves() == f"1.{number}"
        assert second.store.told_at(BTC) == machine.clock.monotonic()


def test_a_worker_that_hears_the_owner_later_than_its_neighbour_takes_what_that_one_knows(
    machine: Machine,
) -> None:
    """As while one of them still listens at a Redis that was replaced."""
    ahead, behind = machine.workers(hears=True)
    for worker in (ahead, behind):
        worker.hears_the_owner()
        worker.is_told("1", trade_id=7)
    machine.clock.advance(BEHIND_SECONDS)
    ahead.hears_the_owner()
    ahead.is_told("2", trade_id=8)
    assert (ahead.serves(), behind.serves()) == ("2", "1")
    machine.clock.advance(LOOK_EVERY_SECONDS)
    assert (ahead.serves(), behind.serves()) == ("2", "2")


def test_workers_share_what_rest_told_while_an_owner_that_they_hear_knows_nothing(machine: Machine) -> None:
    one, other = machine.workers(hears=True)
    for worker in (one, other):
        worker.is_told("1", trade_id=7)
    machine.clock.advance(15)
    for worker in (one, other):
        worker.hears_the_owner()
        worker.serves()
    assert one.neighbours.askers() == 1
    one.asks_rest("2")
    machine.clock.advance(LOOK_EVERY_SECONDS)
    assert (one.serves(), other.serves(), other.neighbours.askers()) == ("2", "2", 0)


def test_an_old_word_of_a_worker_that_was_in_step_is_not_taken_for_the_owners(machine: Machine) -> None:
    before, now = machine.workers(hears=True)
    now.hears = False
    now.serves()
    before.is_told("1", trade_id=7)
    before.serves()
    machine.clock.advance(FRESH_SECONDS)
    assert now.serves() == "1"
    assert now.store.told_at(BTC) is None


def test_a_worker_that_begins_leaves_what_was_told_before_it_until_redis_and_its_neighbours_had_time(
    machine: Machine,
) -> None:
    """As after a reload: those that hear the owner told their last word when they began, and other machines serve more."""
    before, begins = machine.workers(hears=False)
    before.asks_rest("1")
    before.serves()
    machine.clock.advance(8)
    begins.is_joining = True
    assert begins.serves() is None
    machine.clock.advance(ANSWERED_WITHIN_SECONDS)
    assert begins.serves() is None
    begins.is_joining = False
    assert begins.serves() == "1"


def test_a_worker_that_begins_without_redis_takes_what_a_neighbour_tells_it_then_before_what_was_told(
    machine: Machine,
) -> None:
    gone, begins = machine.workers(hears=False)
    hears = Worker(machine, hears=True)
    gone.asks_rest("1")
    gone.serves()
    gone.dies()
    machine.clock.advance(8)
    hears.is_told("2", trade_id=8)
    assert begins.serves() is None
    assert hears.serves() == begins.serves() == "2"
    machine.clock.advance(ANSWERED_WITHIN_SECONDS)
    assert begins.serves() == "2"


def test_a_worker_that_begins_with_an_older_price_of_redis_takes_what_its_neighbours_told_before_it(
    machine: Machine,
) -> None:
    """As where Redis comes back with its old data, or the owner is heard and knows nothing new."""
    away, begins = machine.workers(hears=False)
    away.is_told("1", trade_id=7)
    redis_had = list(away.store.held().values())
    machine.clock.advance(20)
    away.asks_rest("2")
    away.serves()
    machine.clock.advance(1)
    begins.is_joining = True
    assert begins.serves() is None
    begins.is_joining, begins.hears = False, True
    begins.hears_the_owner()
    begins.store.follow(redis_had)
    machine.clock.advance(LOOK_EVERY_SECONDS)
    assert begins.serves() == "2"


def test_evidence_that_the_owner_takes_back_is_taken_back_from_the_neighbours(machine: Machine) -> None:
    owner, away = machine.workers(hears=False)
    owner.leads = True
    away.serves()
    owner.is_told("1", trade_id=7)
    machine.clock.advance(10)
    owner.store.confirm([BTC], machine.clock.monotonic(), WEBSOCKET)
    away.serves()
    assert owner.serves() == away.serves() == "1"
    machine.clock.advance(LOOK_EVERY_SECONDS)
    owner.store.withdraw([BTC], machine.clock.monotonic() - 5)
    owner.serves()
    assert away.store.all()[BTC].confirmed_at == machine.clock.monotonic() - 5


def test_while_redis_stands_still_a_worker_that_heard_the_owner_a_moment_ago_serves_what_it_serves(
    machine: Machine,
) -> None:
    owner, other = machine.workers(hears=True)
    owner.leads = True
    for worker in (owner, other):
        worker.hears_the_owner()
        worker.is_told("1", trade_id=7)
        assert worker.serves() == "1"
    machine.clock.advance(LOOK_EVERY_SECONDS)
    owner.is_told("2", trade_id=8)
    owner.waits_since = machine.clock.monotonic()
    machine.clock.advance(MUTE_AFTER_SECONDS)
    assert (owner.serves(), other.serves()) == ("2", "2")
    owner.leads = False  # its bulletin failed, and it does not hear its own any more
    for number in (9, 10):
        machine.clock.advance(LOOK_EVERY_SECONDS)
        owner.is_told(str(number), trade_id=number)
        assert (owner.serves(), other.serves()) == (str(number), str(number))
    machine.clock.advance(NEED_SECONDS)
    for worker in (owner, other):
        worker.hears_the_owner()  # another one
    owner.is_told("11", trade_id=11)
    assert (owner.serves(), other.serves()) == ("11", "10")


def test_a_worker_that_hears_the_owner_reads_no_word_of_another_that_does(machine: Machine) -> None:
    """With many pairs that would cost more than the bulletins."""
    one, other = machine.workers(hears=True)
    Worker(machine, hears=False).serves()
    for worker in (one, other):
        worker.hears_the_owner()
    one.is_told("1", trade_id=7)
    assert one.serves() == "1"
    assert other.serves() is None


def test_an_owner_takes_no_price_from_a_neighbour(machine: Machine) -> None:
    owner, away = machine.workers(hears=False)
    owner.leads = True
    away.asks_rest("1")
    assert (away.serves(), owner.serves()) == ("1", None)


def test_while_all_are_in_step_nothing_is_told(machine: Machine) -> None:
    one, other = machine.workers(hears=True)
    one.is_told("1", trade_id=7)
    assert (one.serves(), other.serves()) == ("1", None)
    assert os.fstat(machine.file).st_size == 0


def test_a_word_that_cannot_be_read_is_logged_once_and_costs_nothing_else(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = machine.workers(hears=False)
    one.asks_rest("1")
    one.serves()
    Board(machine.file, one._lock).tell(msgspec.msgpack.encode("?"), 1000.0, hears=True)  # noqa: SLF001
    assert other.serves() is None
    assert "each asks REST by itself: what a worker told cannot be read" in caplog.text
    other.asks_rest("2")
    assert other.serves() == "2"
