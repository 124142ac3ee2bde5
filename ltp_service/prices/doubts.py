"""Which prices may be wrong, since when and why. Moments are monotonic seconds."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import inf
from typing import Literal

import msgspec

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import WEBSOCKET, Price, Tick
from ltp_service.prices.store import Outcome

Reason = Literal["unordered", "unusable", "disputed", "contested", "deaf"]
"""`unordered`: REST told two prices, and their order is not known. `unusable`: the feed sent a message about the pair
that cannot be used. `disputed`: REST told another price than the feed. `contested`: the feed's channels tell different
prices. `deaf`: the feed left out a trade, and the pair is subscribed to anew."""

DEAF_AGAIN_WITHIN_SECONDS = 60.0
"""Seconds within which a second deafness of the same pair ends the connection."""

SNAPSHOT_BELIEVED_AFTER_SECONDS = 600.0
"""Seconds after a deafness in which a second one of the same pair is not ended by a snapshot: the subscription that brought
one before brought nothing else."""

ASK_AGAIN_AFTER_SECONDS = 2.0
"""Seconds between two calls about one doubt; an earlier answer would come from REST's cache (recorded: 2 s)."""


class Doubt(msgspec.Struct):
    """One pair's price may be wrong."""

    reason: Reason
    since: float
    newest_at: float
    """The moment of the newest evidence against the price. An answer of an earlier moment does not settle the doubt."""
    before: Tick | None
    """The tick held when the doubt began."""
    vouched: Price | None = None
    """The price held then, if a feed in step confirmed it. If it was wrong, the feed was deaf."""
    claim: Decimal | None = None
    """The other price, where one was told."""
    asked_at: float | None = None
    """When REST was last asked for the newest trade with its exchange time; None if never."""
    needs_trade: bool = False
    """Whether only a live trade of the feed settles it."""


class Doubts:
    """While a pair is in doubt, nothing that the feed sends is evidence for its price.

    Only a newer trade of the feed, its present state on a new subscription, or an answer of REST settles it.
    """

    def __init__(self) -> None:
        self.by_pair: dict[Pair, Doubt] = {}
        """The open doubts. The pair that REST was asked about least recently comes first."""
        self._deaf_at: dict[Pair, float] = {}
        self._ended: set[Pair] = set()
        """Pairs whose last deafness ended the connection."""
        self.newest_since = -inf
        """When the newest doubt began, settled or not."""

    def __contains__(self, pair: object) -> bool:
        return pair in self.by_pair

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.by_pair)

    def about(self, pair: Pair) -> Doubt | None:
        """The doubt about `pair`; None when there is none."""
        return self.by_pair.get(pair)

    def open(
        self,
        pair: Pair,
        reason: Reason,
        now: float,
        held: Price | None = None,
        *,
        vouched: bool = False,
        against: Tick | None = None,
    ) -> None:
        """Opens a doubt about `held`, the price of `pair`, or adds to the open one.

        `vouched`: a feed in step confirmed `held`. `against`: the other price, where one was told.
        """
        doubt = self.by_pair.get(pair)
        spoken_at = now if against is None else against.evidence_at
        if doubt is None:
            doubt = self.by_pair[pair] = Doubt(reason, now, spoken_at, held.tick if held else None)
            self.newest_since = now
        doubt.newest_at = max(doubt.newest_at, spoken_at)
        if reason in ("deaf", "unusable") and doubt.reason != "deaf":
            doubt.reason = reason
        if vouched and doubt.vouched is None:
            doubt.vouched = held
        if against is not None:
            doubt.claim = against.amount

    def settle(self, pair: Pair) -> None:
        """Ends the doubt: the last trade is known."""
        self.by_pair.pop(pair, None)

    def heard(self, tick: Tick, *, snapshot: bool = False) -> None:
        """The feed brought a newer trade, or a snapshot on a new subscription."""
        doubt = self.by_pair.get(tick.pair)
        if doubt is None or tick.received_at < doubt.newest_at:
            return
        if doubt.needs_trade and (snapshot or tick.traded_at is None):
            doubt.before = tick  # the doubt is about this one now
        else:
            self.settle(tick.pair)

    def answered(self, tick: Tick, outcome: Outcome, surely_at: float) -> None:
        """REST told its newest trade; `outcome` compares it with the price held.

        The answer is not older than `surely_at`, even from a cache.
        """
        doubt = self.by_pair.get(tick.pair)
        match doubt:
            case None:
                return
            case Doubt(reason="deaf"):  # which only the feed can settle
                doubt.claim = None
                return
            case Doubt(reason="unusable"):  # the unusable frame may have held a trade
                is_explained = False
            case _:
                is_explained = doubt.claim == tick.amount  # the other price came from this trade
        if is_explained or (outcome != "older" and surely_at >= doubt.newest_at):
            self.settle(tick.pair)

    def asked(self, pair: Pair, now: float) -> None:
        """REST is asked about `pair`, which goes behind the other pairs in case the call fails."""
        if doubt := self.by_pair.pop(pair, None):
            doubt.asked_at = now
            self.by_pair[pair] = doubt

    def unsettled(self, held: Mapping[Pair, Price], now: float) -> list[Pair]:
        """The pairs to ask REST about now, longest unasked first. Settles those that a newer trade of the feed ends."""
        for pair, doubt in list(self.by_pair.items()):
            if pair in held and _is_newer(held[pair].tick, doubt):
                self.settle(pair)
        return [
            pair
            for pair, doubt in self.by_pair.items()
            if (doubt.reason != "deaf" or doubt.claim is not None)
            and (doubt.asked_at is None or now - doubt.asked_at >= ASK_AGAIN_AFTER_SECONDS)
        ]

    def is_unasked(self, pair: Pair) -> bool:
        """Whether `pair` is in doubt and REST was never asked about it."""
        doubt = self.by_pair.get(pair)
        return doubt is not None and doubt.asked_at is None

    def without_answer(self) -> list[Pair]:
        """The pairs that are still in doubt after REST was asked."""
        return [pair for pair, doubt in self.by_pair.items() if doubt.asked_at is not None]

    def deaf(self) -> list[Pair]:
        """The pairs whose subscription left out a trade and has brought nothing since."""
        return [pair for pair, doubt in list(self.by_pair.items()) if doubt.reason == "deaf"]

    def excuse(self) -> None:
        """The connection is gone, so the feed is not to blame for what it did not tell."""
        for doubt in self.by_pair.values():
            doubt.vouched = None

    def condemn(self, pair: Pair, now: float) -> bool:
        """Notes that the feed was deaf for `pair`; True when that ends the connection, because it was so within
        DEAF_AGAIN_WITHIN_SECONDS before."""
        since_last = now - self._deaf_at.get(pair, -inf)
        self._deaf_at[pair] = now
        if (doubt := self.by_pair.get(pair)) and since_last <= SNAPSHOT_BELIEVED_AFTER_SECONDS:
            doubt.needs_trade = True
        ends = since_last <= DEAF_AGAIN_WITHIN_SECONDS and pair not in self._ended
        self._ended = self._ended | {pair} if ends else self._ended - {pair}
        return ends


def _is_newer(tick: Tick, doubt: Doubt) -> bool:
    """Whether `tick` is another trade than before the doubt and came from the feed after it."""
    if tick.source != WEBSOCKET or tick.received_at <= doubt.newest_at:
        return False
    before = doubt.before
    return before is None or tick.amount != before.amount or tick.trade_id != before.trade_id
