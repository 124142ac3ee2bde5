"""Two services of two workers each on one Redis: one feed, and no request that waits for the network."""

import os
import re
import signal
import time
from collections.abc import Iterator
from functools import partial

import pytest

from ltp_service.redis.client import REDIS_TIMEOUT_SECONDS, ChannelSubscription
from tests.deadline import DEADLINE
from tests.process.fleet import WORKERS, Clients, Fleet, Seat, hold, until
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator

PAIR = "BTC/USD"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer.start(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(simulator: Simulator, redis: RedisServer) -> Iterator[Fleet]:
    with Fleet(simulator, 2, {"REDIS_ADDR": redis.address}) as running:
        yield running


def test_four_workers_have_one_connection_to_the_exchange(simulator: Simulator, fleet: Fleet) -> None:
    places = [seat.place() for seat in fleet.seats()]
    assert len(places) == 2 * WORKERS
    assert sorted(place["role"] for place in places) == ["follower", "follower", "follower", "owner"]
    assert len({(place["owner"], place["epoch"]) for place in places}) == 1
    counters = simulator.counters()
    assert (counters["connections_open"], counters["connections_total"]) == (1, 1)


def test_a_trade_is_served_by_the_farthest_worker(simulator: Simulator, fleet: Fleet) -> None:
    owner = fleet.owner()
    farthest = next(seat for seat in fleet.seats() if seat.service is not owner.service)
    for number in range(20):
        simulator.trade(PAIR, amount := f"{110000 + number}.1")
        until(partial(_serves, farthest, amount), DEADLINE, f"{PAIR} at {amount}")


def _serves(seat: Seat, amount: str) -> bool:
    return seat.amount(PAIR) == amount


def test_evidence_reaches_every_worker(fleet: Fleet) -> None:
    begun = time.monotonic()
    for seat in fleet.seats():
        until(partial(_has_evidence_since, seat, begun), DEADLINE, "evidence of after this moment")


def _has_evidence_since(seat: Seat, moment: float) -> bool:
    ages = [int(item["age_ms"]) for item in seat.get("/api/v1/ltp?detail=true").json()["ltp"]]
    return max(ages) < 1000 * (time.monotonic() - moment)


@pytest.mark.parametrize(("trouble", "remedy"), [("freeze", "thaw"), ("kill", "restart")])
def test_no_client_notices_a_frozen_or_an_emptied_redis(
    simulator: Simulator, redis: RedisServer, fleet: Fleet, trouble: str, remedy: str
) -> None:
    with Clients(fleet.services) as clients:
        begun = time.monotonic()
        hold(2)
        gone = time.monotonic()
        getattr(redis, trouble)()
        hold(3)
        back = time.monotonic()
        getattr(redis, remedy)()
        fleet.until_in_step(PAIR, "111111.1" if trouble == "freeze" else "111111.2", DEADLINE)
    assert not clients.failures()
    assert not clients.steps_back()
    clients.assert_none_waits((begun, gone), (gone, back), REDIS_TIMEOUT_SECONDS)
    simulator.wait(open=1)


def test_no_late_word_follows_a_successor(simulator: Simulator, redis: RedisServer, fleet: Fleet) -> None:
    epochs: list[int] = []
    subscription = redis.client().subscribe("ltp:prices@0")
    old = fleet.owner()
    until(lambda: _next_epoch(subscription, epochs) > 0, DEADLINE, "a bulletin of the first owner")
    os.kill(old.pid, signal.SIGSTOP)
    try:
        simulator.walk(rate=50)
        until(lambda: _next_epoch(subscription, epochs) > epochs[0], DEADLINE, "a bulletin of another owner")
    finally:
        os.kill(old.pid, signal.SIGCONT)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        _next_epoch(subscription, epochs)
    simulator.walk(on=False)
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 2
    assert fleet.owner().pid != old.pid
    fleet.until_in_step(PAIR, "111111.3", DEADLINE)
    simulator.wait(open=1)


def _next_epoch(subscription: ChannelSubscription, epochs: list[int]) -> int:
    """Of the newest bulletin, which is added to those seen."""
    message = subscription.receive(0.2)
    if isinstance(message, tuple):
        found = re.match(rb"[\d.]+ \[(\d+),", message[1])
        assert found is not None, message
        epochs.append(int(found[1]))
    return epochs[-1] if epochs else 0
