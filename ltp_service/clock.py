"""Time, as everybody here receives it: through the constructor."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks with two jobs."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back. For every age and deadline."""

    def wall(self) -> float:
        """Unix seconds. For what a client sees; it may jump either way."""


def _since_boot() -> float:
    # CLOCK_MONOTONIC stands still while a laptop or a virtual machine is suspended, so a price
    # confirmed before the suspension would look fresh after it. CLOCK_BOOTTIME counts that time.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        self.monotonic = _since_boot if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
        self.wall = time.time
