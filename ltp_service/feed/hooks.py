"""What a collector can be told while it feeds; a collector of one product overrides what concerns it."""

from collections.abc import Sequence

from ltp_service.domain.book import BookChange, BookSnapshot
from ltp_service.feed.messages import Acknowledged, LastTrade, MarketChanged, PairsListed, Traded


class Hooks:
    """Everything that may happen to a collector. A product that nobody takes is a NotImplementedError."""

    name: str

    def take(self, trade: LastTrade, received_at: float) -> None:
        """A last trade arrived. Raises BadFrame when it cannot be believed."""
        raise NotImplementedError

    def traded(self, trade: Traded, received_at: float) -> None:
        """A complete trade arrived. Raises BadFrame when it cannot be believed."""
        raise NotImplementedError

    def book_replaced(self, snapshot: BookSnapshot, received_at: float) -> None:
        """A whole order book arrived. Raises BadFrame when it cannot be believed."""
        raise NotImplementedError

    def book_changed(self, change: BookChange, received_at: float) -> None:
        """A change of an order book arrived. Raises BadFrame when it cannot be believed."""
        raise NotImplementedError

    def without_superseded(self, frames: list[str]) -> list[str]:
        """Of frames that arrived together, those that have to be read, in order."""
        return frames

    def wasted(self, now: float) -> None:
        """Something arrived that could not be used."""

    def unreadable(self, frame: str, now: float) -> None:
        """A frame arrived of which nothing could be read: what is known of all that it names may be wrong."""

    def contradicted(self, symbol: str, now: float) -> None:
        """Something arrived about this symbol that could not be used: what is known of it may be wrong."""

    def connected(self, now: float) -> None:
        """A new connection, on which nothing is subscribed yet."""

    def disconnected(self, now: float) -> None:
        """The connection is over."""

    def symbols_changed(self, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        """The collector follows these symbols from now on, and those no longer."""

    def tended(self, now: float) -> None:
        """The time to look after what is overdue, ten times a second while connected."""

    def problem(self, now: float) -> str | None:
        """Why this collector is of no use at present; None when it is."""
        return None

    def confirm(self, symbols: Sequence[str], at: float) -> None:
        """The connection was alive at `at`, and these symbols' subscriptions with it."""

    def market_changed(self, change: MarketChanged) -> None:
        """The exchange told whether it is matching."""

    def pairs_listed(self, listed: PairsListed, now: float) -> None:
        """The exchange told whether it is matching orders of single symbols."""

    def acknowledged(self, acknowledgement: Acknowledged, now: float) -> None:
        """A subscription was accepted."""

    def activated(self) -> None:
        """The first price of this connection is in step with the exchange."""

    # What the loop itself provides.

    def leave(self) -> None:
        """Ends the present connection soon; another one follows. From any thread."""
        raise NotImplementedError

    def complain(self, message: str) -> None:
        """The exchange refused something, in its own words."""
        raise NotImplementedError
