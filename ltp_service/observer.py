"""What the parts report about themselves, named in the domain's words.

A part that reports is passed an Observer; whether the report becomes a metric is not its business.
"""

from ltp_service.pairs import Pair


class Observer:
    """Hears everything and keeps nothing. `exchange` is a collector's name, `reason` a fixed word."""

    def frames_received(self, exchange: str, kind: str, count: int) -> None:
        """Frames of one kind since the last report."""

    def frame_refused(self, exchange: str, reason: str) -> None:
        """A frame, or one value in it, that could not be used."""

    def connection_changed(self, exchange: str, connected: bool) -> None:
        """The link came up or went down."""

    def connection_failed(self, exchange: str, reason: str) -> None:
        """A connection attempt or a connection ended with an error."""

    def reconnecting(self, exchange: str, reason: str) -> None:
        """Another attempt is about to be made."""

    def subscription_deaf(self, pair: Pair) -> None:
        """A subscription kept silent about a trade that another source saw."""

    def trade_discarded(self, exchange: str) -> None:
        """A trade was told before, or is older than what had to leave the store."""

    def book_lost(self, exchange: str, symbol: str) -> None:
        """An order book missed something and is out of sync."""

    def store_used(self, operation: str, result: str) -> None:
        """A read or write of the price store."""
