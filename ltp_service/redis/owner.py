"""Whether anybody feeds the fleet, as one process hears it; pure but for what it remembers."""

from collections import deque

from ltp_service.feed.contract import Gap

SILENCE = 2.0
"""Seconds without a bulletin after which nobody is believed to feed the fleet; an owner tells something twice a second."""

LATENCY = 1.0
"""Seconds around a silence in which something may be missing too: a new owner has to connect first."""

GAPS = 100
"""Gaps remembered."""


class Owner:
    """Moments are monotonic seconds, but for the gaps, which are unix seconds."""

    def __init__(self, wall_ahead: float) -> None:
        self._wall_ahead = wall_ahead
        """What to add to monotonic time for unix time."""
        self._heard_at: float | None = None
        self._epoch = 0
        self._silent = False
        self._gaps: deque[Gap] = deque(maxlen=GAPS)

    def heard(self, epoch: int, now: float) -> None:
        """A bulletin of that tenure came."""
        if self._heard_at is not None and (self._silent or epoch != self._epoch):
            since = self._heard_at + self._wall_ahead - LATENCY
            self._gaps.append(Gap(since, now + self._wall_ahead + LATENCY))
        self._heard_at, self._epoch, self._silent = now, epoch, False

    def lost(self, now: float) -> bool:
        """True once, when nobody has been heard for too long."""
        silent = self._heard_at is not None and now - self._heard_at >= SILENCE
        begins = silent and not self._silent
        self._silent = silent
        return begins

    def cut(self) -> bool:
        """This process cannot hear anybody; True the first time."""
        begins = not self._silent and self._heard_at is not None
        self._silent = True
        return begins

    def gaps(self) -> tuple[Gap, ...]:
        """When this process may have missed what was collected elsewhere, oldest first."""
        return tuple(self._gaps)
