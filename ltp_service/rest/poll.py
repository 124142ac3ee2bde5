"""Asks REST in the background: for the pairs that the feed does not deliver, and for those it is silent about."""

import logging
from collections.abc import Sequence
from math import inf
from threading import Event
from typing import Protocol

import msgspec

from ltp_service.domain.errors import ExchangeError
from ltp_service.domain.market import DELISTED, HALTED
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import WEBSOCKET, Price, Tick
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.store import Store
from ltp_service.rest.probe import Probe
from ltp_service.rest.source import RestSource
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.observer import Observer

log = logging.getLogger(__name__)

LOOK = 0.25
"""Seconds between looks at what is late."""

INTERVAL = 2.0
"""Seconds between polls while the feed is down: Kraken answers faster ones from its cache."""

DISTANCE = 1.0
"""Least seconds between any two calls."""

HEARTBEAT = 1.5
"""Seconds within which a connection that is alive shows it; Kraken's heartbeats were recorded up to 1.16 s apart."""

LINK_DOWN = 0.5
"""Seconds without a connection after which the feed counts as gone; most reconnections take less."""

UNSETTLED = 2.0
"""Seconds after which a question about a doubt that failed is asked again: other pairs' turns come between."""

DATED_AGAIN = 60.0
"""Seconds between two attempts to find out when a trade was made; by then it is known to be quiet."""

LISTINGS_AGAIN, LISTINGS_IN_DOUBT = 600.0, 60.0
"""Seconds between two questions which pairs are listed and traded, and where a doubt came up since the last, or a pair
was not traded by it."""

LISTINGS_FIRST = 5.0
"""Seconds after the start until the first: prices come first."""

HALTED_AGAIN, STATUS_AGAIN = 3.0, 30.0
"""Seconds between two questions whether the exchange is matching: while it was not, and without a feed to tell."""

STATUS_CACHED = 2.0
"""Seconds for which Kraken's REST answers from a cache; recorded."""

START = 1.5
"""Seconds, beyond the usual silence, that a feed has for its first price."""

SHARE = 0.5
"""Part of the time that a price lives without evidence, after which REST is asked at the latest."""


class Feed(Protocol):
    """The primary source, as far as this room needs it."""

    def is_here(self) -> bool:
        """Whether this process feeds itself, and so has to watch the feed; else another one does."""

    def is_connected(self) -> bool:
        """Whether there is a connection at all."""

    def delivered_at(self, pair: Pair) -> float | None:
        """Monotonic seconds of the newest evidence for `pair`; None when there was none."""

    def renew(self, pair: Pair) -> None:
        """Subscribe to `pair` anew: it kept silent about a trade."""

    def held(self, pair: Pair) -> Tick | None:
        """A trade of `pair` that is held back until somebody confirms it."""

    def market_told_at(self) -> float:
        """Monotonic seconds at which the feed last told whether the exchange is matching."""

    def tells_market_of(self, pair: Pair) -> bool:
        """Whether the feed itself tells if the orders of `pair` are matched."""

    def leave(self) -> None:
        """Drop the connection, which cannot be trusted, and make another."""


class NoFeed:
    """In the place of a collector where the WebSocket is switched off."""

    def is_here(self) -> bool:
        return True

    def is_connected(self) -> bool:
        return False

    def delivered_at(self, pair: Pair) -> float | None:
        return None

    def renew(self, pair: Pair) -> None:
        return None

    def held(self, pair: Pair) -> Tick | None:
        return None

    def market_told_at(self) -> float:
        return 0.0

    def tells_market_of(self, pair: Pair) -> bool:
        return False

    def leave(self) -> None:
        return None


class Promise(msgspec.Struct, frozen=True):
    """Which pairs are served, and how long their feed may keep silent, in seconds."""

    pairs: tuple[Pair, ...]
    fallback_timeout: float
    stale_after: float
    ttl: float
    websocket: bool = True
    """Whether there is to be a feed at all; else REST is no fallback but the source."""
    processes: int = 1
    """On this machine. While nobody tells them anything each one polls, and together they ask as often as one."""

    def grace(self, *, connected: bool) -> float:
        """Silence after which a pair is asked for over REST."""
        asked = min(self.fallback_timeout, self.stale_after)
        return min(max(asked, HEARTBEAT) if connected else LINK_DOWN, SHARE * self.ttl)

    def shared(self, interval: float) -> float:
        """Seconds between two polls of one process among several; short enough for every price to survive."""
        return max(interval, min(interval * self.processes, SHARE * self.ttl))


class Poll:
    """The runner of the second source."""

    name = "fallback"

    def __init__(
        self,
        source: RestSource,
        store: Store,
        feed: Feed | None,
        promise: Promise,
        clock: Clock,
        observer: Observer,
        doubts: Doubts,
    ) -> None:
        self._doubts = doubts
        self._source = source
        self._store = store
        self._feed = feed
        self._promise = promise
        self._pairs = promise.pairs
        self._clock = clock
        self._observer = observer
        self._probe = Probe()
        self._expected_at = clock.monotonic() + START
        self._active_since: float | None = None
        self._next_poll = 0.0
        self._next_call = self._next_settlement = 0.0
        self._listings_due_at = clock.monotonic() + LISTINGS_FIRST
        self._listings_asked_at = 0.0
        self._dated_at: dict[Pair, float] = {}
        self._status_asked_at: float | None = None
        """Of this fallback, or of this halt; None when it is to be asked at once."""
        self.last_error: str | None = None

    def active(self) -> bool:
        """True while REST stands in for the whole feed."""
        return self._active_since is not None

    def run(self, stop: Event) -> None:
        """Looks every quarter of a second at what is to be asked."""
        self._expected_at = self._clock.monotonic() + START
        self._listings_due_at = self._clock.monotonic() + LISTINGS_FIRST
        while not stop.wait(LOOK):
            try:
                self.look()
            except ExchangeError as error:
                self._failed(error)

    def look(self) -> None:
        """One look. Raises ExchangeError when the call that it made failed."""
        now = self._clock.monotonic()
        self._take_listings(now)
        if self._doubts.newest_since > self._listings_asked_at:
            self._listings_due_at = min(self._listings_due_at, self._listings_asked_at + LISTINGS_IN_DOUBT)
        late = self._late(now)
        self._turn(late, now)
        self._listen()
        if self._feed is not None and not self._feed.is_connected():
            self._doubts.excuse()
        if now < self._next_call:
            return
        doubtful = self._unsettled(now) if now >= self._next_settlement else []
        followed = self._followed(late, doubtful)
        # A doubt is asked about first, and no poll waits for longer than for another one.
        if followed and now >= self._next_poll + (INTERVAL if doubtful else 0.0):
            self._next_poll = now + self._interval()
            self._poll(followed, now, in_step=self._silent(followed, now))
        elif now >= self._status_due_at():
            self._ask_status(now)
        elif now >= self._listings_due_at and not any(map(self._doubts.is_unasked, doubtful)):
            self._ask_listings(now)
        elif doubtful:
            self._settle(doubtful[0], late, now)
        elif silent := self._silent(late, now):
            self._poll([], now, in_step=silent)
        elif self._is_watched() and self._source.can_date() and (undated := self._undated(now)):
            self._next_call = now + DISTANCE
            self._dated_at[undated.tick.pair] = now
            self._source.date(undated)

    def _is_watched(self) -> bool:
        """Whether this process is the one to find out what the feed keeps silent about."""
        return self._feed is None or self._feed.is_here()

    def _interval(self) -> float:
        return INTERVAL if self._is_watched() else self._promise.shared(INTERVAL)

    def _late(self, now: float) -> list[Pair]:
        feed = self._feed
        if feed is None:
            return list(self._pairs)
        # A connection that was made anew has shown nothing yet: only evidence since then ends the fallback.
        begun = self._active_since or 0.0
        grace = self._promise.grace(connected=feed.is_connected())
        newest = {pair: feed.delivered_at(pair) or self._expected_at for pair in self._pairs}
        return [pair for pair, at in newest.items() if at < begun or now - at > grace]

    def _unsettled(self, now: float) -> list[Pair]:
        pairs = self._doubts.unsettled(self._store.all(), now)
        return [pair for pair in pairs if self._store.market_of(pair) != DELISTED]

    def _silent(self, others: Sequence[Pair], now: float) -> list[Pair]:
        """Beside `others`, the pairs about which the feed has been silent for longer than is their habit."""
        if not self._is_watched():
            return []
        known = frozenset(others)
        return self._probe.due([pair for pair in self._pairs if pair not in known], now)

    def _undated(self, now: float) -> Price | None:
        """A price that the feed vouches for without a time: whether its market is quiet is not known."""
        for pair, price in self._store.all().items():
            undated = price.tick.happened_at is None and price.confirmed_by == WEBSOCKET
            if undated and now - self._dated_at.get(pair, -inf) >= DATED_AGAIN:
                return price
        return None

    def _followed(self, late: Sequence[Pair], doubtful: Sequence[Pair]) -> list[Pair]:
        """The pairs whose price comes from REST: those that are late, and those in doubt. A single new doubt is asked
        about by exchange time at once.
        """
        pairs = [*late, *self._doubts.without_answer(), *(doubtful if len(doubtful) > 1 else ())]
        return list(dict.fromkeys(pairs))

    def _listen(self) -> None:
        for pair, price in self._store.all().items():
            if price.tick.source == WEBSOCKET:
                self._probe.heard(pair, price.tick.received_at)

    # Which of the two sources is in charge.

    def _turn(self, late: Sequence[Pair], now: float) -> None:
        if self._feed is None or not self._promise.websocket:
            return
        all_late = len(late) == len(self._pairs)
        if all_late and self._active_since is None:
            self._begin(now, self._feed)
        elif not all_late and self._active_since is not None:
            self._observer.fallback_ended(now - self._active_since)
            self._active_since = None
            log.info("WebSocket data received, switching back from REST fallback")

    def _begin(self, now: float, feed: Feed) -> None:
        self._active_since = now
        self._observer.fallback_started("silent" if feed.is_connected() else "disconnected")
        log.warning("WebSocket data unavailable, falling back to REST")
        # Whether the market is open at all is asked first while prices are fresh still. After a long silence
        # they are not.
        newest = max(feed.delivered_at(pair) or 0.0 for pair in self._pairs)
        self._next_poll = now + DISTANCE if now - newest < INTERVAL else now
        self._status_asked_at = None

    # One call each.

    def _poll(self, pairs: Sequence[Pair], now: float, *, in_step: Sequence[Pair]) -> None:
        """Asks about `pairs` and about those that the feed delivers in step, as it seems."""
        self._next_call = now + DISTANCE
        answer = self._source.poll([*pairs, *in_step])
        self._probe.asked(answer.asked | self._source.unknown, now)
        self.last_error = self._overdue(pairs)
        delivered = frozenset(in_step)
        for tick in answer.ticks:
            self._compare(tick, in_step=tick.pair in delivered)

    def _overdue(self, pairs: Sequence[Pair]) -> str | None:
        """What is left to tell when a call succeeded, and prices got too old all the same."""
        held, oldest = self._store.all(), self._clock.monotonic() - self._promise.ttl
        overdue = [pair for pair in pairs if pair not in held or held[pair].confirmed_at < oldest]
        if not overdue:
            return None
        why = self._source.errors.get(overdue[0], "unknown to REST")
        return f"{len(overdue)} pairs are without evidence for CACHE_TTL; {overdue[0]}: {why}"

    def _compare(self, tick: Tick, *, in_step: bool) -> None:
        """A delivered pair for which REST tells another price is asked for by exchange time."""
        price = self._store.all().get(tick.pair)
        if price is not None and price.confirmed_by == WEBSOCKET and price.tick.amount != tick.amount:
            now = self._clock.monotonic()
            self._doubts.open(
                tick.pair,
                "disputed",
                now,
                price,
                vouched=in_step,
                evidence_at=tick.evidence_at,
                claim=tick.amount,
            )

    def _settle(self, pair: Pair, late: Sequence[Pair], now: float) -> None:
        self._next_call = now + DISTANCE
        self._next_settlement = now + UNSETTLED
        told = self._told(pair, late)
        outcome = self._source.settle(pair)
        self._next_settlement = 0.0
        feed = self._feed
        if feed is None:
            return
        # A trade that the feed brought and holds back is no deafness; another source has just vouched for it.
        # A feed that is elsewhere, or cut and not in step since, kept silent about nothing.
        speaks = feed.is_here() and feed.is_connected() and feed.held(pair) is None
        if outcome == "newer" and speaks and told is not None and self._differs(told):
            self._condemn(pair, feed, now)

    def _told(self, pair: Pair, late: Sequence[Pair]) -> Price | None:
        """What a feed in step vouches for, or did when REST disputed it; None where it has not kept silent."""
        doubt = self._doubts.about(pair)
        if doubt is None or doubt.reason == "unusable":
            return None
        return doubt.vouched or (None if pair in late else self._store.all().get(pair))

    def _differs(self, told: Price) -> bool:
        """Whether the price is another one now: a time for the same one is news, but contradicts nobody."""
        return self._store.all()[told.tick.pair].tick.amount != told.tick.amount

    def _condemn(self, pair: Pair, feed: Feed, now: float) -> None:
        self._observer.subscription_deaf(pair)
        log.warning("%s: the WebSocket kept silent about a trade; subscribing anew", pair)
        self._probe.deaf(pair, now)
        self._doubts.open(pair, "deaf", now)
        if self._doubts.condemn(pair, now):
            feed.leave()
        else:
            feed.renew(pair)

    def _ask_status(self, now: float) -> None:
        self._status_asked_at = now
        self._next_call = now + DISTANCE
        status = self._source.market_status()
        # From a cache it may be of a moment before the feed told.
        is_news = self._feed is None or now >= self._feed.market_told_at() + STATUS_CACHED
        if status != "unknown" and is_news:
            self._store.set_market(status)

    def _ask_listings(self, now: float) -> None:
        self._listings_asked_at = now
        self._listings_due_at = now + LISTINGS_IN_DOUBT
        if not self._is_watched():
            return  # the one that feeds this process tells
        self._next_call = now + DISTANCE
        self._source.ask_listings()
        self._listings_due_at = now + LISTINGS_AGAIN
        self._take_listings(now)

    def _take_listings(self, now: float) -> None:
        """What REST's list says of the pairs of which the feed says nothing."""
        listed = self._source.new_listings()
        if any(pair in listed for pair in self._pairs):  # else it is no list of this exchange
            feed = self._feed
            pairs = [pair for pair in self._pairs if feed is None or not feed.tells_market_of(pair)]
            self._store.set_pair_markets({pair: listed.get(pair, DELISTED) for pair in pairs})
            if any(self._store.market_of(pair) in {DELISTED, *HALTED} for pair in pairs):
                self._listings_due_at = min(self._listings_due_at, now + LISTINGS_IN_DOUBT)

    def _status_due_at(self) -> float:
        """When to ask whether the exchange is matching: while that is REST's to find out, or it was not."""
        alone = self._feed is None or not self._promise.websocket
        if not self._is_watched() or not (alone or self.active()):
            return inf  # the feed tells
        if self._status_asked_at is None:
            return 0.0
        if self._store.market() in HALTED:
            return self._status_asked_at + HALTED_AGAIN
        return self._status_asked_at + STATUS_AGAIN

    def _failed(self, error: ExchangeError) -> None:
        self.last_error = str(error)
        log.warning("REST: %s", error, extra={"once_a_minute": ("rest", error.reason)})
