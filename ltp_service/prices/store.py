"""The interfaces between the sources of prices, trades and books and the routes that show them."""

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
        """Takes a tick that is `newer` than the price held; `same` confirms that price, `older` changes nothing."""

    def confirm(self, pairs: Iterable[Pair], at: float, by: Source) -> None:
        """The held prices of `pairs` were still the last trades at the monotonic second `at`."""

    def withdraw(self, pairs: Iterable[Pair], after: float) -> None:
        """Withdraws the feed's evidence for `pairs` after the monotonic second `after`: its messages were older."""

    def set_market(self, status: MarketStatus) -> None:
        """Sets the status of the whole exchange."""

    def market(self) -> MarketStatus:
        """The status of the whole exchange; `unknown` before the first."""

    def set_pair_markets(self, statuses: Mapping[Pair, MarketStatus]) -> None:
        """Sets the statuses of some pairs. `unknown` only ends `delisted`."""

    def market_of(self, pair: Pair) -> MarketStatus:
        """The status that counts for `pair`: its own or the exchange's."""

    def get(self, pair: Pair) -> Price | None:
        """The price of one pair; None before its first."""

    def all(self) -> Mapping[Pair, Price]:
        """All prices, as a view that never changes: after a change a later call returns another object."""

    def ping(self) -> None:
        """Raises StoreUnavailable when the engine does not answer."""


class TradeSink(Protocol):
    """Takes collected trades. Safe from any thread or greenlet."""

    def put(self, trade: Trade) -> bool:
        """Takes a trade; False for a duplicate or one too old to be kept."""


class BookSink(Protocol):
    """Takes order books. Safe from any thread or greenlet; `received_at` is in monotonic seconds."""

    def replace(self, exchange: str, snapshot: BookSnapshot, received_at: float) -> None:
        """Replaces the whole book; it is in sync from now on."""

    def change(self, exchange: str, change: BookChange, received_at: float) -> Applied:
        """Applies the next change. After a `gap` or a `mismatch` the book is out of sync until it is replaced."""

    def lose(self, exchange: str, symbols: Iterable[str]) -> None:
        """These books are not updated any more: out of sync until they are replaced."""

    def forget(self, exchange: str, symbol: str) -> None:
        """Removes the book."""
