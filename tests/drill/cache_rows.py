"""What caches do wrong, REST's own and nginx's: no price goes back, whatever they keep."""

import os
import signal
from contextlib import suppress

from tests.drill.row import Stage, row
from tests.process.service import children_of

CACHED = 2.0
"""Seconds for which Kraken's REST is known to answer from a cache."""

PAUSE = 0.15
"""Seconds, longer than nginx waits for another process that fills its cache."""


@row("rest_cached", "REST from three caches of 2 s, the WebSocket gone again and again", long=True)
def rest_cached(stage: Stage) -> None:
    with stage.faulty():
        stage.simulator.fault("rest_cached", seconds=CACHED, edges=3)
        for seconds in (8.0, 1.0, 4.0, 1.5, 8.0, 2.5):
            stage.simulator.fault("refuse")
            stage.simulator.cut()
            stage.hold(seconds)
            stage.simulator.fault("refuse", on=False)
            stage.until(stage.fed, 15.0, "the feed is back")
            stage.hold(1.0)
        stage.simulator.clear()


@row("nginx_pauses", "each of nginx's processes paused for 150 ms in turn", behind_nginx=True, long=True)
def nginx_pauses(stage: Stage) -> None:
    assert stage.nginx is not None
    rounds = 0
    with stage.faulty():
        for _ in range(30):
            for process in children_of(stage.nginx.master_pid):
                with suppress(ProcessLookupError):  # the cache loader ends by itself after a minute
                    os.kill(process, signal.SIGSTOP)
                    stage.hold(PAUSE)
                    os.kill(process, signal.SIGCONT)
                    stage.hold(PAUSE)
                    rounds += 1
    stage.remarks.append(f"{rounds} pauses")
