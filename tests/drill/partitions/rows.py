"""The rows of the table of partitions."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.drill.fleet_rows import FAILED_OVER, ON_THEIR_OWN, TAKEN_OVER
from tests.drill.history_rows import AGAIN, SETTLED
from tests.drill.partitions.cluster import DATABASE, EXCHANGE, FRONT, HOSTS, MACHINES, REDISES, SENTINELS
from tests.drill.partitions.hosts import both_ways
from tests.drill.partitions.scene import Row, Scene
from tests.drill.partitions.switch import Treatment

LASTS = 12.0
"""Seconds of most faults: longer than the life of a lease and a failover, shorter than CACHE_TTL."""

ROWS: dict[str, Row] = {}


def row(name: str, title: str, **promises: Any) -> Callable[[Callable[[Scene], None]], None]:
    """Declares the decorated function as a row of the table."""

    def declare(play: Callable[[Scene], None]) -> None:
        ROWS[name] = Row(name, title, play, **promises)

    return declare


# A machine that has lost Redis goes on with REST by itself.
alone = partial(row, apart=ON_THEIR_OWN)
# One that has lost everything learns nothing until the end.
cut_off = partial(row, apart=LASTS + ON_THEIR_OWN)


@alone("owner_redis", "owner's machine from both Redis and the Sentinels")
def owner_redis(scene: Scene) -> None:
    with scene.cut([scene.owner], [*REDISES, *SENTINELS]):
        scene.hold(LASTS)


@alone("owner_redis_in", "the same, only towards the owner")
def owner_redis_in(scene: Scene) -> None:
    with scene.treated([(other, scene.owner) for other in (*REDISES, *SENTINELS)]):
        scene.hold(LASTS)


@alone("owner_redis_out", "the same, only from the owner")
def owner_redis_out(scene: Scene) -> None:
    with scene.treated([(scene.owner, other) for other in (*REDISES, *SENTINELS)]):
        scene.hold(LASTS)


@alone("follower_redis", "the other machine from both Redis and the Sentinels")
def follower_redis(scene: Scene) -> None:
    with scene.cut([scene.follower], [*REDISES, *SENTINELS]):
        scene.hold(LASTS)


@alone("owner_exchange", "owner's machine from the exchange")
def owner_exchange(scene: Scene) -> None:
    with scene.cut([scene.owner], [EXCHANGE]):
        scene.hold(2 * LASTS)


@cut_off("owner_everything", "owner's machine from everything")
def owner_everything(scene: Scene) -> None:
    with scene.cut([scene.owner], HOSTS):
        scene.hold(LASTS)


@row("front_machine", "nginx from the machine that it asks")
def front_machine(scene: Scene) -> None:
    with scene.cut([FRONT], [MACHINES[0]]):
        scene.hold(LASTS / 2)
    with scene.cut([FRONT], [MACHINES[1]]):
        scene.hold(LASTS / 2)


@alone("master_sentinels", "Redis' master from its Sentinels")
def master_sentinels(scene: Scene) -> None:
    with scene.cut([scene.master], SENTINELS):
        scene.hold(LASTS)


@row("master_replica", "Redis' master from its replica")
def master_replica(scene: Scene) -> None:
    with scene.cut([scene.master], [scene.replica]):
        scene.hold(LASTS)


@alone("master_everything", "Redis' master from everything, as when its machine is dead")
def master_everything(scene: Scene) -> None:
    with scene.cut([scene.master], HOSTS):
        scene.hold(LASTS)


@alone(
    "slow",
    "nothing; 200 ms to Redis and back, and 5 % of the frames lost, for both machines",
    without_owner=2 * LASTS,
)
def slow(scene: Scene) -> None:
    """A lost frame takes an answer past REDIS_TIMEOUT_SECONDS, so no tenure lasts."""
    with scene.treated(both_ways(MACHINES, REDISES), Treatment(delay=0.1, loss=0.05)):
        scene.hold(2 * LASTS)


@alone("flapping", "owner's machine from Redis for 1 s, every 2 s")
def flapping(scene: Scene) -> None:
    for _ in range(10):
        with scene.cut([scene.owner], [*REDISES, *SENTINELS]):
            scene.hold(1.0)
        scene.hold(1.0)


@row("clock_ahead", "nothing; the clock of the owner's machine is 60 s ahead")
def clock_ahead(scene: Scene) -> None:
    _shifted(scene, 60.0)


@row("clock_behind", "nothing; the clock of the owner's machine is 60 s behind")
def clock_behind(scene: Scene) -> None:
    _shifted(scene, -60.0)


def _shifted(scene: Scene, seconds: float) -> None:
    machine = scene.cluster.machines[scene.owner]
    with scene.treated([]):
        machine.shift_clock(seconds)
        scene.hold(LASTS)
        machine.shift_clock(0.0)


@alone("redis_ahead", "Redis' master from everything; the replica's clock is 60 s ahead")
def redis_ahead(scene: Scene) -> None:
    _apart(scene, 60.0)


@alone("redis_behind", "Redis' master from everything; the replica's clock is 60 s behind")
def redis_behind(scene: Scene) -> None:
    _apart(scene, -60.0)


# A failover, and then the whole life of a claim: by its clock the new master cannot tell how much of it is left.
@cut_off(
    "redis_behind_owner",
    "Redis' master and the owner's machine from everything; the replica's clock is 60 s behind",
    without_owner=FAILED_OVER + TAKEN_OVER,
)
def redis_behind_owner(scene: Scene) -> None:
    _apart(scene, -60.0, scene.owner)


def _apart(scene: Scene, seconds: float, *others: str) -> None:
    scene.cluster.shift_redis_clock(scene.replica, seconds)
    scene.hold(2.0)
    with scene.cut([scene.master, *others], HOSTS):
        scene.hold(LASTS)
    scene.cluster.shift_redis_clock(scene.replica, 0.0)


@row("database", "PostgreSQL from everything")
def database(scene: Scene) -> None:
    with scene.cut([DATABASE], HOSTS):
        scene.hold(LASTS / 2)
        moment = time.time()
        scene.hold(LASTS / 2)
    scene.afterwards.append(partial(_proven, scene, "BTC/USD", moment))


def _proven(scene: Scene, pair: str, moment: float) -> None:
    """What was traded while nothing could be written is in the history in the end, with its proof."""
    machine, begun = scene.cluster.machines[scene.owner], time.monotonic()
    said: dict[str, object] = {}
    while said.get("proof") != "exact" and time.monotonic() - begun < AGAIN + SETTLED:
        scene.hold(0.5)
        said = machine.price_at(pair, moment)
    history = scene.cluster.exchange.market(pair, after=moment - 60.0)[pair]["history"]
    truth = max(trade_id for traded_at, _, trade_id in history if traded_at <= moment)
    scene.check(
        said.get("proof") == "exact" and str(said["trade_id"]) == str(truth),
        f"the history proves a price of that time {time.monotonic() - begun:.0f} s after",
    )


@alone(
    "halves",
    "in two halves: owner, master, one Sentinel; the other machine, replica, two Sentinels, nginx",
    owners_at_once=2 * LASTS,
)
def halves(scene: Scene) -> None:
    one = [scene.owner, scene.master, SENTINELS[0]]
    other = [scene.follower, scene.replica, *SENTINELS[1:], FRONT, DATABASE]
    with scene.cut(one, other):
        scene.hold(LASTS)
