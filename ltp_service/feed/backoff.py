"""How long to wait before the next connection attempt."""

from collections import deque
from collections.abc import Callable

from ltp_service.runtime.runtime import Runtime

LONGEST_DELAY_SECONDS = 60.0
"""Longest delay in seconds."""

ATTEMPTS_PER_WINDOW, WINDOW_SECONDS = 135, 600.0
"""Attempts per seconds that are never exceeded. Kraken's edge refuses an address after about 150 in
10 minutes, for all of its processes together (support.kraken.com, WebSockets API 1.8)."""

LONGEST_URGENT_DELAY_SECONDS = 5.0
"""Longest delay while nothing else works. Kraken asks not to come more often during an outage (ibid.)."""


class Backoff:
    """Full jitter over a doubling bound for the first tries, then a slow jittered pace for ever."""

    def __init__(
        self,
        base: float,
        fast_tries: int,
        runtime: Runtime,
        urgent: Callable[[], bool] = lambda: False,
        *,
        processes: int = 1,
    ) -> None:
        self._base = base
        self._fast_tries = fast_tries
        self._monotonic = runtime.clock.monotonic
        self._random = runtime.random
        self._urgent = urgent
        self._tries = 0
        self._processes = processes
        """That share the address, and so the budget."""
        self._attempts: deque[float] = deque(maxlen=max(1, ATTEMPTS_PER_WINDOW // processes))

    def delay(self, at_least: float = 0.0) -> float:
        """Seconds to wait before the attempt that this call books."""
        jittered = self._jittered()
        self._tries += 1
        now = self._monotonic()
        start = now + max(jittered, at_least)
        if len(self._attempts) == self._attempts.maxlen:
            start = max(start, self._attempts[0] + WINDOW_SECONDS)
        self._attempts.append(start)
        return start - now

    def forgive(self) -> None:
        """The attempt brought data: a connection that ends after that is not one more failure."""
        self._tries = max(0, self._tries - 1)

    def reset(self) -> None:
        """The connection has proven itself: start over from the base."""
        self._tries = 0

    def _jittered(self) -> float:
        bound = min(LONGEST_DELAY_SECONDS, self._base * 2.0 ** min(self._tries, 60))
        urgent = LONGEST_URGENT_DELAY_SECONDS * self._processes
        if self._urgent() and bound > urgent:
            return (0.9 + self._random() / 10) * urgent
        if self._tries < self._fast_tries:
            return self._random() * bound
        return (0.5 + self._random() / 2) * bound
