"""What a part gets from the outside world: time, chance, and the one it reports to."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ltp_service.runtime.clock import Clock, SystemClock
from ltp_service.runtime.observer import Observer


@dataclass(frozen=True)
class Runtime:
    """By default the machine's own, and an observer that ignores every report."""

    clock: Clock = field(default_factory=SystemClock)
    observer: Observer = field(default_factory=Observer)
    # Looked up when a Runtime is made, because gevent's patch may come after the import of this module.
    sleep: Callable[[float], None] = field(default_factory=lambda: time.sleep)
    """Waits for some seconds. In a patched process it lets other greenlets run."""
    random: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)
    """A number from [0, 1)."""
