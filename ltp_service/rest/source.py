"""Puts prices from REST into the store, with one call at a time."""

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
from ltp_service.meters import DIVERGENCES, FRAMES_REFUSED
from ltp_service.prices.doubts import Doubts, Reason
from ltp_service.prices.store import Outcome, Store
from ltp_service.rest.sequence import NO_DETAIL, Detail, NewestTrades, Sequence, surely_at
from ltp_service.rest.single_flight import SingleFlight
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config

SAME_TIME_SECONDS = 5.0
"""Seconds within which the prices of two sources count as simultaneous."""


ASK_PAIR_AGAIN_SECONDS = 2.0
"""Seconds after an answer about a pair before a request asks again; an earlier answer would come from a cache."""


class RestAnswer(NamedTuple):
    """The answer of one call about some pairs. A pair that was asked and is in neither of the first two has no price
    that can be used."""

    ticks: list[Tick]
    """The last trades, without exchange time."""
    unknown: frozenset[Pair]
    """Pairs that the exchange does not know."""
    asked: frozenset[Pair] = frozenset()
    """Pairs that the call asked about, because one call may not have room for all."""
    details: Mapping[Pair, Detail] = {}
    """What orders this answer among others, by pair."""


class MarketAnswer(NamedTuple):
    """The status of the whole exchange."""

    status: MarketStatus
    at: float
    """Monotonic seconds of the moment that the answer is surely not older than, even from a cache."""


class Rest(Protocol):
    """The REST client. Its module is in the room `exchanges`, above this one. Methods that ask raise ExchangeError."""

    def last_trades(self, pairs: Iterable[Pair], budget: float) -> RestAnswer:
        """The last trades of the first of `pairs`, as many as fit into one call; `budget` in seconds for all of it."""

    def trades(self, pair: Pair) -> NewestTrades | None:
        """The newest trades, the last one with its exchange time; None where there is no usable one."""

    def system_status(self) -> MarketAnswer:
        """The status of the whole exchange."""

    def ask_listings(self) -> None:
        """Asks for the list of pairs, which `listed` then returns."""

    def listed(self) -> Mapping[Pair, MarketStatus]:
        """The statuses of the listed pairs; the same object until there is a new list."""


class Divergence(msgspec.Struct, frozen=True):
    """Two sources disagreed about a pair at the same time."""

    websocket: str
    rest: str
    at: float
    """Unix seconds."""
    count: int
    """How often the two disagreed so far."""


class RestSource:
    """The source beside the feed. It replaces a price of a living feed only where exchange time decides."""

    def __init__(
        self,
        config: Config,
        rest: Rest,
        store: Store,
        doubts: Doubts,
        exchange_clock: ExchangeClock,
        runtime: Runtime,
    ) -> None:
        self._rest = rest
        self._store = store
        self._clock = runtime.clock
        self._meters = runtime.meters
        self._limit = Decimal(str(config.price_divergence_limit))
        # A request waits at most for one call and for the pause between two calls.
        self._flight: SingleFlight[Pair, RestAnswer] = SingleFlight(
            self._ask, runtime, budget=config.kraken_request_timeout
        )
        self._doubts = doubts
        self._sequence = Sequence()
        self._listed: Mapping[Pair, MarketStatus] | None = None
        self._asked_at: dict[Pair, float] = {}
        self._exchange_clock = exchange_clock
        self.on_replaced: Callable[[Price, Tick], None] = lambda *_: None
        """Called with a price that a newer one of Ticker has replaced, and with that one. From any thread."""
        self.divergences: dict[Pair, Divergence] = {}
        self.unknown: frozenset[Pair] = frozenset()
        self.errors: dict[Pair, str] = {}
        """Why the last call gave no price of a pair."""

    def fetch(self, pairs: Collection[Pair]) -> None:
        """For a request: asks for the last trades of `pairs`, except those asked within ASK_PAIR_AGAIN_SECONDS.

        Raises ExchangeError.
        """
        long_ago = self._clock.monotonic() - ASK_PAIR_AGAIN_SECONDS
        wanted = frozenset(pair for pair in pairs if self._asked_at.get(pair, -inf) < long_ago) - self.unknown
        if wanted:
            self._flight.get(wanted)

    def exclude(self, pair: Pair) -> None:
        """The exchange said elsewhere that it has no such pair, so no request asks about it; the background may."""
        self.unknown |= {pair}

    def admit(self, pair: Pair) -> None:
        """The end of `exclude`: whether there is such a pair is asked anew."""
        self.unknown -= {pair}

    def poll(self, pairs: Collection[Pair]) -> RestAnswer:
        """For the background: asks for as many as fit into one call, oldest evidence first. Raises ExchangeError."""
        return self._flight.get(frozenset(pairs))

    def refresh(self, pairs: Collection[Pair]) -> frozenset[Pair]:
        """Asks REST now; returns the pairs with a price in the answer, none when the call fails."""
        try:
            return frozenset(tick.pair for tick in self.poll(pairs).ticks)
        except ExchangeError:
            return frozenset()

    def settle(self, pair: Pair) -> Outcome | None:
        """Asks for the newest trade with its exchange time, which decides; None where the answer has no usable one.

        Settles the doubt about `pair` when the answer is newer than the evidence that raised it. Raises ExchangeError.
        """
        self._doubts.asked(pair, self._clock.monotonic())
        trades = self._rest.trades(pair)
        if trades is None or not self._is_believable(trades.newest):
            return None
        trades = trades._replace(newest=self._dated(trades.newest))
        tick, held = trades.newest, self._store.get(pair)
        told_at = surely_at(tick.evidence_at, dated=trades.dated)
        overtaken = self._sequence.is_overtaken(held, trades) or _is_overtaken(held, tick, told_at)
        outcome = "older" if overtaken else self._store.put(tick)
        if outcome == "newer":
            self._sequence.apply_trades(trades, self._clock.monotonic())
        if not overtaken and trades.is_whole:
            self._doubts.answered(tick, outcome, told_at)
        return outcome

    def date(self, price: Price) -> Outcome | None:
        """Finds out the time of the trade of `price`, which the feed did not tell; `newer` also where REST tells a later trade.

        Raises ExchangeError.
        """
        if price.tick.traded_at is None:
            return self.settle(price.tick.pair)
        return self._store.put(self._dated(price.tick))

    def can_date(self) -> bool:
        """Whether the exchange's clock is known."""
        return self._exchange_clock.is_known()

    def market_status(self) -> MarketAnswer:
        """Asks for the status of the whole exchange. Raises ExchangeError."""
        return self._rest.system_status()

    def ask_listings(self) -> None:
        """Asks for the list of pairs and their statuses. Raises ExchangeError."""
        self._rest.ask_listings()

    def new_listings(self) -> Mapping[Pair, MarketStatus]:
        """The list of pairs if it is new since the last call of this method; else an empty one."""
        before, self._listed = self._listed, self._rest.listed()
        return {} if self._listed is before else self._listed

    def listings(self) -> Mapping[Pair, MarketStatus]:
        """The last list of pairs; empty before the first."""
        return self._rest.listed()

    def _is_believable(self, tick: Tick) -> bool:
        """Whether the trade's time is not in the future of the exchange's clock."""
        now = self._clock.monotonic()
        if tick.traded_at is not None and self._exchange_clock.happened(tick.traded_at, now):
            return True
        self._meters.count(FRAMES_REFUSED, REST, "future")
        return False

    def _dated(self, tick: Tick) -> Tick:
        """The tick with the monotonic second of its trade, where the exchange's clock is known."""
        now = self._clock.monotonic()
        age = None if tick.traded_at is None else self._exchange_clock.age(tick.traded_at, now)
        return tick if age is None else msgspec.structs.replace(tick, happened_at=now - age)

    def _ask(self, pairs: frozenset[Pair], budget: float) -> RestAnswer:
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
            self._take(held.get(tick.pair), tick, now, answer.details.get(tick.pair, NO_DETAIL))
        return answer

    def _tell(self, pairs: Iterable[Pair], answer: RestAnswer) -> None:
        told = {tick.pair for tick in answer.ticks}
        for pair in pairs:
            if pair in told or pair in answer.unknown:
                self.errors.pop(pair, None)
            elif pair in answer.asked:
                self.errors[pair] = "REST: no price in the answer that can be used"
            else:
                self.errors[pair] = f"REST: not its turn yet; one call asks for {len(answer.asked)} pairs"

    def _by_need(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Oldest evidence or call first, so that a pair without an answer does not keep the others from a turn."""
        held = self._store.all()

        def known_at(pair: Pair) -> float:
            evidence = held[pair].confirmed_at if pair in held else -inf
            return max(evidence, self._asked_at.get(pair, -inf))

        return sorted(pairs, key=lambda pair: (known_at(pair), pair))

    def _take(self, price: Price | None, tick: Tick, now: float, detail: Detail) -> None:
        """Puts Ticker's tick into the store, unless it may be older than the price held."""
        if price is not None and self._diverges(price, tick):
            self._note(price, tick)
        match self._sequence.order(price, tick, now, detail):
            case "newer":
                # A newer price is evidence of a moment that is not before the evidence of the price held.
                since = tick.received_at if price is None else max(tick.received_at, price.confirmed_at)
                tick = msgspec.structs.replace(tick, received_at=since)
                outcome = self._store.put(tick)
                if outcome != "older":
                    now_held = price.tick if price is not None and outcome == "same" else tick
                    self._sequence.apply(now_held, now, detail)
                    self._settle_order(tick.pair)
                if outcome == "newer" and price is not None:
                    self.on_replaced(price, tick)
            case "same":
                self._store.put(tick)
                self._settle_order(tick.pair)
            case "unknown" if price is not None:
                self.errors[tick.pair] = (
                    f"REST: tells {tick.price}, and has to tell which of the two was traded last"
                )
                feeds = price.confirmed_by == WEBSOCKET
                reason: Reason = "disputed" if feeds else "unordered"
                self._doubts.open(tick.pair, reason, now, price, against=tick)

    def _settle_order(self, pair: Pair) -> None:
        doubt = self._doubts.about(pair)
        if doubt is not None and doubt.reason == "unordered":
            self._doubts.settle(pair)

    def _diverges(self, price: Price, tick: Tick) -> bool:
        """Whether the two prices are simultaneous and differ by more than the limit."""
        same_time = (
            price.confirmed_by == WEBSOCKET and tick.received_at - price.confirmed_at < SAME_TIME_SECONDS
        )
        return same_time and abs(tick.amount - price.tick.amount) > self._limit * price.tick.amount

    def _note(self, price: Price, tick: Tick) -> None:
        before = self.divergences.get(tick.pair)
        count = before.count + 1 if before else 1
        self.divergences[tick.pair] = Divergence(price.tick.price, tick.price, self._clock.wall(), count)
        self._meters.count(DIVERGENCES, str(tick.pair))


def _is_overtaken(held: Price | None, tick: Tick, surely_at: float) -> bool:
    """Whether the feed told another price, without exchange time, after the monotonic second `surely_at`.

    REST's answer is not older than `surely_at`. Then it is not known which of the two trades came last.
    """
    if held is None or held.tick.source != WEBSOCKET or held.tick.traded_at is not None:
        return False
    if held.tick.amount == tick.amount or surely_at >= held.tick.received_at:
        return False
    return tick.happened_at is None or tick.happened_at <= held.tick.received_at
