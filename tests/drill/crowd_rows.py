"""Many at once: clients of everything that is dear, requests that wait, pairs."""

import time
from contextlib import ExitStack

from tests.drill.clients import Reading
from tests.drill.loopers import Loopers
from tests.drill.row import Stage, row
from tests.process.load import Load

DEAR = ("/metrics", "/openapi.json", "/api/v1/ltp?detail=true", "/collectors/trades?limit=100")
CLIENTS = 64

FOLLOWS = 0.25
"""Seconds within which a tick is served at the 99th percentile, whatever is asked."""

WAITERS = 400
HEALTH = 0.05
"""Seconds for /health meanwhile, at the 99th percentile."""

HUNDREDS = tuple(f"A{number:03d}/USD" for number in range(200))
SLOW = 0.9
"""Seconds that REST takes for an answer."""

DISTANCE = 1.0
"""Least seconds between two calls of REST."""


@row("dear", f"{CLIENTS} clients in a loop on each of {', '.join(DEAR)}", long=True)
def dear(stage: Stage) -> None:
    port = stage.service.port
    with stage.faulty(), ExitStack() as stack:
        crowds = [stack.enter_context(Loopers(port, path, CLIENTS)) for path in DEAR]
        begun = time.monotonic()
        stage.hold(20.0)
        ended = time.monotonic()
    for path, crowd in zip(DEAR, crowds, strict=True):
        stage.remarks.append(f"{path} {crowd.outcomes['200']:,}")
        failed = crowd.outcomes.total() - crowd.outcomes["200"]
        stage.check(failed == 0, f"{failed} of them failed")
    stage.seen.append(
        lambda readings: _follows(stage, [each for each in readings if begun <= each.due < ended])
    )


def _follows(stage: Stage, readings: list[Reading]) -> None:
    late = sorted(stage.truth.lateness(readings))
    p99 = late[int(0.99 * (len(late) - 1))] if late else 0.0
    stage.check(p99 <= FOLLOWS, f"a tick was served {1000 * p99:.0f} ms late at p99")


@row(
    "long_polls",
    f"{WAITERS} requests wait for 19 pairs with detail, 100 ticks a second",
    walk=100.0,
    long=True,
)
def long_polls(stage: Stage) -> None:
    port = stage.service.port
    with stage.faulty():
        with Loopers(port, "/api/v1/ltp?detail=true", WAITERS, wait=30.0) as crowd:
            stage.hold(5.0)
            with Load(port, "/health", rate=20.0, clients=2) as health:
                stage.hold(20.0)
        seconds = sorted(outcome.seconds for outcome in health.outcomes())
    p99 = seconds[int(0.99 * (len(seconds) - 1))]
    stage.check(not health.failures(), f"{health.failures().total()} of /health failed")
    stage.check(p99 <= HEALTH, f"/health {1000 * p99:.0f} ms at p99")
    refused = {status: count for status, count in crowd.outcomes.items() if status not in ("200", "304")}
    stage.check(
        not refused, f"{crowd.outcomes.total():,} answers to those who waited, {refused or 'none'} refused"
    )


@row("hundreds", "200 pairs, the WebSocket gone, REST takes 0.9 s", exchange=HUNDREDS, long=True)
def hundreds(stage: Stage) -> None:
    """Beside a service with seven pairs, which asks the same REST."""
    with stage.faulty(), stage.another(SUPPORTED_PAIRS=",".join(HUNDREDS)) as crowd:
        stage.until(lambda: crowd.get("/api/v1/ltp").status == 200, 30.0, "all of them are known")
        stage.simulator.fault("rest_slow", seconds=SLOW, exchange="kraken")
        stage.simulator.fault("refuse")
        stage.simulator.cut()
        calls, begun, poor = stage.rest_calls(), time.monotonic(), 0
        while time.monotonic() - begun < 3 * stage.tempo.ttl:
            stage.hold(1.0)
            poor += crowd.get("/api/v1/ltp").status != 200
        calls, took = stage.rest_calls() - calls, time.monotonic() - begun
        breaker = crowd.get("/api/v1/status").json()["breaker"]["state"]
        stage.simulator.clear()
    stage.check(poor == 0, f"{poor} answers without all {len(HUNDREDS)} prices in {took:.0f} s")
    stage.check(calls <= 2 * (took / DISTANCE + 1), f"{calls} REST calls of both")
    stage.check(breaker == "closed", f"breaker {breaker}")
