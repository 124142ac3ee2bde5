"""Which prices may be wrong, since when and why; the one place that knows. Moments are monotonic seconds."""

from collections.abc import Mapping
from decimal import Decimal
from math import inf
from typing import Literal

import msgspec

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import WEBSOCKET, Price, Tick
from ltp_service.prices.store import Outcome

Reason = Literal["unordered", "unusable", "disputed", "contested", "deaf"]
"""`unordered`: REST told two prices, and only their times tell which came last. `unusable`: the feed sent something
about the pair that cannot be used. `disputed`: REST told another price than the feed. `contested`: the feed's own
channels tell different prices. `deaf`: the feed kept silent about a trade, and is subscribed to anew."""

AGAIN = 60.0
"""Seconds within which a second deafness of the same pair condemns the connection."""

ASK_AGAIN = 2.0
"""Seconds between two questions about one doubt; an earlier answer would come from REST's cache."""


class Doubt(msgspec.Struct):
    """One pair's price may be wrong."""

    reason: Reason
    since: float
    newest_at: float
    """The moment of the newest that spoke against the price: an answer as of an earlier one settles nothing."""
    before: Tick | None
    """What was held when the doubt began."""
    vouched: Price | None = None
    """The same, where a feed in step vouched for it: it was deaf if that was wrong."""
    claim: Decimal | None = None
    """The other price, where one was told."""
    asked_at: float | None = None
    """When REST was last asked for the newest trade and its exchange time."""


class Doubts:
    """While a pair is in doubt, nothing that the feed sends is evidence for its price.

    Only a newer trade of the feed, its present state on a new subscription, or an answer of REST settles it.
    """

    def __init__(self) -> None:
        self._open: dict[Pair, Doubt] = {}
        """The one that was asked about least recently comes first."""
        self._deaf_at: dict[Pair, float] = {}
        self.newest_since = -inf
        """When the newest doubt of all began, settled or not."""

    def __contains__(self, pair: object) -> bool:
        return pair in self._open

    def about(self, pair: Pair) -> Doubt | None:
        """What is doubtful about `pair`; None when nothing is."""
        return self._open.get(pair)

    def open(
        self,
        pair: Pair,
        reason: Reason,
        now: float,
        held: Price | None = None,
        *,
        vouched: bool = False,
        evidence_at: float | None = None,
        claim: Decimal | None = None,
    ) -> None:
        """`held`, the price of `pair`, may be wrong from now on.

        `vouched` where a feed in step confirmed it; `claim` where another price was told, as of `evidence_at`.
        """
        doubt = self._open.get(pair)
        spoken_at = now if evidence_at is None else evidence_at
        if doubt is None:
            doubt = self._open[pair] = Doubt(reason, now, spoken_at, held.tick if held else None)
            self.newest_since = now
        doubt.newest_at = max(doubt.newest_at, spoken_at)
        if reason in ("deaf", "unusable") and doubt.reason != "deaf":
            doubt.reason = reason
        if vouched and doubt.vouched is None:
            doubt.vouched = held
        if claim is not None:
            doubt.claim = claim

    def settle(self, pair: Pair) -> None:
        """It is known what the last trade is."""
        self._open.pop(pair, None)

    def heard(self, tick: Tick) -> None:
        """The feed brought a newer trade, or the present state on a new subscription."""
        doubt = self._open.get(tick.pair)
        if doubt is not None and tick.received_at >= doubt.newest_at:
            self.settle(tick.pair)

    def answered(self, tick: Tick, outcome: Outcome, surely_at: float) -> None:
        """REST told its newest trade, and `outcome` is how it stands to the price held.

        `surely_at`: the answer is no older than that, whatever cache it comes from.
        """
        doubt = self._open.get(tick.pair)
        match doubt:
            case None | Doubt(reason="deaf"):
                return
            case Doubt(reason="unusable"):  # nothing else tells of the trade that may have been in that frame
                settled = outcome != "older" and surely_at >= doubt.newest_at
            case _:
                explained = doubt.claim == tick.amount  # the other price was that of this trade, old or new
                settled = explained or (outcome != "older" and tick.evidence_at >= doubt.newest_at)
        if settled:
            self.settle(tick.pair)

    def asked(self, pair: Pair, now: float) -> None:
        """REST is asked about `pair`; the others come first, should that fail."""
        if doubt := self._open.pop(pair, None):
            doubt.asked_at = now
            self._open[pair] = doubt

    def unsettled(self, held: Mapping[Pair, Price], now: float) -> list[Pair]:
        """The pairs to ask REST about now, longest unasked first; a newer trade that the feed brought has decided."""
        for pair, doubt in list(self._open.items()):
            if pair in held and _is_newer(held[pair].tick, doubt):
                self.settle(pair)
        return [
            pair
            for pair, doubt in self._open.items()
            if doubt.reason != "deaf" and (doubt.asked_at is None or now - doubt.asked_at >= ASK_AGAIN)
        ]

    def is_unasked(self, pair: Pair) -> bool:
        """Whether there is a doubt about `pair` about which REST was never asked."""
        doubt = self._open.get(pair)
        return doubt is not None and doubt.asked_at is None

    def without_answer(self) -> list[Pair]:
        """The pairs about which REST was asked and that are in doubt all the same."""
        return [pair for pair, doubt in self._open.items() if doubt.asked_at is not None]

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


def _is_newer(tick: Tick, doubt: Doubt) -> bool:
    """Whether `tick` is another trade than before the doubt, which the feed brought since."""
    if tick.source != WEBSOCKET or tick.received_at <= doubt.newest_at:
        return False
    before = doubt.before
    return before is None or tick.amount != before.amount or tick.trade_id != before.trade_id
