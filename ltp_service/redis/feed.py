"""The feed as the REST poll of a process in a fleet sees it."""

from collections.abc import Callable

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Tick
from ltp_service.rest.poll import Feed


class FleetFeed:
    """This process's own collector while it owns the feeds, else what the owner tells."""

    def __init__(
        self,
        own: Feed,
        told_at: Callable[[Pair], float | None],
        epoch: Callable[[], int | None],
        in_step: Callable[[], bool],
    ) -> None:
        """`told_at`: monotonic seconds of the newest evidence that the owner told of a pair; None when none came."""
        self._own = own
        self._told_at = told_at
        self._epoch = epoch
        self._in_step = in_step

    def _leads(self) -> bool:
        return self._epoch() is not None

    def is_here(self) -> bool:
        return self._leads()

    def is_connected(self) -> bool:
        return self._own.is_connected() if self._leads() else self._in_step()

    def delivered_at(self, pair: Pair) -> float | None:
        told_at = self._told_at(pair)
        own = self._own.delivered_at(pair) if self._leads() else None
        return max((at for at in (told_at, own) if at is not None), default=None)

    def renew(self, pair: Pair) -> None:
        if self._leads():
            self._own.renew(pair)

    def held(self, pair: Pair) -> Tick | None:
        return self._own.held(pair) if self._leads() else None

    def market_told_at(self) -> float:
        return self._own.market_told_at()

    def tells_market_of(self, pair: Pair) -> bool:
        return self._own.tells_market_of(pair)

    def leave(self) -> None:
        self._own.leave()
