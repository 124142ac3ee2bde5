"""Several processes' limiters on one real Redis, in steered time."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ltp_service.app import create_app
from ltp_service.domain.errors import StoreUnavailable
from ltp_service.http.services import services_of
from ltp_service.limits.buckets import LimitDecision
from ltp_service.redis.client import LEFT_ALONE_SECONDS, RedisClient, open_redis
from ltp_service.redis.limits import (
    ADDRESSES_PER_EXCHANGE,
    EXCHANGE_EVERY_SECONDS,
    LimitExchange,
    SharedLimiter,
)
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.fakes import FakeClock, eventually
from tests.redis_server import RedisServer

CLIENT = "203.0.113.9"
KEY = f"ltp:limit:{CLIENT}"


class Fleet:
    """Processes that share a limit of 100 + 10/s, each with a monotonic clock of its own, all in step."""

    def __init__(self, server: RedisServer, processes: int, **more: Any) -> None:
        self.clock = FakeClock()
        redis = open_redis(Config(redis_addr=server.address), self.clock.monotonic)
        self.limiters = [
            SharedLimiter(100, 10.0, self._own(number), redis, server_time=self.clock.wall, **more)
            for number in range(processes)
        ]

    def _own(self, number: int) -> Callable[[], float]:
        return lambda: self.clock.monotonic() + 12_345.678 * number

    def exchange(self) -> None:
        """Each in turn, so that the last one knows what all told."""
        for limiter in self.limiters:
            limiter.exchange()

    def ask(self, process: int, client: str = CLIENT) -> bool:
        """One request, and the exchange at once that it may ask for."""
        limiter = self.limiters[process % len(self.limiters)]
        allowed = limiter.take(client).allowed
        if limiter.due(0):
            limiter.exchange()
        return allowed

    def minute(self, rate: int = 50) -> int:
        """How many of `rate` requests a second pass that are spread over all for 60 s, with an exchange in its time."""
        passed, exchanged_at = 0, self.clock.monotonic()
        for number in range(60 * rate):
            passed += self.ask(number)
            self.clock.advance(1 / rate)
            if self.clock.monotonic() - exchanged_at >= EXCHANGE_EVERY_SECONDS:
                self.exchange()
                exchanged_at = self.clock.monotonic()
        return passed


class Spy:
    """A client of Redis that notes how many addresses each script call is about, and lets a test do something then."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self.calls: list[int] = []
        self.during: Callable[[], object] = lambda: None

    def script(self, source: str) -> Callable[[Sequence[str], Sequence[Any]], Any]:
        script = self._redis.script(source)

        def call(keys: Sequence[str], arguments: Sequence[Any]) -> Any:
            if keys:
                self.calls.append(len(keys))
                self.during()
            return script(keys, arguments)

        return call


def spied(server: RedisServer, clock: FakeClock, **more: Any) -> tuple[SharedLimiter, Spy]:
    spy = Spy(open_redis(Config(redis_addr=server.address), clock.monotonic))
    redis: Any = spy
    return SharedLimiter(100, 10.0, clock.monotonic, redis, server_time=clock.wall, **more), spy


def balance(server: RedisServer) -> float:
    """What Redis keeps; nothing is a full bucket."""
    kept = server.run("GET", KEY)
    return float(kept.split()[0]) if kept else 100.0


def drain(limiter: SharedLimiter) -> int:
    passed = 0
    while limiter.take(CLIENT).allowed:
        passed += 1
    return passed


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_fifty_a_second_over_all_processes_admit_seven_hundred(processes: int, server: RedisServer) -> None:
    assert 0.98 * 700 <= Fleet(server, processes).minute() <= 1.02 * 700


def test_a_client_below_the_limit_is_never_refused(server: RedisServer) -> None:
    assert Fleet(server, 4).minute(rate=10) == 600


def test_a_burst_over_all_processes_passes_little_more_and_is_paid_for_later(server: RedisServer) -> None:
    fleet = Fleet(server, 4)
    burst = sum(fleet.ask(number) for number in range(1000))
    assert 100 <= burst <= 100 + 4 * 10
    assert abs(burst + fleet.minute() - 700) <= 0.02 * 700


def test_what_passed_too_much_is_a_debt_that_the_client_is_told_of(server: RedisServer) -> None:
    fleet = Fleet(server, 2)
    assert [drain(limiter) for limiter in fleet.limiters] == [100, 100]
    fleet.exchange()
    assert balance(server) == -100
    assert fleet.limiters[1].take(CLIENT) == LimitDecision(False, 100, 0, reset_seconds=20, retry_after=11)
    fleet.clock.advance(10.05)
    assert not fleet.limiters[1].take(CLIENT).allowed
    fleet.clock.advance(0.1)
    assert fleet.limiters[1].take(CLIENT).allowed


def test_one_client_never_pays_for_another(server: RedisServer) -> None:
    fleet = Fleet(server, 2)
    drain(fleet.limiters[0])
    fleet.exchange()
    assert fleet.limiters[0].take("203.0.113.10").remaining == 99


def test_a_process_learns_what_a_client_spent_elsewhere(server: RedisServer) -> None:
    fleet = Fleet(server, 2)
    for limiter in fleet.limiters:
        for _ in range(30):
            limiter.take(CLIENT)
    fleet.exchange()
    assert fleet.limiters[1].take(CLIENT).remaining == 100 - 60 - 1


def test_what_is_spent_while_an_exchange_is_under_way_is_not_lost(server: RedisServer) -> None:
    limiter, spy = spied(server, FakeClock())
    limiter.take(CLIENT)
    spy.during = lambda: [limiter.take(CLIENT) for _ in range(5)]
    limiter.exchange()
    spy.during = lambda: None
    assert limiter.take(CLIENT).remaining == 100 - 1 - 5 - 1
    limiter.exchange()
    assert balance(server) == 100 - 7


def test_no_request_asks_redis_anything(server: RedisServer) -> None:
    limiter, spy = spied(server, FakeClock())
    server.freeze()
    assert drain(limiter) == 100
    assert spy.calls == []
    server.thaw()


def test_a_client_that_spends_a_tenth_of_its_capacity_is_told_of_at_once(server: RedisServer) -> None:
    limiter, _ = spied(server, FakeClock())
    asked = []
    for _ in range(20):
        limiter.take(CLIENT)
        asked.append(limiter.due(0))
    assert asked == [False] * 9 + [True] + [False] * 10


def test_many_clients_are_told_of_in_several_calls(server: RedisServer) -> None:
    limiter, spy = spied(server, FakeClock())
    clients = [f"10.0.{number >> 8}.{number & 255}" for number in range(2 * ADDRESSES_PER_EXCHANGE + 1)]
    for client in clients:
        limiter.take(client)
    limiter.exchange()
    assert spy.calls == [ADDRESSES_PER_EXCHANGE, ADDRESSES_PER_EXCHANGE, 1]
    assert server.run("DBSIZE") == len(clients)
    limiter.exchange()
    assert len(spy.calls) == 3


def test_a_bucket_is_kept_until_it_is_full_again(server: RedisServer) -> None:
    fleet = Fleet(server, 1)
    drain(fleet.limiters[0])
    fleet.exchange()
    assert 9_000 < server.run("PTTL", KEY) <= 10_000


def test_a_servers_clock_that_steps_back_neither_refills_nor_blocks(server: RedisServer) -> None:
    fleet = Fleet(server, 2)
    drain(fleet.limiters[0])
    fleet.exchange()
    fleet.clock.set_wall(fleet.clock.wall() - 3600)
    fleet.limiters[1].take(CLIENT)
    fleet.exchange()
    assert balance(server) == -1
    fleet.clock.advance(1)
    fleet.limiters[1].take(CLIENT)
    fleet.exchange()
    assert balance(server) == pytest.approx(-1 + 10 - 1)


def test_a_servers_clock_that_steps_ahead_fills_the_bucket_and_no_more(server: RedisServer) -> None:
    fleet = Fleet(server, 1)
    limiter = fleet.limiters[0]
    drain(limiter)
    fleet.exchange()
    fleet.clock.advance(1)
    drain(limiter)
    fleet.clock.set_wall(fleet.clock.wall() + 3600)
    fleet.exchange()  # comes too late, by that clock
    assert balance(server) == 0
    fleet.exchange()
    assert balance(server) == 100 - 10


@pytest.mark.parametrize(
    "command", [("SET", KEY, "-inf 1"), ("SET", KEY, "lots"), ("HSET", KEY, "tokens", "1")]
)
def test_what_is_no_balance_is_a_full_bucket(command: tuple[str, ...], server: RedisServer) -> None:
    server.run(*command)
    limiter = Fleet(server, 1).limiters[0]
    limiter.take(CLIENT)
    limiter.exchange()
    assert limiter.take(CLIENT).remaining == 98
    assert balance(server) == 99


def test_each_process_counts_alone_while_redis_is_gone_and_in_step_after(server: RedisServer) -> None:
    fleet = Fleet(server, 2)
    fleet.exchange()
    server.kill()
    assert [drain(limiter) for limiter in fleet.limiters] == [100, 100]
    for limiter in fleet.limiters:
        with pytest.raises(StoreUnavailable):
            limiter.exchange()
    server.restart()
    fleet.clock.advance(LEFT_ALONE_SECONDS)
    for limiter in fleet.limiters:
        limiter.exchange()
    assert balance(server) == pytest.approx(-100 + 2 * 10 * LEFT_ALONE_SECONDS)
    assert fleet.limiters[1].take(CLIENT).reset_seconds == 20


def test_a_stalled_server_does_not_charge_later_what_was_given_up(server: RedisServer) -> None:
    limiter = SharedLimiter(100, 10.0, FakeClock().monotonic, server.client())
    drain(limiter)
    limiter.exchange()
    limiter.take("203.0.113.10")
    server.freeze()
    with pytest.raises(StoreUnavailable):
        limiter.exchange()
    server.thaw()
    assert server.run("DBSIZE") == 1


def test_what_is_spent_while_redis_is_gone_is_told_when_it_is_back(server: RedisServer) -> None:
    fleet = Fleet(server, 1)
    limiter = fleet.limiters[0]
    limiter.exchange()
    server.kill()
    for _ in range(3):
        limiter.take(CLIENT)
        with pytest.raises(StoreUnavailable):
            limiter.exchange()
    for _ in range(60):
        limiter.take(CLIENT)
    with pytest.raises(StoreUnavailable):
        limiter.exchange()
    server.restart()
    fleet.clock.advance(LEFT_ALONE_SECONDS)
    limiter.exchange()
    assert balance(server) == pytest.approx(100 - (3 + 60 - 10 * LEFT_ALONE_SECONDS))


def test_a_server_in_doubt_is_told_nothing_until_it_answers(server: RedisServer) -> None:
    clock = FakeClock()
    limiter, spy = spied(server, clock)
    limiter.exchange()
    server.kill()
    for _ in range(3):
        limiter.take(CLIENT)
        with pytest.raises(StoreUnavailable):
            limiter.exchange()
        clock.advance(LEFT_ALONE_SECONDS)
    assert spy.calls == [1]


def test_a_client_forgotten_during_an_exchange_stays_so(server: RedisServer) -> None:
    limiter, spy = spied(server, FakeClock(), max_addresses=1)
    limiter.take(CLIENT)
    spy.during = lambda: limiter.take("203.0.113.10")
    limiter.exchange()
    assert len(limiter) == 1


def test_an_hour_without_redis_is_not_held_against_a_client_below_the_limit(server: RedisServer) -> None:
    fleet = Fleet(server, 4)
    fleet.exchange()
    server.kill()
    for limiter in fleet.limiters:
        limiter.take(CLIENT)
        with pytest.raises(StoreUnavailable):
            limiter.exchange()
    for number in range(3600 * 8):
        assert fleet.limiters[number % 4].take(CLIENT).allowed
        fleet.clock.advance(1 / 8)
    server.restart()
    fleet.exchange()
    assert balance(server) > 95


def test_the_first_exchange_after_a_flood_is_as_small_as_the_table(server: RedisServer) -> None:
    clock = FakeClock()
    limiter, spy = spied(server, clock, max_addresses=50)
    for number in range(5000):
        limiter.take(f"10.0.{number >> 8}.{number & 255}")
    limiter.exchange()
    assert spy.calls == [50]


def test_it_says_once_that_redis_is_gone(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fleet = Fleet(server, 1)
    limiter = fleet.limiters[0]
    runner = LimitExchange(limiter)
    runner.attempt(limiter.exchange)
    server.kill()
    for _ in range(3):
        limiter.take(CLIENT)
        runner.attempt(limiter.exchange)
        fleet.clock.advance(LEFT_ALONE_SECONDS)
    server.restart()
    for _ in range(2):
        runner.attempt(limiter.exchange)
    first, second = caplog.messages
    assert "limits: what is known goes on without the others" in first
    assert second == "limits: in step with the others again"


def test_the_runner_brings_processes_in_step_in_real_time_and_ends_when_told(server: RedisServer) -> None:
    clock = FakeClock()
    limiters = [SharedLimiter(100, 0.001, clock.monotonic, server.client()) for _ in range(2)]
    stop = threading.Event()
    runners = [threading.Thread(target=LimitExchange(one).run, args=[stop], daemon=True) for one in limiters]
    for runner in runners:
        runner.start()
    try:
        assert drain(limiters[0]) == 100
        assert limiters[1].take(CLIENT).allowed
        eventually(lambda: balance(server) < 0)
    finally:
        stop.set()
        for runner in runners:
            runner.join(DEADLINE)
    assert not any(runner.is_alive() for runner in runners)


def test_the_settings_choose_redis_and_the_exchange_runs(server: RedisServer, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"redis_addr": server.address, "database_path": tmp_path / "none"}
    for backend in ("redis", "memory"):
        app = create_app(Config.model_validate(settings | {"cache_backend": backend}))
        names = [state.name for state in services_of(app).manager.states()]
        assert ("limits" in names) is (backend == "redis")
