"""Time, as everybody here receives it: through the constructor."""

import time
from functools import partial
from typing import Protocol

SHORTEST_SLEEP = 1e-6
"""Seconds of sleep in which others get their turn. With 0 gevent runs what is ready, up to fifty times, before it looks
at any socket: new requests and the feed's frames would wait for fifty turns."""


class Clock(Protocol):
    """Two clocks with two jobs."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back. For every age and deadline."""

    def wall(self) -> float:
        """Unix seconds. For what a client sees; it may jump either way."""


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        # CLOCK_MONOTONIC stands still while a laptop or a virtual machine is suspended, so a price
        # confirmed before the suspension would look fresh after it. CLOCK_BOOTTIME counts that time.
        self.monotonic = (
            partial(time.clock_gettime, time.CLOCK_BOOTTIME)
            if hasattr(time, "CLOCK_BOOTTIME")
            else time.monotonic
        )
        self.wall = time.time
