"""What is done to the Redis that a fleet shares, and to the one that feeds it.

Their short forms are tests of their own, beside tests/process/fleet.py.
"""

from functools import partial

from ltp_service.exchanges.kraken_rest import UNTOLD_CACHE_SECONDS
from ltp_service.redis.lease import LEASE_KEY, SHORT_TENURE_SECONDS
from ltp_service.rest.poll import POLL_EVERY_SECONDS
from tests.deadline import DEADLINE
from tests.drill.clients import Reading
from tests.drill.proxy import Proxy
from tests.drill.row import Row, Stage, row
from tests.process.fleet import WORKERS, Fleet, until
from tests.process.service import Service, ServiceError

SLOWEST = 0.3
"""Seconds for 99 of 100 requests while it lasts."""

BACK, FAILED_OVER = 1.0, 4.0
"""Seconds from Redis's return, and from a replica's promotion, to a trade that is served everywhere."""

TAKEN_OVER = 7.0
"""Seconds from an owner's death to a trade that is served everywhere: the life of a lease and two more."""

LEFT, STAYS = 25.0, 10.0
"""Seconds after which an owner that hears nothing from Kraken has left the feed to another machine: the time in vain is 20 s, and
one of its own workers may be the next owner. Seconds for which the other one is watched then."""

FROZEN, AWAY = 30.0, 5.0
KILLS = 10

ON_THEIR_OWN = POLL_EVERY_SECONDS * WORKERS + UNTOLD_CACHE_SECONDS
"""Seconds by which workers may be apart that hear nothing from each other and ask REST in turn."""
WALK = Row.walk
"""Events per second, which stop for the trade that is waited for."""

of_a_fleet = partial(row, several_workers=True, long=True)


@of_a_fleet("redis_frozen", "Redis frozen (SIGSTOP) 30 s, 2 x 2 workers", fleet="redis", apart=ON_THEIR_OWN)
def frozen(stage: Stage) -> None:
    assert stage.redis is not None
    with stage.faulty():
        stage.redis.freeze()
        stage.hold(FROZEN)
        stage.redis.thaw()
    _judge(stage, BACK)


@of_a_fleet("redis_killed", "Redis killed, empty 5 s later, 2 x 2 workers", fleet="redis", apart=ON_THEIR_OWN)
def killed(stage: Stage) -> None:
    assert stage.redis is not None
    with stage.faulty():
        stage.redis.kill()
        stage.hold(AWAY)
        stage.redis.restart()
    _judge(stage, BACK)


@of_a_fleet("redis_failover", "Sentinel failover, 2 x 2 workers", fleet="sentinels", apart=ON_THEIR_OWN)
def failover(stage: Stage) -> None:
    assert stage.sentinels is not None
    with stage.faulty():
        took = stage.sentinels.fail_over()
    stage.remarks.append(f"promoted after {took:.1f} s")
    _judge(stage, FAILED_OVER)


@of_a_fleet("owner_killed", "owner of the feed killed (SIGKILL, all its workers), 10 times", fleet="redis")
def owner_killed(stage: Stage) -> None:
    """The clients ask the service beside it, which has to take over."""
    assert stage.fleet is not None
    took, connections = [], set()
    with stage.faulty():
        for _ in range(KILLS):
            (victim,) = (service for service in stage.fleet.services if service is not stage.service)
            _hand_over(stage, stage.fleet, victim)
            stage.fleet.kill(victim)
            took.append(stage.fleet.until_in_step(*_TRADE, 2 * TAKEN_OVER))
            stage.simulator.walk(WALK)
            connections.add(_connections(stage))
            stage.fleet.join()
            stage.fleet.until_led()
    slowest = max(took)
    stage.check(connections == {1}, "one connection to the exchange")
    stage.check(slowest <= TAKEN_OVER, f"taken over after {min(took):.1f} to {slowest:.1f} s")
    stage.seen.append(partial(_was_fast, stage))


def _refused(stage: Stage, *lines: Proxy | None) -> None:
    """Only the machine of the owner is refused, on these ways to Kraken; the clients ask this machine."""
    assert stage.fleet is not None
    (other,) = (service for service in stage.fleet.services if service is not stage.service)
    _hand_over(stage, stage.fleet, stage.service)
    with stage.faulty():
        for line in filter(None, lines):
            line.forbid()
            line.cut()
        left = stage.until(lambda: _leads(stage, other), LEFT + 15.0, "the other machine feeds the fleet")
        stage.simulator.walk(on=False)
        stage.simulator.trade(*_TRADE)
        stage.until(lambda: stage.service.ltp().get(_TRADE[0]) == _TRADE[1], 5.0, "its trades are told here")
        stage.simulator.walk(WALK)
        stage.hold(STAYS)
        stage.check(_leads(stage, other), "and it goes on")
        for line in filter(None, lines):
            line.forbid(False)
    stage.check(left <= LEFT, f"another machine feeds the fleet after {left:.1f} s")
    stage.seen.append(partial(_oldest, stage))


@of_a_fleet(
    "owner_refused",
    "only the owner's machine is refused by Kraken (403), WebSocket and REST, 2 x 2 workers",
    fleet="redis",
    proxied=True,
    own_way=True,
    apart=ON_THEIR_OWN,
)
def owner_refused(stage: Stage) -> None:
    _refused(stage, stage.feed, stage.rest)


@of_a_fleet(
    "owner_handshake",
    "the same, the WebSocket's handshake alone, REST answers",
    fleet="redis",
    proxied=True,
    own_way=True,
    apart=ON_THEIR_OWN,
)
def owner_handshake(stage: Stage) -> None:
    _refused(stage, stage.feed)


def _leads(stage: Stage, service: Service) -> bool:
    assert stage.fleet is not None
    return any(seat.service is service and seat.place()["role"] == "owner" for seat in stage.fleet.seats())


def _oldest(stage: Stage, readings: list[Reading]) -> None:
    ages = [
        int(served.age_ms) / 1000 for each in readings for served in each.served if served.age_ms is not None
    ]
    stage.remarks.append(f"age at most {max(ages):.1f} s")


_TRADE = ("XRP/USD", "2.91733")


def _judge(stage: Stage, within: float) -> None:
    assert stage.fleet is not None
    took = stage.fleet.until_in_step(*_TRADE, DEADLINE)
    stage.simulator.walk(WALK)
    stage.check(took <= within, f"all processes in step {took:.2f} s after")
    stage.check(_connections(stage) == 1, "one connection to the exchange")
    stage.seen.append(partial(_was_fast, stage))


def _was_fast(stage: Stage, readings: list[Reading]) -> None:
    spent = sorted(
        each.answered_at - each.due for each in readings if stage.faulty_from <= each.due < stage.faulty_until
    )
    p99 = spent[int(0.99 * len(spent))]
    stage.check(p99 <= SLOWEST, f"99 of 100 requests within {1000 * p99:.0f} ms")


def _connections(stage: Stage) -> int:
    return int(stage.simulator.counters()["connections_open"])


def _hand_over(stage: Stage, fleet: Fleet, heir: Service) -> None:
    """Takes the lease from its owner, until the heir has it; not sooner than a process may want it again."""
    assert stage.redis is not None
    for _ in range(20):
        if (owner := fleet.owner()).service is heir:
            return
        stage.hold(SHORT_TENURE_SECONDS)
        epoch = int(owner.place()["epoch"])
        stage.redis.run("DEL", LEASE_KEY)
        until(partial(fleet.is_led_anew, epoch), DEADLINE, "another tenure")
        fleet.until_led()
    raise ServiceError("the lease never went to the service that was to be killed")
