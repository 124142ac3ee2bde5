"""What only a stream can lose: trades, and the moment of a change while nothing is traded."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from tests.drill.listener import PATH, Listener, Told
from tests.drill.record import judge
from tests.drill.row import PAIRS, Stage, row
from tests.process.service import Service

FAULTS = 20
BETWEEN = 2.0
"""Seconds from one to the next, once every pair is fed again."""

SETTLED = 12.0
"""Seconds in which the last holes are filled from REST, or told."""

AWAY = 3.0

BUSY, LOST = 400.0, 8.0
"""Events per second, and seconds of them: more trades of each pair than the 50 that the exchange tells a new client."""

RECORDED = {"fleet": "redis", "behind_nginx": True, "several_workers": True, "long": True}

QUIET = 62.0
"""Seconds after its last trade within which a pair is no longer live."""

NOTICED = 10.0
STEADY = 8.0
"""Seconds of each state, longer than from one heartbeat to the next."""

EXCUSED = 1.0
"""Seconds before the end of the record whose trades may still be on their way."""


@row("recorder", f"trades recorded over {FAULTS} kills, HUPs and cuts, 2 x 2 workers", **RECORDED)
def recorder(stage: Stage) -> None:
    assert stage.fleet is not None
    with _recorded(stage) as listener, stage.faulty():
        first, second = stage.fleet.services
        victims = cycle((first, second, second, first))
        faults: list[Callable[[], object]] = [
            lambda: _kill(next(victims)),
            lambda: next(victims).signal(signal.SIGHUP),
            stage.simulator.cut,
            listener.cut,
        ]
        for fault in islice(cycle(faults), FAULTS):
            fault()
            stage.hold(BETWEEN)
            stage.until(stage.fed, NOTICED, "every pair from the feed again")


@row("recorder_restart", "trades recorded over a restart of everything, Redis too", away=True, **RECORDED)
def recorder_restart(stage: Stage) -> None:
    assert stage.fleet is not None
    assert stage.redis is not None
    with _recorded(stage), stage.faulty():
        for service in list(stage.fleet.services):
            service.stop()
            stage.fleet.services.remove(service)
        stage.redis.kill()
        stage.hold(AWAY)
        stage.redis.restart()
        stage.service = stage.begin_again()
        stage.fleet.services.append(stage.service)
        stage.fleet.join()
        stage.fleet.until_led()
        stage.until(stage.fed, NOTICED, "every pair from the feed again")


@row(
    "recorder_lost",
    "trades recorded over a cut of 8 s, while REST is down",
    walk=BUSY,
    behind_nginx=True,
    long=True,
)
def recorder_lost(stage: Stage) -> None:
    """What can no longer be told is named, to the Python client too."""
    stage.followed.append(lambda every: _check_gaps(stage, every))
    with _recorded(stage, loses=True), stage.faulty():
        stage.simulator.fault("rest_status", status=503)
        stage.simulator.fault("refuse")
        stage.simulator.cut()
        stage.hold(LOST)
        stage.simulator.fault("refuse", on=False)
        stage.until(stage.fed, 30.0, "every pair from the feed again")
        stage.hold(SETTLED)
        stage.simulator.clear()


def _check_gaps(stage: Stage, every: list[list[Told]]) -> None:
    gaps = {each.data["pair"] for told in every for each in told if each.name == "gap"}
    stage.check(bool(gaps), f"gaps in {len(gaps)} pairs for the client")


def _kill(service: Service) -> None:
    """One worker, without a word."""
    os.kill(service.worker_pids()[0], signal.SIGKILL)


@contextmanager
def _recorded(stage: Stage, *, loses: bool = False) -> Iterator[Listener]:
    """Checks what a recorder was told meanwhile, against the tape; and that some were told to be lost, where they are."""
    assert stage.nginx is not None
    with tempfile.TemporaryDirectory() as folder:
        listener = Listener.start(stage.nginx.port, Path(folder) / "trades", f"{PATH}?events=trades")
        try:
            stage.hold(BETWEEN)
            yield listener
            stage.hold(SETTLED)
            ended = time.time()
            told = listener.stop()
        finally:
            listener.kill()
    stage.truth.catch_up()
    record = judge(told, {pair: stage.truth.trades(pair) for pair in PAIRS}, ended - EXCUSED)
    stage.check(
        record.told > 0 and not record.wrong and (record.in_gaps > 0 or not loses),
        f"{record.told:,} trades, {record.in_gaps} in {record.gaps} gaps, {len(record.wrong)} amiss",
    )
    stage.problems.extend(record.wrong[:5])


@row("no_trade", "nothing is traded: quiet, then REST alone, then nothing, then all again", long=True)
def no_trade(stage: Stage) -> None:
    """What the stream tells meanwhile is held against the answers beside it, as in every row."""
    with stage.faulty():
        stage.simulator.walk(on=False)
        stage.until(lambda: _states(stage) == {"quiet"}, QUIET + NOTICED, "all pairs quiet")
        stage.hold(STEADY)
        stage.simulator.fault("refuse")
        stage.simulator.cut()
        stage.until(lambda: _states(stage) == {"fallback"}, NOTICED, "all pairs from REST")
        stage.hold(STEADY)
        stage.simulator.fault("rest_status", status=503)
        stage.dark_from = time.monotonic()
        stage.until(lambda: not stage.served(), stage.tempo.ttl + NOTICED, "no price at all")
        stage.hold(STEADY)
        stage.simulator.clear()
        stage.until(stage.fed, 65.0, "every pair from the feed again")
        stage.hold(STEADY)
        stage.simulator.walk(80.0)
        stage.until(lambda: _states(stage) == {"live"}, NOTICED, "all pairs live")


def _states(stage: Stage) -> set[str]:
    items = stage.service.get("/api/v1/ltp?detail=true").json().get("ltp", [])
    return {str(item["state"]) for item in items}
