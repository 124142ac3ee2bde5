"""Trades on the simulated exchange, and when a GET first shows them."""

import json
import random
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import count

from benchmarks.keep_alive import KeepAlive
from tests.simulator.client import Simulator

PAIR = "BTC/USD"
FLOODED_PAIR = "ETH/USD"
"""Another one than is watched."""

DEADLINE = 10.0
"""Seconds after which a tick counts as lost."""

_BASE, _STEP, _CYCLE = Decimal("115643.1"), Decimal("0.2"), 5000


def prices() -> Iterator[str]:
    """Prices that differ, lie near each other and do not end in zero."""
    for number in count():
        yield str(_BASE + _STEP * (number % _CYCLE))


def time_to_visible(simulator: Simulator, price: str, *readers: KeepAlive) -> float:
    """Seconds from the exchange's own time of a trade to the end of the first answer that shows it, on every reader.

    Both clocks are this machine's. Raises TimeoutError when it never shows."""
    traded_at: float = simulator.trade(PAIR, price)["time"]
    left = list(readers)
    while time.time() < traded_at + DEADLINE:
        left = [reader for reader in left if not _shows(reader, price)]
        if not left:
            return time.time() - traded_at
    raise TimeoutError(f"a trade at {price} was not visible within {DEADLINE:g} s")


def time_beside(simulator: Simulator, price: str, reader: KeepAlive) -> float:
    """Seconds from the exchange's own time of a trade to the end of an answer that has nothing to do with it."""
    traded_at: float = simulator.trade(PAIR, price)["time"]
    reader.get()
    return time.time() - traded_at


def _shows(reader: KeepAlive, price: str) -> bool:
    status, body = reader.get()
    return status == 200 and bool(json.loads(body)["ltp"][0]["amount"] == float(price))


def pause(mean: float) -> None:
    """So many seconds on average, out of step with everything that happens at intervals."""
    time.sleep(random.uniform(0.5, 1.5) * mean)  # the pause is the measurement's own, nothing is waited for
