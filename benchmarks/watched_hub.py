"""The service with a stopwatch at its hub: `GET /benchmark/lag` tells how late a greenlet goes on that slept for a while.

The answer covers the time since the previous one: {"looks", "p50", "p99"} in seconds."""

import time
from array import array
from typing import Any

import gevent

from benchmarks.bench import percentile
from ltp_service.app import create_app
from ltp_service.settings.config import load_config

NAP = 0.002
"""Seconds of each sleep."""

app = create_app(load_config())
_late = array("d")
_watches: list[Any] = []


def _watch() -> None:
    while True:
        due = time.perf_counter() + NAP
        gevent.sleep(NAP)
        _late.append(time.perf_counter() - due)


@app.get("/benchmark/lag")
def lag() -> dict[str, Any]:
    """What the stopwatch showed since it was last asked. The first question starts it."""
    if not _watches:
        _watches.append(gevent.spawn(_watch))
    late = _late.tolist()
    del _late[:]
    if not late:
        return {"looks": 0}
    return {"looks": len(late), "p50": percentile(late, 50), "p99": percentile(late, 99)}
