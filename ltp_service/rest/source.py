"""Prices over REST, put into the store: one call at a time, whoever asks."""

from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from math import inf
from typing import NamedTuple, Protocol

import msgspec

from ltp_service.domain.errors import ExchangeError
from ltp_service.domain.exchange_clock import ExchangeClock
from ltp_service.domain.market import MarketStatus
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST, WEBSOCKET, Price, Tick
from ltp_service.prices.doubts import Doubts, Reason
from ltp_service.prices.store import Outcome, Store
from ltp_service.rest.sequence import LONGEST_CACHE, NOTHING, Detail, Sequence, Trades
from ltp_service.rest.single_flight import SingleFlight
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.observer import Observer

SAME_TIME = 5.0
"""Seconds apart within which two sources speak of the same moment."""


AGAIN = 2.0
"""Seconds after an answer about a pair in which a request does not ask again: it would come from a cache."""


class Answer(Protocol):
    """What REST said about some pairs."""

    @property
    def ticks(self) -> list[Tick]:
        """Without exchange time."""

    @property
    def unknown(self) -> frozenset[Pair]:
        """Pairs that it does not know."""

    @property
    def asked(self) -> frozenset[Pair]:
        """Pairs about which it is an answer."""

    @property
    def details(self) -> Mapping[Pair, Detail]:
        """What orders the answers about a pair."""


class Rest(Protocol):
    """The REST client, as far as it is used here. Everything raises ExchangeError."""

    def last_trades(self, pairs: Iterable[Pair], budget: float) -> Answer:
        """Of the first of `pairs`, as many as one call has room for; `budget` in seconds for everything."""

    def trades(self, pair: Pair) -> Trades | None:
        """The newest trades, the very newest with its exchange time."""

    def system_status(self) -> MarketStatus:
        """Whether the exchange matches orders."""

    def ask_listings(self) -> None:
        """Which pairs the exchange lists, to be had from `listed`."""

    def listed(self) -> Mapping[Pair, MarketStatus]:
        """The pairs of the last list, with their statuses; the same object until there is another list."""


class Polled(NamedTuple):
    """What a call brought."""

    ticks: list[Tick]
    asked: frozenset[Pair]
    """The pairs about which there is an answer."""


class Divergence(msgspec.Struct, frozen=True):
    """Two sources disagreed about a pair at the same time."""

    websocket: str
    rest: str
    at: float
    """Unix seconds."""
    count: int
    """How often that happened so far."""


class Bounds(msgspec.Struct, frozen=True):
    """How long a call may take, and how far two sources may be apart."""

    budget: float
    """Seconds of one call; a request waits no longer than for that and the pause between two calls."""
    divergence: float
    """A fraction of the price."""


class RestSource:
    """The second source. What it says never replaces what a living feed says, unless exchange time decides."""

    def __init__(
        self,
        rest: Rest,
        store: Store,
        clock: Clock,
        observer: Observer,
        sleep: Callable[[float], None],
        bounds: Bounds,
        doubts: Doubts,
        exchange_clock: ExchangeClock,
    ) -> None:
        self._rest = rest
        self._store = store
        self._clock = clock
        self._observer = observer
        self._limit = Decimal(str(bounds.divergence))
        self._flight: SingleFlight[Pair, Polled] = SingleFlight(
            self._ask, clock.monotonic, sleep, budget=bounds.budget
        )
        self._doubts = doubts
        self._sequence = Sequence()
        self._listed: Mapping[Pair, MarketStatus] | None = None
        self._asked_at: dict[Pair, float] = {}
        self._exchange_clock = exchange_clock
        self.divergences: dict[Pair, Divergence] = {}
        self.unknown: frozenset[Pair] = frozenset()
        self.errors: dict[Pair, str] = {}
        """Why a pair could not be refreshed when that was last wanted."""

    def fetch(self, pairs: Collection[Pair]) -> None:
        """For a request: asks for the last trades of `pairs`, but for those about which there was an answer just now.

        Raises ExchangeError.
        """
        long_ago = self._clock.monotonic() - AGAIN
        wanted = frozenset(pair for pair in pairs if self._asked_at.get(pair, -inf) < long_ago) - self.unknown
        if wanted:
            self._flight.get(wanted)

    def poll(self, pairs: Collection[Pair]) -> Polled:
        """For the background: asks for as many as one call has room for, oldest evidence first. Raises ExchangeError."""
        return self._flight.get(frozenset(pairs))

    def refresh(self, pairs: Collection[Pair]) -> frozenset[Pair]:
        """The pairs about which REST could be asked right now; none when it fails."""
        try:
            return frozenset(tick.pair for tick in self.poll(pairs).ticks)
        except ExchangeError:
            return frozenset()

    def settle(self, pair: Pair) -> Outcome | None:
        """Asks for the newest trade with its exchange time, which decides; None where it tells none that can be used.

        The doubt about `pair` is settled when the answer is newer than what raised it. Raises ExchangeError.
        """
        self._doubts.asked(pair, self._clock.monotonic())
        trades = self._rest.trades(pair)
        if trades is None or not self._is_believable(trades.newest):
            return None
        trades = trades._replace(newest=self._dated(trades.newest))
        tick, held = trades.newest, self._store.all().get(pair)
        surely_at = tick.evidence_at - (0.0 if trades.dated else LONGEST_CACHE)
        overtaken = self._sequence.is_overtaken(held, trades) or _is_overtaken(held, tick, surely_at)
        outcome = "older" if overtaken else self._store.put(tick)
        if outcome == "newer":
            self._sequence.apply_trades(trades, self._clock.monotonic())
        if not overtaken:
            self._doubts.answered(tick, outcome, surely_at)
        return outcome

    def date(self, price: Price) -> None:
        """Finds out when the trade of `price` was made, of which the feed did not tell. Raises ExchangeError."""
        if price.tick.traded_at is None:
            self.settle(price.tick.pair)
        else:
            self._store.put(self._dated(price.tick))

    def can_date(self) -> bool:
        """Whether the exchange's clock is known."""
        return self._exchange_clock.is_known()

    def market_status(self) -> MarketStatus:
        """Asks whether the exchange is matching. Raises ExchangeError."""
        return self._rest.system_status()

    def ask_listings(self) -> None:
        """Asks which pairs the exchange lists, and whether it matches their orders. Raises ExchangeError."""
        self._rest.ask_listings()

    def new_listings(self) -> Mapping[Pair, MarketStatus]:
        """The list of pairs, where there is another one than when this was last asked; else nothing."""
        before, self._listed = self._listed, self._rest.listed()
        return {} if self._listed is before else self._listed

    def _is_believable(self, tick: Tick) -> bool:
        """Whether the exchange can have made that trade by now, as its own clock shows."""
        now = self._clock.monotonic()
        if tick.traded_at is not None and self._exchange_clock.happened(tick.traded_at, now):
            return True
        self._observer.frame_refused(REST, "future")
        return False

    def _dated(self, tick: Tick) -> Tick:
        """With the monotonic moment of the trade, where the exchange's clock is known."""
        now = self._clock.monotonic()
        age = None if tick.traded_at is None else self._exchange_clock.age(tick.traded_at, now)
        return tick if age is None else msgspec.structs.replace(tick, happened_at=now - age)

    def _ask(self, pairs: frozenset[Pair], budget: float) -> Polled:
        try:
            answer = self._rest.last_trades(self._by_need(pairs), budget)
        except ExchangeError as error:
            self.errors |= dict.fromkeys(pairs, f"REST: {error}")
            raise
        self.unknown = answer.unknown | (self.unknown - pairs)
        now = self._clock.monotonic()
        self._asked_at |= dict.fromkeys(answer.asked, now)
        self._tell(pairs, answer)
        held = self._store.all()
        for tick in answer.ticks:
            self._take(held.get(tick.pair), tick, now, answer.details.get(tick.pair, NOTHING))
        return Polled(answer.ticks, answer.asked)

    def _tell(self, pairs: Iterable[Pair], answer: Answer) -> None:
        told = {tick.pair for tick in answer.ticks}
        for pair in pairs:
            if pair in told or pair in answer.unknown:
                self.errors.pop(pair, None)
            elif pair in answer.asked:
                self.errors[pair] = "REST: no price in the answer that can be used"
            else:
                self.errors[pair] = f"REST: not its turn yet; one call asks for {len(answer.asked)} pairs"

    def _by_need(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Oldest evidence first; whatever was asked about without success waits for its next turn like all others."""
        held = self._store.all()

        def known_at(pair: Pair) -> float:
            evidence = held[pair].confirmed_at if pair in held else -inf
            return max(evidence, self._asked_at.get(pair, -inf))

        return sorted(pairs, key=lambda pair: (known_at(pair), pair))

    def _take(self, price: Price | None, tick: Tick, now: float, detail: Detail) -> None:
        """Puts what Ticker told into the store, unless it may be older than what is held."""
        if price is not None and self._diverges(price, tick):
            self._note(price, tick)
        match self._sequence.order(price, tick, now, detail):
            case "newer":
                # What is newer than the price held is evidence of a moment no older than that of its evidence.
                since = tick.received_at if price is None else max(tick.received_at, price.confirmed_at)
                tick = msgspec.structs.replace(tick, received_at=since)
                outcome = self._store.put(tick)
                if outcome != "older":
                    now_held = price.tick if price is not None and outcome == "same" else tick
                    self._sequence.apply(now_held, now, detail)
                    self._settle_order(tick.pair)
            case "same":
                self._store.put(tick)
                self._settle_order(tick.pair)
            case "unknown" if price is not None:
                self.errors[tick.pair] = (
                    f"REST: tells {tick.price}, and has to tell which of the two was traded last"
                )
                feeds = price.confirmed_by == WEBSOCKET
                reason: Reason = "disputed" if feeds else "unordered"
                self._doubts.open(
                    tick.pair, reason, now, price, evidence_at=tick.evidence_at, claim=tick.amount
                )

    def _settle_order(self, pair: Pair) -> None:
        doubt = self._doubts.about(pair)
        if doubt is not None and doubt.reason == "unordered":
            self._doubts.settle(pair)

    def _diverges(self, price: Price, tick: Tick) -> bool:
        """Whether the two cannot both be right: evidence for the one is hardly older than the other."""
        same_time = price.confirmed_by == WEBSOCKET and tick.received_at - price.confirmed_at < SAME_TIME
        return same_time and abs(tick.amount - price.tick.amount) > self._limit * price.tick.amount

    def _note(self, price: Price, tick: Tick) -> None:
        before = self.divergences.get(tick.pair)
        count = before.count + 1 if before else 1
        self.divergences[tick.pair] = Divergence(price.tick.price, tick.price, self._clock.wall(), count)
        self._observer.sources_diverged(tick.pair)


def _is_overtaken(held: Price | None, tick: Tick, surely_at: float) -> bool:
    """Whether the feed told another price, without a time, after what REST surely knew at the monotonic `surely_at`:
    nothing tells which came last.
    """
    if held is None or held.tick.source != WEBSOCKET or held.tick.traded_at is not None:
        return False
    if held.tick.amount == tick.amount or surely_at >= held.tick.received_at:
        return False
    return tick.happened_at is None or tick.happened_at <= held.tick.received_at
