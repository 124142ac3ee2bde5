"""The exchange's time in a process that does not hear the exchange, learnt from what another one writes."""

from collections.abc import Mapping

from ltp_service.domain.pairs import Pair
from ltp_service.history.evidence import MARGIN_SECONDS, micros
from ltp_service.history.rows import Around
from ltp_service.runtime.clock import Clock


class ExchangeNow:
    """Used by one thread. Each look at the history's newest moments makes it more exact: what was written is no later than
    the exchange's time. The machine's clock counts until a second look shows that another process writes now, because a
    history may be old."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest: dict[Pair, int] = {}
        self._ahead: int | None = None
        """Least microseconds to add to monotonic time."""

    def after(self, newest: Mapping[Pair, int]) -> int:
        """The time now in unix microseconds, given the newest moments of some pairs."""
        monotonic = micros(self._clock.monotonic())
        for pair, moment in newest.items():
            if moment > self._newest.get(pair, moment):
                ahead = moment - monotonic
                self._ahead = ahead if self._ahead is None else max(ahead, self._ahead)
        self._newest |= newest
        now = micros(self._clock.wall()) if self._ahead is None else monotonic + self._ahead
        return max(now, *newest.values()) if newest else now


def newest_of(around: Around) -> int | None:
    """A moment that the exchange's clock had reached when this was written; None where nothing is known. `around` is of a
    moment after everything."""
    _, _, coverage, observation = around
    found = [run.last_traded_at for run in coverage.runs]
    if coverage.evidence_until is not None:
        found.append(coverage.evidence_until + micros(MARGIN_SECONDS))
    if observation is not None:
        found.append(observation.evidence_until)
    return max(found, default=None)
