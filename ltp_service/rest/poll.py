"""Asks REST in the background for pairs that the feed does not deliver, and for pairs that are silent or in doubt."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf
from threading import Event
from typing import Protocol

from ltp_service.domain.errors import ExchangeError
from ltp_service.domain.market import DELISTED, HALTED, MarketStatus
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST, WEBSOCKET, Price, Tick
from ltp_service.meters import DEAF_SUBSCRIPTIONS, FALLBACK_SECONDS, FALLBACKS
from ltp_service.prices.accept import CLOCK_ERROR_SECONDS
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.freshness import LIVE_SECONDS
from ltp_service.prices.served import ServedPairs
from ltp_service.prices.store import Store
from ltp_service.rest.probe import Probe
from ltp_service.rest.sequence import LONGEST_CACHE_SECONDS
from ltp_service.rest.source import RestSource
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.25
"""Seconds between two checks for something to ask."""

POLL_EVERY_SECONDS = 2.0
"""Seconds between polls while the feed is down; Kraken answers faster ones from its cache (recorded)."""

CALLS_APART_SECONDS = 1.0
"""Least seconds between any two calls of this runner."""

HEARTBEAT_SECONDS = 1.5
"""Seconds within which a living connection sends a message; Kraken's heartbeats were recorded up to 1.16 s apart."""

LINK_DOWN_SECONDS = 0.5
"""Seconds without a connection after which the feed counts as gone; most reconnections take less."""

DOUBT_RETRY_AFTER_SECONDS = 2.0
"""Seconds after a failed call about a doubt before the next one, so that other pairs are asked in between."""

CATCHES_UP_SECONDS = 1.0
"""Seconds, beyond its lag, that a feed has to tell a trade of which REST told first."""

RENEWED_AGAIN_AFTER_SECONDS = 60.0
"""Seconds after which a pair that stays deaf is subscribed to once more."""

DATE_AGAIN_AFTER_SECONDS = 60.0
"""Seconds between two attempts to find out a trade's time. After that time its pair is `quiet` anyway."""

LISTINGS_EVERY_SECONDS, LISTINGS_IN_DOUBT_SECONDS = 600.0, 60.0
"""Seconds between two calls for the list of pairs; the second value counts after a new doubt, or while a pair is halted
or not listed."""

LIST_AGAIN_AFTER_SECONDS = 5.0
"""Seconds between two calls for the list of pairs while a wildcard of SUPPORTED_PAIRS waits for the first one, and after one
that lacks a pair of which the feed tells trades."""

FIRST_LISTINGS_AFTER_SECONDS = 5.0
"""Seconds after the start before the first call for the list of pairs, because prices come first."""

STATUS_WHILE_HALTED_SECONDS, STATUS_EVERY_SECONDS = 3.0, 30.0
"""Seconds between two calls for the exchange's status: while it is halted or the answer may be older than what the feed told,
and while there is no feed to tell it."""

FIRST_PRICE_WITHIN_SECONDS = 1.5
"""Seconds, beyond the usual silence, that a feed has for its first price."""

PAIRS_STARTED_PER_SECOND = 200.0
"""Pairs for which a feed brings the first price in a second; a feed of very many pairs has more time for it."""

LIVES_ON_REST_SECONDS = 30.0
"""Seconds after which a pair that still needs REST is taken to live on it, as one that the feed refuses."""

FREE_EVERY_SECONDS, FREE_SECONDS = 10.0, POLL_EVERY_SECONDS
"""While pairs live on REST, so many seconds in each of the longer spans are free for what is worth less than a price. A
span without a call lies in them, because polls are so far apart."""

TTL_SHARE = 0.5
"""Share of CACHE_TTL without evidence after which REST is asked at the latest."""


class Feed(Protocol):
    """This process's own collector, as far as it is needed here."""

    def is_connected(self) -> bool:
        """Whether there is a connection."""

    def delivered_at(self, pair: Pair) -> float | None:
        """Monotonic seconds of the newest evidence for `pair`; None when there was none."""

    def lag(self) -> float:
        """Seconds by which the feed tells its trades late."""

    def renew(self, pair: Pair) -> None:
        """Subscribes to `pair` anew, because the feed left out a trade."""

    def told_since(self, pair: Pair) -> float | None:
        """Monotonic seconds since which this connection tells each trade of `pair`; None while it does not."""

    def held(self, pair: Pair) -> Tick | None:
        """The trade of `pair` that the quarantine holds back; None when there is none."""

    def market_told_at(self) -> float:
        """Monotonic seconds at which the feed last told the exchange's status."""

    def tells_market_of(self, pair: Pair) -> bool:
        """Whether the feed tells the status of `pair`."""

    def leave(self) -> None:
        """Drops the connection, which cannot be trusted, and makes a new one."""


class Fleet(Protocol):
    """The processes that share one feed, as far as they are needed here."""

    def leads(self) -> bool:
        """Whether this process runs the feed for all of them."""

    def in_step(self) -> bool:
        """Whether this process receives everything that the owner of the feed sends."""

    def told_at(self, pair: Pair) -> float | None:
        """Monotonic seconds of the newest evidence that the owner told of `pair`; None when none came."""

    def askers(self) -> int:
        """How many processes of this machine ask REST while they do not hear the owner, with this one; 0 while another one
        asks for it, too. Not to be asked in the process that runs the feed."""


class Poll:
    """Runner: asks REST where the feed does not tell."""

    name = "fallback"

    def __init__(
        self,
        config: Config,
        served: ServedPairs,
        source: RestSource,
        store: Store,
        doubts: Doubts,
        runtime: Runtime,
        feed: Feed | None,
        fleet: Fleet | None = None,
    ) -> None:
        """`feed` is None where the WebSocket is switched off, `fleet` where this process shares no feed."""
        self._config = config
        self._served = served
        self._listed_pairs = self.pairs
        """Those of them when the list of pairs was last looked at; one that is added later has its status of that list."""
        self._doubts_the_list = False
        """Whether the last list of pairs may not be this exchange's."""
        self._believed_list: Mapping[Pair, MarketStatus] = {}
        """The last list of pairs that was believed."""
        self._left: frozenset[Pair] = frozenset()
        """Pairs that an earlier list named and that one does not."""
        self._missed_at: dict[Pair, float] = {}
        """When a list first lacked each pair that the last one lacks."""
        self._awaited: dict[Pair, float] = {}
        """Monotonic seconds until which the feed may bring the first price of a pair that was added later."""
        self._source = source
        source.on_replaced = self._replaced
        self._store = store
        self._doubts = doubts
        self._clock = runtime.clock
        self._meters = runtime.meters
        self._feed = feed
        self._fleet = fleet
        self._probe = Probe()
        self._expected_at = self._clock.monotonic() + _first_price_within(served)
        self._active_since: float | None = None
        self._needy: dict[Pair, float] = {}
        """The pairs that are late, polled or in doubt, and since when."""
        self._next_poll = 0.0
        self._next_call = self._next_settlement = 0.0
        self._listings_due_at = self._clock.monotonic() + FIRST_LISTINGS_AFTER_SECONDS
        self._listings_asked_at = 0.0
        self._dated_at: dict[Pair, float] = {}
        self._renewed_at: dict[Pair, float] = {}
        """When each deaf pair was last subscribed to anew."""
        self._status_asked_at: float | None = None
        """Monotonic seconds of the last call for the exchange's status in this fallback; None to ask at once."""
        self._is_status_old = False
        """Whether the last answer to it may be older than what the feed told."""
        self.last_error: str | None = None

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs that are served."""
        return self._served.pairs

    def follow(self, pairs: Sequence[Pair]) -> None:
        """These pairs are served from now on: gives the feed time for the first price of the new ones. From any thread."""
        expected_at = self._clock.monotonic() + _first_price_within(pairs)
        self._awaited = {pair: self._awaited.get(pair, expected_at) for pair in pairs}

    def active(self) -> bool:
        """True while REST stands in for the whole feed."""
        return self._active_since is not None

    def needs_rest(self) -> bool:
        """Whether a price needs REST now, so that nothing may be asked that is worth less.

        Where pairs live on REST for good, some seconds are free, else what is worth less would wait for ever.
        """
        if not self._needy:
            return False
        now = self._clock.monotonic()
        if self.active() or now - max(self._needy.values()) < LIVES_ON_REST_SECONDS:
            return True
        return now % FREE_EVERY_SECONDS >= FREE_SECONDS

    def run(self, stop: Event) -> None:
        """Calls `look` every LOOK_EVERY_SECONDS until `stop` is set."""
        self._expected_at = self._clock.monotonic() + _first_price_within(self.pairs)
        self._listings_due_at = self._clock.monotonic() + FIRST_LISTINGS_AFTER_SECONDS
        while not stop.wait(LOOK_EVERY_SECONDS):
            try:
                self.look()
            except ExchangeError as error:
                self._failed(error)

    def look(self) -> None:
        """Makes the most urgent call, at most one. Raises ExchangeError when it fails."""
        now = self._clock.monotonic()
        self._take_listings(now)
        if self._doubts.newest_since > self._listings_asked_at:
            self._listings_due_at = min(
                self._listings_due_at, self._listings_asked_at + LISTINGS_IN_DOUBT_SECONDS
            )
        late = self._late(now)
        needy = {*late, *self._doubts}
        self._needy = {pair: self._needy.get(pair, now) for pair in needy}
        self._turn(late, now)
        self._listen()
        if self._is_connected():
            self._renew_the_deaf(now)
        else:
            self._doubts.excuse()
            self._probe.interrupted()
        if now < self._next_call:
            return
        askers = 1 if self._is_watched() or not needy else self._askers()
        doubtful = self._unsettled(late, now) if askers and now >= self._next_settlement else []
        followed = self._followed(late, doubtful) if askers else []
        # A doubt comes before a poll, but delays it by one interval at most.
        if followed and now >= self._next_poll + (POLL_EVERY_SECONDS if doubtful else 0.0):
            self._next_poll = now + self._interval(askers)
            self._poll(followed, now, in_step=self._silent(followed, now))
        elif now >= self._status_due_at():
            self._ask_status(now)
        elif now >= self._ask_listings_at() and not any(map(self._doubts.is_unasked, doubtful)):
            self._ask_listings(now)
        elif doubtful:
            self._settle(doubtful[0], late, now)
        elif silent := self._silent(late, now):
            self._poll([], now, in_step=silent)
        elif self._is_watched() and self._source.can_date() and (undated := self._undated(now)):
            self._date(undated, now)

    def _is_watched(self) -> bool:
        """Whether this process has to find out what the feed leaves out; else the owner of the fleet does."""
        return self._fleet is None or self._fleet.leads()

    def _is_connected(self) -> bool:
        """Whether the feed, of this process or of the owner, reaches this process."""
        if self._fleet is not None and not self._fleet.leads():
            return self._fleet.in_step()
        return self._feed is not None and self._feed.is_connected()

    def _delivered_at(self, pair: Pair) -> float | None:
        """Monotonic seconds of the newest evidence for `pair`; None when there was none."""
        own = self._feed.delivered_at(pair) if self._feed is not None and self._is_watched() else None
        told = self._fleet.told_at(pair) if self._fleet is not None else None
        return max((at for at in (own, told) if at is not None), default=None)

    def _askers(self) -> int:
        """How many processes of this machine poll, with this one; 0 while another one polls for it."""
        askers = 1 if self._fleet is None else self._fleet.askers()
        if not askers:
            self.last_error = None
        return askers

    def _interval(self, askers: int) -> float:
        """Seconds between two polls, short enough that no price becomes stale.

        Without an owner all processes of this machine that poll do so together as often as one would.
        """
        shared = POLL_EVERY_SECONDS * askers
        return max(POLL_EVERY_SECONDS, min(shared, TTL_SHARE * self._config.cache_ttl))

    def _grace(self) -> float:
        """Seconds of silence after which REST is asked for a pair."""
        asked = min(self._config.kraken_fallback_timeout, self._config.stale_after)
        silence = max(asked, HEARTBEAT_SECONDS) if self._is_connected() else LINK_DOWN_SECONDS
        return min(silence, TTL_SHARE * self._config.cache_ttl)

    def _late(self, now: float) -> list[Pair]:
        if self._feed is None and self._fleet is None:
            return list(self.pairs)
        # Only evidence since the start of the fallback ends it: a new connection alone proves nothing.
        begun, grace = self._active_since or 0.0, self._grace()
        newest = {pair: self._delivered_at(pair) or self._awaited_until(pair) for pair in self.pairs}
        return [pair for pair, at in newest.items() if at < begun or now - at > grace]

    def _awaited_until(self, pair: Pair) -> float:
        """Monotonic seconds until which the feed may bring the first price; during a fallback nothing is awaited."""
        if self.active():
            return -inf
        return max(self._expected_at, self._awaited.get(pair, -inf))

    def _unsettled(self, late: Collection[Pair], now: float) -> list[Pair]:
        return [
            pair
            for pair in self._doubts.unsettled(self._store.all(), now)
            if self._store.market_of(pair) != DELISTED and (pair in late or self._had_time(pair, now))
        ]

    def _had_time(self, pair: Pair, now: float) -> bool:
        """Whether a feed that is not deaf would have told by now what REST told."""
        doubt = self._doubts.about(pair)
        if doubt is None or doubt.reason != "disputed" or doubt.vouched is None or self._feed is None:
            return True
        return now >= doubt.since + self._feed.lag() + CATCHES_UP_SECONDS

    def _silent(self, others: Sequence[Pair], now: float) -> list[Pair]:
        """The pairs, without `others`, that have been silent for longer than usual."""
        if not self._is_watched():
            return []
        known = frozenset(others)
        return self._probe.due([pair for pair in self.pairs if pair not in known], now)

    def _undated(self, now: float) -> Price | None:
        """A price of the feed without a trade time, so that it is not known whether its market is quiet.

        A doubt has a question of its own, which has to wait until a late feed had its time.
        """
        for pair, price in self._store.all().items():
            undated = price.tick.happened_at is None and price.confirmed_by == WEBSOCKET
            is_due = now - self._dated_at.get(pair, -inf) >= DATE_AGAIN_AFTER_SECONDS
            if undated and is_due and pair not in self._doubts:
                return price
        return None

    def _followed(self, late: Sequence[Pair], doubtful: Sequence[Pair]) -> list[Pair]:
        """The pairs to poll: those that are late and those in doubt. A single new doubt is not polled, because it is
        settled at once by exchange time.
        """
        pairs = [*late, *self._doubts.without_answer(), *(doubtful if len(doubtful) > 1 else ())]
        return list(dict.fromkeys(pairs))

    def _listen(self) -> None:
        for pair, price in self._store.all().items():
            if price.tick.source == WEBSOCKET:
                self._probe.heard(pair, price.tick.received_at)

    # Whether REST stands in for the feed.

    def _turn(self, late: Sequence[Pair], now: float) -> None:
        if self._feed is None:  # REST is the source, and stands in for nothing
            return
        all_late = len(late) == len(self.pairs) > 0
        if all_late and self._active_since is None:
            self._begin(now)
        elif not all_late and self._active_since is not None:
            self._meters.observe(FALLBACK_SECONDS, [now - self._active_since])
            self._active_since = None
            log.info("WebSocket data received, switching back from REST fallback")

    def _begin(self, now: float) -> None:
        self._active_since = now
        self._meters.count(FALLBACKS, "silent" if self._is_connected() else "disconnected")
        log.warning("WebSocket data unavailable, falling back to REST")
        # While the prices are still fresh, the exchange's status is asked first; after a long silence the
        # prices are.
        newest = max(self._delivered_at(pair) or 0.0 for pair in self.pairs)
        self._next_poll = now + CALLS_APART_SECONDS if now - newest < POLL_EVERY_SECONDS else now
        self._status_asked_at = None

    # Each of these makes one call.

    def _poll(self, pairs: Sequence[Pair], now: float, *, in_step: Sequence[Pair]) -> None:
        """Asks about `pairs` and about `in_step`, those that the feed seems to deliver."""
        self._next_call = now + CALLS_APART_SECONDS
        before = self._store.all()
        answer = self._source.poll([*pairs, *in_step])
        self._probe.asked(answer.asked | self._source.unknown, now)
        self.last_error = self._overdue(pairs)
        delivered = frozenset(in_step)
        for tick in answer.ticks:
            self._compare(before.get(tick.pair), tick, in_step=tick.pair in delivered)

    def _overdue(self, pairs: Sequence[Pair]) -> str | None:
        """A text about prices that are too old although the call succeeded; None when there are none."""
        held, oldest = self._store.all(), self._clock.monotonic() - self._config.cache_ttl
        overdue = [pair for pair in pairs if pair not in held or held[pair].confirmed_at < oldest]
        if not overdue:
            return None
        why = self._source.errors.get(overdue[0], "unknown to REST")
        return f"{len(overdue)} pairs are without evidence for CACHE_TTL; {overdue[0]}: {why}"

    def _compare(self, before: Price | None, tick: Tick, *, in_step: bool) -> None:
        """Opens a doubt where REST tells another price than the feed; exchange time will settle it.

        `before` was held when REST was asked.
        """
        price = self._store.get(tick.pair)
        if in_step and price is not None and price.tick.source == REST:
            price = before  # REST's price was known to be newer, and yet a feed in step did not tell it
        if price is not None and price.confirmed_by == WEBSOCKET and price.tick.amount != tick.amount:
            now = self._clock.monotonic()
            self._doubts.open(tick.pair, "disputed", now, price, vouched=in_step, against=tick)

    def _replaced(self, price: Price, by: Tick) -> None:
        """Opens a doubt where REST told a price, to a request too, that a feed in step had to tell instead of `price`."""
        if self._is_vouched(price):
            self._doubts.open(by.pair, "disputed", self._clock.monotonic(), price, vouched=True, against=by)

    def _is_vouched(self, price: Price) -> bool:
        """Whether the feed confirmed `price` a moment ago, on a subscription that tells each trade."""
        feed = self._feed
        if feed is None or not self._is_watched() or price.confirmed_by != WEBSOCKET:
            return False
        since, silence = feed.told_since(price.tick.pair), self._clock.monotonic() - price.confirmed_at
        return since is not None and since <= price.confirmed_at and silence <= HEARTBEAT_SECONDS + feed.lag()

    def _settle(self, pair: Pair, late: Sequence[Pair], now: float) -> None:
        self._next_call = now + CALLS_APART_SECONDS
        self._next_settlement = now + DOUBT_RETRY_AFTER_SECONDS
        doubt, told = self._doubts.about(pair), self._told(pair, late)
        # Where REST has not disputed a price that the feed vouches for, it may only be quicker than the feed.
        had_time = doubt is not None and doubt.vouched is not None
        outcome = self._source.settle(pair)
        self._next_settlement = 0.0
        feed = self._feed
        if feed is None:
            return
        # The feed was not deaf if it brought the trade and the quarantine holds it back, nor if it runs in another
        # process or is not connected.
        speaks = self._is_watched() and feed.is_connected() and feed.held(pair) is None
        if outcome == "newer" and speaks and told is not None and self._differs(told):
            if had_time:
                self._condemn(pair, feed, now)
            else:
                self._suspect(told, feed, now)

    def _date(self, undated: Price, now: float) -> None:
        """Asks when the trade of `undated` was made. REST may tell a newer one, which the feed left out or has still to tell."""
        pair = undated.tick.pair
        self._next_call = now + CALLS_APART_SECONDS
        self._dated_at[pair] = now
        outcome = self._source.date(undated)
        feed = self._feed
        if outcome == "newer" and feed is not None and feed.is_connected() and self._differs(undated):
            self._suspect(undated, feed, now)

    def _suspect(self, told: Price, feed: Feed, now: float) -> None:
        """REST told a newer trade than `told`, which the feed had no time of its own to tell."""
        pair = told.tick.pair
        if _is_left_out(self._store.all()[pair].tick, told):
            self._condemn(pair, feed, now)
        else:  # if the feed is deaf, the next trade shows it
            self._probe.suspect(pair, now)

    def _told(self, pair: Pair, late: Sequence[Pair]) -> Price | None:
        """The price that a feed in step confirmed, or did when REST disputed it; None where the feed cannot be deaf."""
        doubt = self._doubts.about(pair)
        if doubt is None or doubt.reason in ("unusable", "deaf"):
            return None
        return doubt.vouched or (None if pair in late else self._store.get(pair))

    def _differs(self, told: Price) -> bool:
        """Whether the price is another one now. A trade time for the same price contradicts nothing."""
        return self._store.all()[told.tick.pair].tick.amount != told.tick.amount

    def _condemn(self, pair: Pair, feed: Feed, now: float) -> None:
        self._meters.count(DEAF_SUBSCRIPTIONS, str(pair))
        log.warning("%s: the WebSocket kept silent about a trade; subscribing anew", pair)
        self._probe.suspect(pair, now)
        self._doubts.open(pair, "deaf", now)
        self._renewed_at[pair] = now
        if self._doubts.condemn(pair, now):
            feed.leave()
        else:
            feed.renew(pair)

    def _renew_the_deaf(self, now: float) -> None:
        feed = self._feed
        if feed is None or not self._is_watched():
            return
        for pair in self._doubts.deaf():
            if now - self._renewed_at.get(pair, -inf) >= RENEWED_AGAIN_AFTER_SECONDS:
                self._renewed_at[pair] = now
                self._probe.suspect(pair, now)
                feed.renew(pair)

    def _ask_status(self, now: float) -> None:
        self._status_asked_at = now
        self._next_call = now + CALLS_APART_SECONDS
        status, told_at = self._source.market_status()
        self._is_status_old = self._feed is not None and told_at < self._feed.market_told_at()
        if status != "unknown" and not self._is_status_old:
            self._store.set_market(status)

    def _ask_listings(self, now: float) -> None:
        self._listings_asked_at = now
        self._listings_due_at = now + LISTINGS_IN_DOUBT_SECONDS
        if not self._is_watched() and (self._served.has_list or self._is_connected()):
            self._follow_told_list(now)
            return
        self._next_call = now + CALLS_APART_SECONDS
        self._source.ask_listings()
        self._listings_due_at = now + LISTINGS_EVERY_SECONDS
        self._take_listings(now)

    def _follow_told_list(self, now: float) -> None:
        """The owner of the fleet tells each status, so a pair that it has called delisted for a day leaves the list here too."""
        if self._served.has_list:
            statuses = {pair: self._store.market_of(pair) for pair in self.pairs}
            self._served.listed(statuses, now, complete=True)

    def _ask_listings_at(self) -> float:
        """Monotonic seconds from which on the list of pairs is to be asked for."""
        if self._served.has_list:
            return self._listings_due_at
        return max(self._expected_at, self._listings_asked_at + LIST_AGAIN_AFTER_SECONDS)

    def _take_listings(self, now: float) -> None:
        """Sets the statuses of REST's list for pairs whose status the feed does not tell.

        The feed may keep silent about a pair that leaves the list and comes back to it, so there the list decides too.
        """
        listed = self._source.new_listings()
        self._served.listed(listed, now, complete=True)
        served = self.pairs
        concerned = served
        if not listed and self._doubts_the_list:
            listed = self._source.listings()
        elif not listed and served is not self._listed_pairs:
            listed = self._source.listings()
            concerned = tuple(pair for pair in served if pair not in self._listed_pairs)
        self._listed_pairs = served
        # A list that names no served pair may be of another exchange, unless REST does not know one of them either.
        unknown = self._source.unknown
        is_believed = bool(listed) and any(pair in listed or pair in unknown for pair in served)
        self._doubts_the_list = bool(listed) and not is_believed
        if is_believed:
            left = self._left | (self._believed_list.keys() - listed.keys())
            self._believed_list, self._left = listed, left - listed.keys()
            feed = self._feed
            pairs = [
                pair for pair in concerned if pair in left or feed is None or not feed.tells_market_of(pair)
            ]
            uncertain = self._lacked_by_mistake(listed, pairs, now)
            self._store.set_pair_markets(
                {pair: listed.get(pair, DELISTED) for pair in pairs if pair not in uncertain}
            )
            if uncertain:
                self._listings_due_at = min(self._listings_due_at, now + LIST_AGAIN_AFTER_SECONDS)
            if any(self._store.market_of(pair) in {DELISTED, *HALTED} for pair in pairs):
                self._listings_due_at = min(self._listings_due_at, now + LISTINGS_IN_DOUBT_SECONDS)

    def _lacked_by_mistake(self, listed: Collection[Pair], pairs: Iterable[Pair], now: float) -> set[Pair]:
        """Those of `pairs` that the list lacks, though it may not be whole: the feed told a trade of the last minute, and the list
        is the first one without the pair; or it told a trade since that one, and a cache may still keep it."""
        self._missed_at = {pair: self._missed_at.get(pair, now) for pair in pairs if pair not in listed}
        uncertain = set()
        for pair, at in self._missed_at.items():
            since = now - LIVE_SECONDS if now - at < LIST_AGAIN_AFTER_SECONDS else at
            if now - at < LONGEST_CACHE_SECONDS and self._traded_at(pair) > since:
                uncertain.add(pair)
        return uncertain

    def _traded_at(self, pair: Pair) -> float:
        """Monotonic seconds of the newest trade of `pair`, where the feed told it."""
        price = self._store.get(pair)
        if price is None or price.tick.source != WEBSOCKET:
            return -inf
        return price.tick.happened_at or price.tick.received_at

    def _status_due_at(self) -> float:
        """Monotonic seconds at which to ask for the exchange's status; never while the feed tells it."""
        if not self._is_watched() or not (self._feed is None or self.active()):
            return inf  # the feed tells
        if self._status_asked_at is None:
            return 0.0
        if self._is_status_old or self._store.market() in HALTED:
            return self._status_asked_at + STATUS_WHILE_HALTED_SECONDS
        return self._status_asked_at + STATUS_EVERY_SECONDS

    def _failed(self, error: ExchangeError) -> None:
        self.last_error = str(error)
        log.warning("REST: %s", error, extra={"once_a_minute": ("rest", error.reason)})


def _first_price_within(pairs: Collection[Pair]) -> float:
    """Seconds that a feed has for the first prices of so many pairs."""
    return FIRST_PRICE_WITHIN_SECONDS + len(pairs) / PAIRS_STARTED_PER_SECOND


def _is_left_out(trade: Tick, told: Price) -> bool:
    """Whether a feed that is not deaf would have told `trade` while it still confirmed `told`.

    It was made after `told`: a first ticker from a cache leaves nothing out. Evidence counts from as much earlier as the feed
    is late, and there is none while the line is silent or another price waits, so that the feed is not blamed for these.
    """
    happened_at, margin = trade.happened_at, CATCHES_UP_SECONDS + CLOCK_ERROR_SECONDS
    if happened_at is None or told.confirmed_by != WEBSOCKET:
        return False
    return told.tick.evidence_at <= happened_at <= told.confirmed_at - margin
