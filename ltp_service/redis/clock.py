"""One clock for processes on different machines: the Redis server's, read in both directions with care.

A moment that went from one process to another may look a little older than it is, never younger.
"""

from collections.abc import Callable

TOLERANCE = 0.5
"""Seconds by which the server's clock may be off from where it was expected before it is measured anew."""

PAUSE = 0.1
"""Seconds between two measurings because of words that seem old: who has much to catch up on would never do so, if
each word cost a question. Read with the wrong clock these look older still, and so do no harm."""


class SharedClock:
    """The server's unix seconds and this process's monotonic seconds, as far apart as last measured."""

    def __init__(self, server_time: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._server_time = server_time
        self.monotonic = monotonic
        self._least = self._most = 0.0
        """What is to be added to the server's time for ours lies between these."""
        self._measured_at = -PAUSE

    def measure(self) -> None:
        """Asks the server for its time. Raises StoreUnavailable."""
        asked_at = self.monotonic()
        told = self._server_time()
        self._measured_at = self.monotonic()
        self._least, self._most = asked_at - told, self._measured_at - told

    def shared(self, moment: float) -> float:
        """Our monotonic moment by the server's clock, or a little earlier."""
        return moment - self._most

    def now(self) -> float:
        """The server's time, or a little earlier."""
        return self.shared(self.monotonic())

    def own(self, moment: float) -> float:
        """The server's moment by our monotonic clock, or a little earlier."""
        return moment + self._least

    def is_doubted(self, told_at: float) -> bool:
        """Whether it should be measured anew, for the server did not tell `told_at`, its own time, about now."""
        now = self.monotonic()
        ahead = self.own(told_at) - now
        return ahead > TOLERANCE or (ahead < -TOLERANCE and now - self._measured_at >= PAUSE)
