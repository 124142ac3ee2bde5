"""Whether the fleet has an owner, judged by the bulletins that this process hears; no I/O."""

from collections import deque
from collections.abc import Callable, Mapping

from ltp_service.feed.contract import Gap

NO_OWNER_AFTER_SECONDS = 2.0
"""Seconds without a bulletin after which the fleet has no owner; an owner sends one twice a second."""

HEARD_WITHIN_SECONDS = 1.0
"""Seconds without a bulletin after which it is doubtful whether this process hears the owner."""

GAP_MARGIN_SECONDS = 1.0
"""Seconds added before and after a silence: data may be missing there too, because a new owner has to connect."""

MAX_GAPS = 100
"""Gaps kept, the newest ones."""

UnixClock = Callable[[float], float]
"""The unix time at a monotonic moment."""


class Owner:
    """Moments are monotonic seconds; the gaps are in unix seconds of each exchange, as those of its collector are."""

    def __init__(self, clocks: Mapping[str, UnixClock]) -> None:
        """`clocks`: of the exchange of each collector of trades, by the collector's name."""
        self._clocks = clocks
        self.on_heard: Callable[[float], None] | None = None
        """Called with the moment of each bulletin."""
        self._heard_at: float | None = None
        self._epoch = 0
        self._silent = False
        self._gaps = {name: deque[Gap](maxlen=MAX_GAPS) for name in clocks}

    def heard(self, epoch: int, now: float) -> None:
        """A bulletin of the tenure `epoch` came."""
        if self._heard_at is not None and (self._silent or epoch != self._epoch):
            since, until = self._heard_at - GAP_MARGIN_SECONDS, now + GAP_MARGIN_SECONDS
            # Once and for all: what is known of a clock changes a little with each trade, and streams tell a gap by its end.
            for name, unix in self._clocks.items():
                self._gaps[name].append(Gap(unix(since), unix(until)))
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

    def gaps(self, name: str) -> tuple[Gap, ...]:
        """The times in which this process may have missed trades of a collector, oldest first."""
        return tuple(self._gaps.get(name, ()))
