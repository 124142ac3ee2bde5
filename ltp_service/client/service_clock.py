"""The service's clock, learnt from what it says on one line. No I/O; `now` is the client's own steady clock.

The wall clock of this machine is not used, because it may be wrong by hours.
"""

DRIFT_PER_SECOND = 1e-4
"""Seconds per second by which the known difference is lowered: a slow clock of the service must not make its words late."""


class ServiceClock:
    """An event is written before it arrives, so the largest difference between its time and its arrival is the most exact."""

    def __init__(self, told: float, asked_at: float, now: float) -> None:
        """The service wrote `told`, unix seconds, after it was asked at `asked_at`."""
        self._ahead = told - now
        """Least seconds to add to our clock for the service's."""
        self._most = told - asked_at
        """Most seconds, which count until the line is proven: the first answer may itself have been long under way."""
        self._learnt_at = now

    def sent_at(self, told: float, now: float) -> float:
        """When, on our clock, the service wrote `told`, which has arrived by now."""
        self._ahead = max(told - now, self._ahead - DRIFT_PER_SECOND * (now - self._learnt_at))
        self._learnt_at = now
        return told - max(self._ahead, self._most)

    def prove(self) -> None:
        """The line has lived for a while, so that one of its events will have been quick."""
        self._most = float("-inf")
