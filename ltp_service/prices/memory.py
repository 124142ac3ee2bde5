"""Last prices in the memory of this process, and what was decided about each tick."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from math import inf
from threading import Lock

import msgspec
from cachetools import TTLCache

from ltp_service.domain.market import DELISTED, MarketStatus, prevailing
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price, Source, Tick
from ltp_service.prices.accept import adopted, compare, confirmed, merge, withdrawn
from ltp_service.prices.changes import Changes
from ltp_service.prices.store import Outcome
from ltp_service.runtime.clock import Clock

FORGET_AFTER_SECONDS = 24 * 3600.0
"""Seconds after its last evidence for which a price is kept, because `allow_stale` may ask for it."""

TOUCH_EVERY_SECONDS = 60.0
"""Seconds for which the life of a price is not renewed again: evidence comes ten times a second for each pair, and a minute
is nothing in a day."""

DECISIONS_PER_PAIR = 20
"""Decisions kept per pair."""


class TickDecision(msgspec.Struct, frozen=True, gc=False):
    """One tick and what was decided about it."""

    tick: Tick
    outcome: str


class Journal:
    """The last decisions and each source's newest tick. It is written at every tick, so it only appends."""

    def __init__(self) -> None:
        self._decisions: dict[Pair, deque[TickDecision]] = {}
        self._newest: dict[tuple[Pair, Source], TickDecision] = {}

    def note(self, tick: Tick, outcome: str) -> None:
        """Adds the decision `outcome` about `tick`."""
        decision = TickDecision(tick, outcome)
        self._newest[tick.pair, tick.source] = decision
        decisions = self._decisions.get(tick.pair)
        if decisions is None:
            decisions = self._decisions.setdefault(tick.pair, deque(maxlen=DECISIONS_PER_PAIR))
        decisions.append(decision)

    def newest(self, pair: Pair, source: Source) -> TickDecision | None:
        """The decision about the last tick that `source` gave for `pair`."""
        return self._newest.get((pair, source))

    def decisions(self, pair: Pair) -> list[TickDecision]:
        """The last decisions, oldest first."""
        return list(self._decisions.get(pair, ()))


class MemoryStore:
    """What is held, behind a lock for writers, a view of it for readers, and a TTLCache of what is to be forgotten.

    A view is never changed, only replaced, and only when it is asked for: a tick costs the same with many pairs. The cache
    has no size limit, because only the pairs of the settings and of the exchange's list are put here.
    """

    def __init__(self, clock: Clock, changes: Changes, journal: Journal) -> None:
        self._monotonic = clock.monotonic
        self._lives: TTLCache[Pair, None] = TTLCache(inf, FORGET_AFTER_SECONDS, timer=clock.monotonic)
        self._touched_at: dict[Pair, float] = {}
        """When the life of each price was last renewed."""
        self._changes = changes
        self._journal = journal
        self._lock = Lock()
        self._held: dict[Pair, Price] = {}
        self._view: Mapping[Pair, Price] = {}
        self._is_view_old = False
        self._market: MarketStatus = "unknown"
        self._pair_markets: dict[Pair, MarketStatus] = {}
        self._prevailing: dict[Pair, MarketStatus] = {}
        """The status that counts, of the pairs that have one of their own."""

    def put(self, tick: Tick) -> Outcome:
        with self._lock:
            held = self._held.get(tick.pair)
            outcome = compare(held, tick)
            if outcome != "older":
                self._keep({tick.pair: merge(held, tick, outcome)})
        self._journal.note(tick, outcome)
        if outcome == "newer" and ((changes := self._changes).groups or changes.listener):
            changes.announce(tick.pair)
        return outcome

    def confirm(self, pairs: Iterable[Pair], at: float, by: Source) -> None:
        with self._lock:
            held = self._held
            self._keep({pair: confirmed(price, at, by) for pair in pairs if (price := held.get(pair))})

    def withdraw(self, pairs: Iterable[Pair], after: float) -> None:
        with self._lock:
            held = self._held
            self._keep({pair: withdrawn(held[pair], after) for pair in pairs if pair in held})

    def adopt(self, told: Iterable[Price], decide: Callable[[Price | None, Price], Price] = adopted) -> None:
        """Takes prices as another process holds them, with its evidence: by default as the owner of the feed does.

        `decide` says from the price held and the one told which is to be held.
        """
        with self._lock:
            by_pair = {price.tick.pair: price for price in told}
            before = {pair: self._held.get(pair) for pair in by_pair}
            decided = {pair: decide(before[pair], price) for pair, price in by_pair.items()}
            news = {pair: price for pair, price in decided.items() if price is not before[pair]}
            if news:
                self._keep(news)
        for pair, price in news.items():
            held = before[pair]
            if held is None or held.tick.amount != price.tick.amount:
                self._journal.note(price.tick, "newer")
                self._changes.announce(pair)
            elif (listener := self._changes.listener) and (
                held.tick.trade_id != price.tick.trade_id or held.confirmed_by != price.confirmed_by
            ):
                listener(pair)  # another trade or source of the same price, which no request waits for

    def set_market(self, status: MarketStatus) -> None:
        with self._lock:
            self._market = status
            self._recompute_markets()

    def market(self) -> MarketStatus:
        return self._market

    def set_pair_markets(self, statuses: Mapping[Pair, MarketStatus]) -> None:
        with self._lock:
            before = self._pair_markets
            news = {
                pair: status
                for pair, status in statuses.items()
                if status != before.get(pair, "unknown") and (status != "unknown" or before[pair] == DELISTED)
            }
            if news:
                self._pair_markets = before | news
                self._recompute_markets()

    def _recompute_markets(self) -> None:
        """Finished answers are made anew, too, because the next view is another one."""
        self._prevailing = {pair: prevailing(self._market, own) for pair, own in self._pair_markets.items()}
        self._is_view_old = True

    def market_of(self, pair: Pair) -> MarketStatus:
        return self._prevailing.get(pair, self._market)

    def pair_markets(self) -> Mapping[Pair, MarketStatus]:
        """What the exchange last said about each pair."""
        return self._pair_markets

    def get(self, pair: Pair) -> Price | None:
        return self._held.get(pair)

    def all(self) -> Mapping[Pair, Price]:
        if self._is_view_old:
            with self._lock:
                self._view = dict(self._held)
                self._is_view_old = False
        return self._view

    def ping(self) -> None:
        """Does nothing, because memory always answers."""

    def _keep(self, news: dict[Pair, Price]) -> None:
        held = self._held
        held.update(news)
        now, touched = self._monotonic(), self._touched_at
        long_ago, is_renewed = now - TOUCH_EVERY_SECONDS, False
        for pair in news:
            if touched.get(pair, -inf) <= long_ago:
                self._lives[pair] = None
                touched[pair] = now
                is_renewed = True
        if is_renewed and len(held) > len(self._lives):  # some were older than FORGET_AFTER_SECONDS
            self._held = {pair: price for pair, price in held.items() if pair in self._lives}
        self._is_view_old = True
