"""The feed as the REST poll of a process in a fleet sees it."""

from collections.abc import Callable
from typing import Protocol

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Tick
from ltp_service.rest.poll import Feed


class Told(Protocol):
    """The prices that the owner told."""

    def told_at(self, pair: Pair) -> float | None:
        """Monotonic seconds of the newest evidence; None when none came."""


class NoFeed:
    """Stands in for the collector where the WebSocket is switched off."""

    def is_here(self) -> bool:
        return True

    def is_connected(self) -> bool:
        return False

    def delivered_at(self, pair: Pair) -> float | None:
        return None

    def renew(self, pair: Pair) -> None:
        return None

    def held(self, pair: Pair) -> Tick | None:
        return None

    def market_told_at(self) -> float:
        return 0.0

    def tells_market_of(self, pair: Pair) -> bool:
        return False

    def leave(self) -> None:
        return None


class FleetFeed:
    """This process's own collector while it owns the feeds, else what the owner tells."""

    def __init__(
        self, own: Feed, told: Told, epoch: Callable[[], int | None], in_step: Callable[[], bool]
    ) -> None:
        self._own = own
        self._told = told
        self._epoch = epoch
        self._in_step = in_step

    def _leads(self) -> bool:
        return self._epoch() is not None

    def is_here(self) -> bool:
        return self._leads()

    def is_connected(self) -> bool:
        return self._own.is_connected() if self._leads() else self._in_step()

    def delivered_at(self, pair: Pair) -> float | None:
        told_at = self._told.told_at(pair)
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
