"""Time. Every part receives its clock through the constructor."""

import time
from functools import partial
from typing import Protocol

SHORTEST_SLEEP = 1e-9
"""Seconds of the shortest sleep in which gevent looks at its sockets. With 0 it first runs what is ready, up to fifty
times, while new requests and the feed's frames wait. With a microsecond, which may not be over when it looks, it would wait
there for a whole millisecond."""


class Clock(Protocol):
    """A monotonic clock for ages and a wall clock for display."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back. Used for every age and deadline."""

    def wall(self) -> float:
        """Unix seconds. Used for times that a client sees; it may jump either way."""


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        # CLOCK_MONOTONIC stands still while a laptop or a virtual machine is suspended, so a price
        # confirmed before the suspension would look fresh after it. CLOCK_BOOTTIME counts that time.
        counts_sleep = hasattr(time, "CLOCK_BOOTTIME")
        self.monotonic = partial(time.clock_gettime, time.CLOCK_BOOTTIME) if counts_sleep else time.monotonic
        self.wall = time.time
