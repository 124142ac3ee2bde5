"""The seams between those who learn about markets and those who answer questions."""

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from ltp_service.domain.book import Applied, BookChange, BookSnapshot
from ltp_service.domain.market import MarketStatus
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price, Source, Tick
from ltp_service.domain.trade import Trade

Outcome = Literal["newer", "same", "older"]


class Store(Protocol):
    """Last prices, each with its newest evidence. Safe from any thread or greenlet."""

    def put(self, tick: Tick) -> Outcome:
        """Takes a tick that is newer than what is held; `same` confirms, `older` changes nothing."""

    def confirm(self, pairs: Iterable[Pair], at: float, by: Source) -> None:
        """Evidence, at the monotonic moment `at`, that the held prices of `pairs` are still the last trades."""

    def withdraw(self, pairs: Iterable[Pair], after: float) -> None:
        """What the feed confirmed for moments after the monotonic `after` was wrong: what it sent was older than that."""

    def set_market(self, status: MarketStatus) -> None:
        """What the exchange says about itself."""

    def market(self) -> MarketStatus:
        """The exchange's last word about itself; `unknown` before the first."""

    def set_pair_markets(self, statuses: Mapping[Pair, MarketStatus]) -> None:
        """What the exchange says about some pairs; an `unknown` word changes nothing but that a pair is listed."""

    def market_of(self, pair: Pair) -> MarketStatus:
        """What counts for `pair`: its own status, or the exchange's."""

    def all(self) -> Mapping[Pair, Price]:
        """Everything held, as one unchanging view: a later call returns another object iff something changed."""

    def ping(self) -> None:
        """Raises StoreUnavailable when the engine does not answer."""


class TradeSink(Protocol):
    """Where collected trades go. Safe from any thread or greenlet."""

    def put(self, trade: Trade) -> bool:
        """Takes a trade; False when it was told before or is too old to be kept."""


class BookSink(Protocol):
    """Where order books are kept. Safe from any thread or greenlet; moments are monotonic seconds."""

    def replace(self, exchange: str, snapshot: BookSnapshot, received_at: float) -> None:
        """The book is this one, and in sync."""

    def change(self, exchange: str, change: BookChange, received_at: float) -> Applied:
        """Applies what follows; after a `gap` the book is out of sync until it is replaced."""

    def lose(self, exchange: str, symbols: Iterable[str]) -> None:
        """Nobody follows these books any more: out of sync until they are replaced."""

    def forget(self, exchange: str, symbol: str) -> None:
        """The book is not wanted any more."""
