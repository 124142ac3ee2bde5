"""Which prices may be wrong, since when and why; the one place that knows. Moments are monotonic seconds."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from ltp_service.pairs import Pair
from ltp_service.tick import WEBSOCKET, Price

Reason = Literal["unordered", "disputed", "contested", "deaf"]
"""`unordered`: REST told another price than before, and its time alone tells which came last. `disputed`: REST told another price. `contested`: the feed's own channels tell different prices. `deaf`: the feed
kept silent about a trade, and is subscribed to anew."""

AGAIN = 60.0
"""Seconds within which a second deafness of the same pair condemns the connection."""


class Doubt(msgspec.Struct):
    """One pair's price may be wrong."""

    reason: Reason
    since: float
    vouched: Price | None = None
    """What a feed in step vouched for when the doubt began: it was deaf if that was wrong."""
    asked_at: float | None = None
    """When REST was last asked for the newest trade and its exchange time."""


class Doubts:
    """While a pair is in doubt, nothing that the feed sends is evidence for its price."""

    def __init__(self) -> None:
        self._open: dict[Pair, Doubt] = {}
        """The one that was asked about least recently comes first."""
        self._deaf_at: dict[Pair, float] = {}

    def __contains__(self, pair: object) -> bool:
        return pair in self._open

    def about(self, pair: Pair) -> Doubt | None:
        """What is doubtful about `pair`; None when nothing is."""
        return self._open.get(pair)

    def open(self, pair: Pair, reason: Reason, now: float, vouched: Price | None = None) -> None:
        """`pair` may be wrong from now on. A doubt that is open stays as old as it is."""
        doubt = self._open.get(pair)
        if doubt is None:
            self._open[pair] = Doubt(reason, now, vouched)
        elif doubt.vouched is None:
            doubt.vouched = vouched

    def settle(self, pair: Pair) -> None:
        """It is known what the last trade is."""
        self._open.pop(pair, None)

    def asked(self, pair: Pair, now: float) -> None:
        """REST is asked about `pair`; the others come first, should that fail."""
        if doubt := self._open.pop(pair, None):
            doubt.asked_at = now
            self._open[pair] = doubt

    def unsettled(self, held: Mapping[Pair, Price]) -> list[Pair]:
        """The pairs to ask REST about, longest unasked first; a trade that the feed brought since has decided."""
        for pair, doubt in list(self._open.items()):
            tick = held[pair].tick if pair in held else None
            if tick and tick.source == WEBSOCKET and tick.received_at > doubt.since:
                self.settle(pair)
        return [pair for pair, doubt in self._open.items() if doubt.reason != "deaf"]

    def deaf(self) -> list[Pair]:
        """The pairs whose subscription kept silent and has brought nothing since."""
        return [pair for pair, doubt in list(self._open.items()) if doubt.reason == "deaf"]

    def excuse(self) -> None:
        """The connection is gone: the feed could not tell what it kept silent about."""
        for doubt in self._open.values():
            doubt.vouched = None

    def condemn(self, pair: Pair, now: float) -> bool:
        """The feed was deaf for `pair`; True when that happened within the last minute already."""
        before = self._deaf_at.pop(pair, None)
        again = before is not None and now - before <= AGAIN
        if not again:
            self._deaf_at[pair] = now
        return again
