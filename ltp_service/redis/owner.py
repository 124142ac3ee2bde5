"""Whether the fleet has an owner, judged by the bulletins that this process hears; no I/O."""

from collections import deque
from collections.abc import Callable

from ltp_service.feed.contract import Gap

NO_OWNER_AFTER_SECONDS = 2.0
"""Seconds without a bulletin after which the fleet has no owner; an owner sends one twice a second."""

HEARD_WITHIN_SECONDS = 1.0
"""Seconds without a bulletin after which it is doubtful whether this process hears the owner."""

GAP_MARGIN_SECONDS = 1.0
"""Seconds added before and after a silence: data may be missing there too, because a new owner has to connect."""

MAX_GAPS = 100
"""Gaps kept, the newest ones."""


class Owner:
    """Moments are monotonic seconds; the gaps are in unix seconds."""

    def __init__(self, wall_ahead: float) -> None:
        self._wall_ahead = wall_ahead
        """Seconds to add to monotonic time for unix time."""
        self.on_heard: Callable[[float], None] | None = None
        """Called with the moment of each bulletin."""
        self._heard_at: float | None = None
        self._epoch = 0
        self._silent = False
        self._gaps: deque[Gap] = deque(maxlen=MAX_GAPS)

    def heard(self, epoch: int, now: float) -> None:
        """A bulletin of the tenure `epoch` came."""
        if self._heard_at is not None and (self._silent or epoch != self._epoch):
            since = self._heard_at + self._wall_ahead - GAP_MARGIN_SECONDS
            self._gaps.append(Gap(since, now + self._wall_ahead + GAP_MARGIN_SECONDS))
        self._heard_at, self._epoch, self._silent = now, epoch, False
        if self.on_heard is not None:
            self.on_heard(now)

    def heard_lately(self, now: float) -> float | None:
        """When the last bulletin came; None where that is not lately."""
        if self._heard_at is None or now - self._heard_at >= HEARD_WITHIN_SECONDS:
            return None
        return self._heard_at

    def lost(self, now: float) -> bool:
        """True once, when no bulletin came for NO_OWNER_AFTER_SECONDS."""
        silent = self._heard_at is not None and now - self._heard_at >= NO_OWNER_AFTER_SECONDS
        begins = silent and not self._silent
        self._silent = silent
        return begins

    def cut(self) -> bool:
        """This process lost its connection; True if bulletins came until then."""
        begins = not self._silent and self._heard_at is not None
        self._silent = True
        return begins

    def gaps(self) -> tuple[Gap, ...]:
        """The times in which this process may have missed trades of the owner, oldest first."""
        return tuple(self._gaps)
