"""Why this number: both sources' newest values and what became of each."""

from typing import Any

from ltp_service.clock import Clock
from ltp_service.pairs import Pair
from ltp_service.stores.journal import Decision, Journal
from ltp_service.tick import REST, WEBSOCKET, Price

_REASONS = {
    "newer": "taken: newer than what was held",
    "same": "confirmed what was held",
    "older": "refused: not newer than what was held",
}


class Explainer:
    """Tells a pair's recent history in plain values; times are seconds ago."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    def sources(self, pair: Pair, price: Price | None) -> dict[str, Any]:
        """Each source's newest value, with its clocks and whether it is the one served."""
        return {
            source: self._source(decision, price)
            for source in (WEBSOCKET, REST)
            if (decision := self._journal.newest(pair, source)) is not None
        }

    def decisions(self, pair: Pair) -> list[dict[str, Any]]:
        """The last decisions, newest first."""
        return [self._told(decision) for decision in reversed(self._journal.decisions(pair))]

    def _source(self, decision: Decision, price: Price | None) -> dict[str, Any]:
        served = price is not None and price.tick is decision.tick
        return self._told(decision) | {"served": served}

    def _told(self, decision: Decision) -> dict[str, Any]:
        tick = decision.tick
        return {
            "source": tick.source,
            "price": tick.price,
            "traded_at": tick.traded_at,
            "trade_id": tick.trade_id,
            "received_ago_s": round(self._clock.monotonic() - tick.received_at, 3),
            "outcome": decision.outcome,
            "reason": _REASONS.get(decision.outcome, decision.outcome),
        }
