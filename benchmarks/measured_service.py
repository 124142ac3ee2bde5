"""The service with a stopwatch at its price store: `GET /benchmark/ticks` tells how late ticks were taken in.

The answer covers the time since the previous one: {"ticks", "p50", "p99"} in seconds, from the exchange's time of
the trade or of the ticker to the end of its storing."""

import time
from array import array
from typing import Any

from benchmarks.bench import percentile
from ltp_service.app import create_app
from ltp_service.domain.tick import Tick
from ltp_service.http.services import services_of
from ltp_service.prices.store import Outcome, Store
from ltp_service.settings.config import load_config

app = create_app(load_config())
_delays = array("d")


def _time(store: Store) -> None:
    put = store.put

    def timed(tick: Tick) -> Outcome:
        outcome = put(tick)
        if told_at := tick.traded_at or tick.told_at:
            _delays.append(time.time() - told_at)
        return outcome

    store.put = timed  # type: ignore[method-assign]


_time(services_of(app).prices.store)


@app.get("/benchmark/ticks")
def ticks() -> dict[str, Any]:
    """What the stopwatch showed since it was last asked."""
    delays = _delays.tolist()
    del _delays[:]
    if not delays:
        return {"ticks": 0}
    return {"ticks": len(delays), "p50": percentile(delays, 50), "p99": percentile(delays, 99)}
