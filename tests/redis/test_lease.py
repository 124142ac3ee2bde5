"""ltp_service.redis.lease: several processes that ask one real Redis who feeds the fleet."""

import time
from collections.abc import Callable, Generator
from itertools import pairwise
from threading import Event
from typing import Any

import pytest

from ltp_service.redis.client import LEFT_ALONE_SECONDS, REDIS_TIMEOUT_SECONDS
from ltp_service.redis.lease import (
    CLAIM_EVERY_SECONDS,
    CLAIM_SECONDS,
    GIVEN_UP_KEY,
    IN_VAIN_SECONDS,
    LEASE_KEY,
    LONGEST_IN_VAIN_SECONDS,
    LONGEST_PAUSE_SECONDS,
    OTHERS_FIRST_SECONDS,
    SHORT_TENURE_SECONDS,
    Claim,
    Lease,
)
from ltp_service.redis.topic import EPOCH_KEY
from tests.deadline import DEADLINE
from tests.fakes import FakeClock, ScriptedStop, eventually
from tests.redis_server import RedisServer

Script = Generator[None]
"""What happens to a process; between two steps it looks once at its lease."""


class Collector:
    """Runs or does not."""

    name = "kraken"

    def __init__(self) -> None:
        self.running = False
        self.starts = 0

    def run(self, stop: Event) -> None:
        self.running = True
        self.starts += 1
        stop.wait()
        self.running = False


class Process:
    """One of the fleet. Its clock goes on only while it waits."""

    def __init__(self, server: RedisServer, name: str, collector: Collector | None = None) -> None:
        self.server = server
        self.clock = FakeClock()
        self.collector = collector or Collector()
        self.in_step = True
        self.heard_at: float | None = None
        """When the last word came from Kraken; None is now, always."""
        self.under_way = 0.0
        """Seconds that the network keeps what is sent."""
        self.begun = 0
        self.lease = Lease(
            server.client(),
            name,
            [self.collector],
            in_step=lambda: self.in_step,
            heard_at=lambda: self.clock.monotonic() if self.heard_at is None else self.heard_at,
            begin=self._begin,
            monotonic=self.clock.monotonic,
            server_time=lambda: time.time() - self.under_way,
        )

    def _begin(self) -> None:
        self.begun += 1

    def play(self, script: Callable[[], Script]) -> None:
        """Runs the lease; it is told to stop when the script is over."""
        stop = ScriptedStop(self.clock)
        steps = script()

        def step() -> None:
            try:
                next(steps)
            except StopIteration:
                stop.set()

        stop.meanwhile = step
        self.lease.run(stop)

    def ask(self) -> int | None:
        """Looks once and ends; the number of the tenure that it had meanwhile."""
        granted = []

        def once() -> Script:
            granted.append(self.lease.epoch())
            yield

        self.play(once)
        return granted[0]

    def leads(self) -> bool:
        eventually(lambda: self.collector.running == (self.lease.epoch() is not None))
        return self.collector.running


@pytest.fixture
def one(server: RedisServer) -> Process:
    return Process(server, "one")


@pytest.fixture
def other(server: RedisServer) -> Process:
    return Process(server, "other")


def owner(server: RedisServer) -> str | None:
    name = server.run("GET", LEASE_KEY)
    return name.decode() if name else None


def lapse(server: RedisServer) -> None:
    """As time would do."""
    server.run("DEL", LEASE_KEY)


def test_one_process_feeds_the_fleet_and_the_others_know_which(one: Process, other: Process) -> None:
    def leading() -> Script:
        assert one.leads()
        assert owner(one.server) == "one"
        assert one.begun == 1
        assert other.ask() is None
        assert not other.collector.starts
        assert other.lease.last_seen.owner == "one"
        assert other.lease.last_seen.epoch == one.lease.epoch()
        yield

    one.play(leading)


def test_what_runs_because_of_the_lease_is_told(one: Process) -> None:
    def leading() -> Script:
        assert [(state.name, state.alive) for state in one.lease.collectors()] == [("kraken", True)]
        yield

    assert one.lease.collectors() == []
    one.play(leading)
    assert one.lease.collectors() == []


def test_a_claim_is_renewed_every_third_of_its_life(one: Process) -> None:
    client = one.server.client()

    def leading() -> Script:
        client.run("PEXPIRE", LEASE_KEY, 1000)
        while one.clock.monotonic() < 1000 + CLAIM_SECONDS / 3:
            assert client.run("PTTL", LEASE_KEY) <= 1000
            yield
        yield
        assert client.run("PTTL", LEASE_KEY) > 1000  # Redis's own clock: it may have lived a while

    one.play(leading)


def test_a_claims_life_counts_from_the_question(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    renew = one.lease._renew  # noqa: SLF001 - the answer has to take its time

    def answered_late(keys: Any, arguments: Any) -> Any:
        asked.append(one.clock.monotonic())
        answer = renew(keys, arguments)
        one.clock.advance(CLAIM_SECONDS / 2)
        return answer

    def leading() -> Script:
        assert one.leads()
        monkeypatch.setattr(one.lease, "_renew", answered_late)
        one.clock.advance(CLAIM_SECONDS / 3)
        yield
        yield  # half of the life of the claim is over when the answer comes, so it is renewed at once

    one.play(leading)
    assert len(asked) == 2


def test_a_process_that_ends_in_order_leaves_the_lease_to_the_next(one: Process, other: Process) -> None:
    first = one.ask() or 0
    assert not one.collector.running
    assert owner(one.server) is None
    second = other.ask() or 0
    assert second > first > 0


def test_a_release_that_was_long_under_way_takes_the_lease_from_no_process(
    one: Process, other: Process
) -> None:
    def leading() -> Script:
        assert one.leads()
        one.under_way = 2 * REDIS_TIMEOUT_SECONDS
        yield

    one.play(leading)
    assert owner(one.server) == "one"  # as after a claim that came before the release
    assert other.ask() is None


def test_a_claim_that_was_long_under_way_gives_the_lease_to_no_process(one: Process, other: Process) -> None:
    one.under_way = 2 * REDIS_TIMEOUT_SECONDS
    assert one.ask() is None
    assert one.lease.last_seen == Claim(None, 0)
    assert owner(one.server) is None
    assert other.ask() is not None


def test_a_dead_process_is_followed_with_a_higher_number(one: Process, other: Process) -> None:
    epochs: list[int] = []

    def leading() -> Script:
        epochs.append(one.lease.epoch() or 0)
        assert other.ask() is None
        lapse(one.server)
        epochs.append(other.ask() or 0)
        yield

    one.play(leading)
    assert epochs[1] > epochs[0]


def test_a_redis_that_lost_everything_gives_no_number_twice(one: Process, other: Process) -> None:
    first = one.ask() or 0
    one.server.run("FLUSHALL")
    second = other.ask() or 0
    assert second > first > 0


def test_a_clock_that_was_set_back_gives_no_smaller_number(one: Process) -> None:
    tomorrow = 10**13
    one.server.run("SET", EPOCH_KEY, tomorrow)
    assert one.ask() == tomorrow + 1


def test_an_epoch_that_is_no_number_keeps_no_fleet_without_an_owner(one: Process) -> None:
    one.server.run("SET", EPOCH_KEY, "garbage")
    assert (one.ask() or 0) > 0


def test_a_claim_that_redis_refuses_is_reported(one: Process, caplog: pytest.LogCaptureFixture) -> None:
    one.server.run("REPLICAOF", "127.0.0.1", "1")
    assert one.ask() is None
    assert any("needs an owner is not known" in message for message in caplog.messages)


def test_a_claim_copied_from_a_server_whose_clock_is_ahead_lives_no_longer(one: Process) -> None:
    one.server.run("SET", LEASE_KEY, "dead", "PX", 65_000)
    assert one.ask() is None
    assert 0 < one.server.run("PTTL", LEASE_KEY) <= CLAIM_SECONDS * 1000


def test_an_owner_of_any_name_is_an_owner(one: Process) -> None:
    one.server.run("SET", LEASE_KEY, b"\xff")
    assert one.ask() is None
    assert one.lease.last_seen.owner == "\N{REPLACEMENT CHARACTER}"


def test_a_claim_whose_answer_never_came_is_taken_up_again_with_its_number(one: Process) -> None:
    keys, asked = (LEASE_KEY, EPOCH_KEY, GIVEN_UP_KEY), ("one", 5000, time.time() + DEADLINE, "one")
    claimed = one.lease._claim(keys, asked)  # noqa: SLF001 - as Redis did while its answer was lost
    assert one.ask() == claimed[2]


def test_a_lease_that_cannot_be_renewed_is_given_up(one: Process, caplog: pytest.LogCaptureFixture) -> None:
    def leading() -> Script:
        assert one.leads()
        one.server.freeze()
        one.lease.doubt()
        yield
        assert not one.leads()
        assert one.lease.epoch() is None
        one.server.thaw()

    one.play(leading)
    assert any("no longer" in message and "does not answer" in message for message in caplog.messages)


def test_after_a_doubt_the_same_process_goes_on_with_the_same_number(one: Process) -> None:
    epochs: list[int] = []

    def leading() -> Script:
        epochs.append(one.lease.epoch() or 0)
        assert one.leads()
        one.server.freeze()
        one.lease.doubt()
        yield
        one.server.thaw()
        Event().wait(2 * LEFT_ALONE_SECONDS)  # the client leaves a server alone that did not answer
        yield
        epochs.append(one.lease.epoch() or 0)
        assert one.leads()

    one.play(leading)
    assert epochs[0] == epochs[1] > 0
    assert one.collector.starts == one.begun == 2


def test_a_lease_that_another_has_is_given_up_at_the_first_hint(one: Process) -> None:
    seen = []

    def leading() -> Script:
        one.server.run("SET", LEASE_KEY, "other")
        one.lease.doubt()  # the publisher was fenced
        yield
        seen.append(one.lease.epoch())

    one.play(leading)
    assert seen == [None]
    assert owner(one.server) == "other"


def test_a_lost_number_ends_the_tenure_and_the_next_has_a_higher_one(one: Process) -> None:
    epochs: list[int] = []

    def leading() -> Script:
        epochs.append(one.lease.epoch() or 0)
        assert one.leads()
        one.server.run("DEL", EPOCH_KEY)
        one.lease.doubt()
        yield
        epochs.append(one.lease.epoch() or 0)
        assert one.leads()

    one.play(leading)
    assert epochs[1] > epochs[0]
    assert one.collector.starts == 2


def test_who_stood_still_for_a_claims_life_gives_up(one: Process, caplog: pytest.LogCaptureFixture) -> None:
    def leading() -> Script:
        assert one.leads()
        one.clock.advance(CLAIM_SECONDS)
        yield
        assert one.leads()

    one.play(leading)
    assert any("stood still for 5" in message for message in caplog.messages)
    assert one.collector.starts == 2


def test_who_does_not_hear_the_owner_does_not_want_to_be_one(one: Process) -> None:
    one.in_step = False
    assert one.ask() is None
    assert owner(one.server) is None
    one.in_step = True
    assert one.ask() is not None


def test_a_deaf_owner_gives_it_up(one: Process, other: Process, caplog: pytest.LogCaptureFixture) -> None:
    def leading() -> Script:
        assert one.leads()
        one.heard_at = begun = one.clock.monotonic()
        while one.lease.epoch() is not None:
            yield
        latest = IN_VAIN_SECONDS + CLAIM_SECONDS / 3 + CLAIM_SECONDS + 1
        assert IN_VAIN_SECONDS <= one.clock.monotonic() - begun <= latest
        assert other.ask() is not None
        while one.lease.epoch() is None:
            yield

    one.play(leading)
    assert any("nothing came from Kraken's feed for 20 s" in message for message in caplog.messages)


def test_a_machine_that_hears_nothing_lets_another_one_go_first(server: RedisServer, other: Process) -> None:
    """Its own processes would most probably hear nothing either, for 20 s each."""
    deaf, neighbour = Process(server, "here:1"), Process(server, "here:2")

    def leading() -> Script:
        deaf.heard_at = deaf.clock.monotonic()
        while deaf.lease.epoch() is not None:
            yield
        assert neighbour.ask() is None
        assert neighbour.lease.last_seen.owner is None
        assert other.ask() is not None
        server.run("PEXPIRE", GIVEN_UP_KEY, 0)  # as time would do, where there is no other machine
        assert neighbour.ask() is not None
        yield

    deaf.play(leading)
    assert 0.5 <= 2 * CLAIM_EVERY_SECONDS < OTHERS_FIRST_SECONDS < CLAIM_SECONDS


def test_while_no_process_hears_kraken_the_owner_gives_up_ever_more_seldom(one: Process) -> None:
    tenures: list[float] = []

    def one_in_vain() -> Script:
        while one.lease.epoch() is None:
            yield
        begun = one.clock.monotonic()
        while one.lease.epoch() is not None:
            yield
        tenures.append(one.clock.monotonic() - begun)

    def leading() -> Script:
        one.heard_at = one.clock.monotonic()
        for _ in range(7):
            yield from one_in_vain()
        yield
        one.heard_at = one.clock.monotonic()  # as another owner told
        yield from one_in_vain()

    one.play(leading)
    expected = [20.0, 40.0, 80.0, 160.0, 320.0, LONGEST_IN_VAIN_SECONDS, LONGEST_IN_VAIN_SECONDS, 20.0]
    assert all(0 <= tenure - least < CLAIM_SECONDS for tenure, least in zip(tenures, expected, strict=True))


def test_without_redis_nobody_feeds_the_fleet(one: Process) -> None:
    one.server.kill()
    assert one.ask() is None


def test_tenures_that_end_again_and_again_follow_each_other_ever_more_slowly(one: Process) -> None:
    begun: list[float] = []

    def leading() -> Script:
        while len(begun) < 6:
            assert one.leads()
            begun.append(one.clock.monotonic())
            tenure = one.begun
            one.server.run("DEL", LEASE_KEY)
            one.lease.doubt()
            while one.begun == tenure:
                yield

    one.play(leading)
    pauses = [later - earlier for earlier, later in pairwise(begun)]
    assert pauses[0] < 1
    assert pauses[0] < pauses[1] < pauses[2]
    assert (
        LONGEST_PAUSE_SECONDS <= pauses[-1] < LONGEST_PAUSE_SECONDS + 1
    )  # so that a fleet of such processes has an owner in time


def test_after_tenures_that_ended_soon_another_process_has_the_lease_first(one: Process) -> None:
    owners: list[str | None] = []

    def leading() -> Script:
        while one.begun < 4:
            tenure = one.begun
            one.server.run("INCR", EPOCH_KEY)  # the renewal fails, and the claim is still its own
            one.lease.doubt()
            while one.begun == tenure:
                owners.append(owner(one.server))
                yield

    one.play(leading)
    assert owners[0] == "one"
    assert None in owners


def test_tenures_that_last_are_followed_at_once(one: Process) -> None:
    pauses: list[float] = []

    def leading() -> Script:
        ended = one.clock.monotonic()
        while len(pauses) < 4:
            pauses.append(one.clock.monotonic() - ended)
            tenure, begun = one.begun, one.clock.monotonic()
            while one.clock.monotonic() < begun + SHORT_TENURE_SECONDS:
                yield
            ended = one.clock.monotonic()
            lapse(one.server)
            one.lease.doubt()
            while one.begun == tenure:
                yield

    one.play(leading)
    assert max(pauses) < 0.5


def test_no_tenure_begins_beside_the_last_one(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    overlaps = []

    class Slow(Collector):
        def run(self, stop: Event) -> None:
            overlaps.append(self.running)
            self.running = True
            stop.wait()
            eventually(lambda: "waiting for the collectors to end" in caplog.text)
            self.running = False

    one = Process(server, "one", Slow())

    def leading() -> Script:
        eventually(lambda: one.collector.running)
        one.clock.advance(CLAIM_SECONDS)
        yield
        eventually(lambda: one.collector.running)

    one.play(leading)
    assert overlaps == [False, False]
