"""Two workers of one machine whose Redis stands still, or is gone."""

import time
from itertools import pairwise
from pathlib import Path

from ltp_service.redis.neighbours import MUTE_AFTER_SECONDS, NEED_SECONDS
from tests.deadline import DEADLINE
from tests.process.fleet import Fleet, hold, until
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator

PAIR, TRADED = "XRP/USD", "2.93017"
ALONE = 6.0
"""Seconds without Redis."""
LOOKS = 40
UNDER_WAY = 0.3
"""Seconds by which a call may be under way longer than the one before it."""


def test_while_redis_stands_still_the_workers_of_a_machine_serve_the_same_price(
    simulator: Simulator, tmp_path: Path
) -> None:
    with RedisServer.start(tmp_path) as redis, Fleet(simulator, 1, {"REDIS_ADDR": redis.address}) as fleet:
        owner = fleet.owner()
        (other,) = (seat for seat in fleet.seats() if seat.pid != owner.pid)
        hold(NEED_SECONDS)  # they needed each other when they began
        redis.freeze()
        simulator.trade(PAIR, TRADED)
        until(lambda: owner.amount(PAIR) == TRADED, DEADLINE, "the trade at the owner")
        hold(2 * MUTE_AFTER_SECONDS)
        assert (owner.amount(PAIR), other.amount(PAIR)) == (TRADED, TRADED)


def test_without_redis_the_workers_of_a_machine_serve_the_same_price_and_one_of_them_asks_rest(
    simulator: Simulator, tmp_path: Path
) -> None:
    with RedisServer.start(tmp_path) as redis, Fleet(simulator, 1, {"REDIS_ADDR": redis.address}) as fleet:
        seats = one, other = fleet.seats()
        redis.kill()
        until(lambda: not any(seat.place()["in_step"] for seat in seats), DEADLINE, "out of step")
        begun, served = time.time(), set()
        for look in range(LOOKS):
            if look % 4 == 0:
                simulator.trade(PAIR, f"2.91{look:03}")
            hold(ALONE / LOOKS)
            first, second, again = one.amount(PAIR), other.amount(PAIR), one.amount(PAIR)
            assert second in (first, again)
            served.add(second)
        asked = [at for at in simulator.counters()["rest_times"] if at > begun]

    assert len(served) > 2
    assert all(later - earlier > 1 - UNDER_WAY for earlier, later in pairwise(asked))
