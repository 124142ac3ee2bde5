"""One clock for processes on different machines: the Redis server's.

Every conversion rounds towards the past, so that a moment from another process may look older, but never younger.
"""

from collections.abc import Callable

TOLERANCE_SECONDS = 0.5
"""Seconds by which a message's time may differ from the expected one before the clock is measured anew."""

MEASURE_PAUSE_SECONDS = 0.1
"""Least seconds between two measurements because of messages that look old. A process with a backlog would never catch
up if it measured for each message; with the old measurement they only look older, which does no harm."""


class SharedClock:
    """Converts between the server's unix seconds and this process's monotonic seconds, as last measured."""

    def __init__(self, server_time: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._server_time = server_time
        self.monotonic = monotonic
        self._least = self._most = 0.0
        """Bounds of the seconds to add to the server's time for monotonic time."""
        self._measured_at = -MEASURE_PAUSE_SECONDS

    def measure(self) -> None:
        """Asks the server for its time. Raises StoreUnavailable."""
        asked_at = self.monotonic()
        told = self._server_time()
        self._measured_at = self.monotonic()
        self._least, self._most = asked_at - told, self._measured_at - told

    def shared(self, moment: float) -> float:
        """A monotonic moment in the server's unix seconds, or a little earlier."""
        return moment - self._most

    def now(self) -> float:
        """The server's unix seconds now, or a little earlier."""
        return self.shared(self.monotonic())

    def own(self, moment: float) -> float:
        """A moment of the server in monotonic seconds, or a little earlier."""
        return moment + self._least

    def is_doubted(self, told_at: float) -> bool:
        """Whether to measure anew, because a message of the server's time `told_at` is not from about now."""
        now = self.monotonic()
        ahead = self.own(told_at) - now
        return ahead > TOLERANCE_SECONDS or (
            ahead < -TOLERANCE_SECONDS and now - self._measured_at >= MEASURE_PAUSE_SECONDS
        )
