"""What the parts report about themselves, in the domain's words.

A part receives an Observer and reports to it; it does not know whether a report becomes a metric.
"""

from collections.abc import Iterable

from ltp_service.domain.pairs import Pair


class Observer:
    """Ignores every report. `exchange` is a collector's name, `reason` a fixed word."""

    def frames_received(self, exchange: str, kind: str, count: int) -> None:
        """Frames of one kind since the last report."""

    def frame_refused(self, exchange: str, reason: str) -> None:
        """A frame, or one value in it, could not be used."""

    def connection_failed(self, exchange: str, reason: str) -> None:
        """A connection attempt or a connection ended with an error."""

    def reconnecting(self, exchange: str, reason: str) -> None:
        """Another attempt is about to be made."""

    def subscription_deaf(self, pair: Pair) -> None:
        """A subscription kept silent about a trade that another source saw."""

    def trade_stored(self, exchange: str, symbol: str) -> None:
        """A trade was taken."""

    def trade_discarded(self, exchange: str, reason: str) -> None:
        """A trade was not stored: told before, or older than what is kept."""

    def book_deaf(self, exchange: str) -> None:
        """A subscription kept silent about changes of an order book."""

    def trades_missed(self, exchange: str, count: int) -> None:
        """`count` numbers are missing between an exchange's trades."""

    def external_call(self, service: str, endpoint: str, status_code: int | None, seconds: float) -> None:
        """One HTTP call to an exchange ended, after `seconds`. `status_code` is None where no answer came."""

    def external_retry(self, service: str, endpoint: str) -> None:
        """The same request is about to be sent again."""

    def fallback_started(self, reason: str) -> None:
        """REST stands in for the whole feed from now on."""

    def fallback_ended(self, seconds: float) -> None:
        """The feed delivers again, after `seconds` of fallback."""

    def sources_diverged(self, pair: Pair) -> None:
        """WebSocket and REST told prices of one moment that cannot both be right."""

    def key_checked(self, result: str) -> None:
        """An API key was `accepted`, `invalid`, `not_permitted` or `blocked`."""

    def log_lines_dropped(self, count: int) -> None:
        """Log lines were lost, because their reader did not read them."""

    def limited(self, allowed: bool, remaining: int) -> None:
        """The rate limit let a request pass or refused it; `remaining` tokens are left."""

    def throttled(self, service: str) -> None:
        """An exchange refused a call as one too many."""

    def refreshed(self, result: str) -> None:
        """A refresh on demand: `success`, `partial` or `failure`."""

    def answered(
        self, method: str, route: str, status: int, seconds: float, received: int, sent: int
    ) -> None:
        """A request was answered, after `seconds`; sizes are bytes of body."""

    def prices_asked(self, pairs: Iterable[Pair], hit: bool, count: int) -> None:
        """`count` requests asked for the prices of `pairs`; `hit` when memory had them."""

    def trade_held(self, pair: Pair) -> None:
        """A lone trade far from all others was held back."""
