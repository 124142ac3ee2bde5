"""What a part gets from the outside world: time, chance, and the one it reports to."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ltp_service.meters import Meters
from ltp_service.runtime.clock import Clock, SystemClock


@dataclass(frozen=True)
class Runtime:
    """By default the machine's own, and meters that ignore every report."""

    clock: Clock = field(default_factory=SystemClock)
    meters: Meters = field(default_factory=Meters)
    # Looked up when a Runtime is made, because gevent's patch may come after the import of this module.
    sleep: Callable[[float], None] = field(default_factory=lambda: time.sleep)
    """Waits for some seconds. In a patched process it lets other greenlets run."""
    random: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)
    """A number from [0, 1)."""
