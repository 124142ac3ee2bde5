"""The seams between those who learn about markets and those who answer questions."""

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from ltp_service.market import MarketStatus
from ltp_service.pairs import Pair
from ltp_service.tick import Price, Source, Tick

Outcome = Literal["newer", "same", "older"]


class Store(Protocol):
    """Last prices, each with its newest evidence. Safe from any thread or greenlet."""

    def put(self, tick: Tick) -> Outcome:
        """Takes a tick that is newer than what is held; `same` confirms, `older` changes nothing."""

    def confirm(self, pairs: Iterable[Pair], at: float, by: Source) -> None:
        """Evidence, at the monotonic moment `at`, that the held prices of `pairs` are still the last trades."""

    def set_market(self, status: MarketStatus) -> None:
        """What the exchange says about itself."""

    def market(self) -> MarketStatus:
        """The exchange's last word about itself; `unknown` before the first."""

    def all(self) -> Mapping[Pair, Price]:
        """Everything held, as one unchanging view: a later call returns another object iff something changed."""

    def ping(self) -> None:
        """Raises StoreUnavailable when the engine does not answer."""
