"""A collector of an exchange beside Kraken: last trades of the served pairs as prices, each with its evidence."""

import logging
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ltp_service.domain.errors import BadFrame
from ltp_service.domain.exchange_clock import NEGLIGIBLE_DELAY_SECONDS, ExchangeClock
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Source, Tick
from ltp_service.feed.contract import Dialect, Equipment
from ltp_service.feed.loop import ASIDE_BURST_FRAMES, ASIDE_TURN_SECONDS, Collector, Handler
from ltp_service.feed.messages import LastTrade
from ltp_service.feed.subscriptions import PROOF_WITHIN_SECONDS, Proof, Subscriptions
from ltp_service.meters import FRAMES_REFUSED, TRADES_MISSED
from ltp_service.prices.accept import compare
from ltp_service.prices.store import Outcome, Store

log = logging.getLogger(__name__)

DEAF_AGAIN_WITHIN_SECONDS = 60.0
"""Seconds within which a second deafness of the same symbol condemns the connection."""


class LastTradeCollector(Collector):
    """Keeps one exchange's last trades in a store of their own. A subclass says what proves that a trade still is the last.

    Its store is never Kraken's: what it tells helps to judge Kraken's price.
    """

    exchange: str
    """The name of the exchange in PRICE_SOURCES."""
    url: str
    """The exchange's public endpoint."""
    dialect: Dialect
    channels: Sequence[str]
    proof: Proof
    source: Source
    longest_turn, burst = ASIDE_TURN_SECONDS, ASIDE_BURST_FRAMES
    names_refusals = False
    refusal_level = logging.INFO  # it need not have a market of each pair

    def __init__(
        self,
        pairs: Iterable[Pair],
        store: Store,
        equipment: Equipment,
        handlers: Mapping[type, Handler] | None = None,
    ) -> None:
        """`handlers`: the methods for the events that only this exchange has."""
        self._pairs = {self.symbol_of(pair): pair for pair in pairs}
        self._store = store
        self._exchange_clock = ExchangeClock()
        self._late_by = 0.0
        """Seconds for which the newest message was under way; what is heard now was true so long ago."""
        self._doubted: dict[str, float] = {}
        """Symbol → when something about it arrived that could not be used, monotonic; until something explains it."""
        self._awaited: dict[str, int] = {}
        """Symbol → the id of a trade that is known in another way, and that its stream has not told."""
        self._deaf_at: dict[str, float] = {}
        super().__init__(
            self.dialect,
            Subscriptions(self._pairs, self.channels, self.proof),
            equipment,
            {LastTrade: self.take, **(handlers or {})},
        )

    # What a subclass adds.

    @staticmethod
    def symbol_of(pair: Pair) -> str:
        """The exchange's own spelling."""
        raise NotImplementedError

    # What others ask.

    def follow(self, pairs: Iterable[Pair]) -> None:
        """Subscribes to these pairs, and to no others, from now on. From any thread."""
        symbols = {self.symbol_of(pair): pair for pair in pairs}
        self._pairs = self._pairs | symbols  # a pair that is dropped stays: frames under way may name it
        self.want(tuple(symbols))

    def labels(self) -> dict[str, str]:
        doubted = dict.fromkeys(tuple(self._doubted), "unusable")
        return super().labels() | doubted

    def problem(self, now: float) -> str | None:
        states = self._subscriptions.states
        if states and all(state.refusal is not None for state in states.values()):
            return "the exchange has none of the pairs that are served"
        return super().problem(now)

    # What arrives.

    def take(self, trade: LastTrade, received_at: float) -> None:
        """Takes a trade of the stream."""
        tick = self.tick_of(trade, received_at, self.source)
        self.put(trade.symbol, msgspec.structs.replace(tick, delay=self._late_by), is_present=trade.snapshot)

    def tick_of(self, trade: LastTrade, received_at: float, source: Source) -> Tick:
        """The tick of a trade. Raises BadFrame for a symbol that was not asked for, and for a trade of the future."""
        pair, age = self.expect(trade.symbol), self._age(trade, received_at)
        return Tick(
            pair,
            trade.price,
            trade.amount,
            source,
            trade.traded_at,
            trade.trade_id,
            received_at,
            None if age is None else received_at - age,
        )

    def put(self, symbol: str, tick: Tick, *, is_present: bool) -> Outcome:
        """Puts a tick into the store. `is_present`: it is the symbol's present state, and not only a trade."""
        is_doubted = symbol in self._doubted and not is_present
        if is_doubted and compare(self._store.get(tick.pair), tick) == "same":
            return "same"  # the trade that is doubted is no evidence when it is told again
        outcome = self._store.put(tick)
        if outcome == "older":
            self._meters.count(FRAMES_REFUSED, self.name, "older")
            return outcome
        self._subscriptions.hear(symbol)
        if outcome == "newer" or is_present:
            self._doubted.pop(symbol, None)
        return outcome

    def expect(self, symbol: str) -> Pair:
        """The pair of a symbol that was asked for. Raises BadFrame."""
        if symbol not in self._subscriptions.states:
            raise BadFrame(f"{symbol[:40]!r} was not asked for", reason="unknown_symbol")
        return self._pairs[symbol]

    def confirm_held(self, symbols: Iterable[str], at: float) -> None:
        """The held trades of these symbols were the last ones at the monotonic second `at`, less the delay of the line.

        Nothing is confirmed for a symbol in doubt, or before this connection told its present state.
        """
        states = self._subscriptions.states
        proven = [
            self._pairs[symbol]
            for symbol in symbols
            if symbol not in self._doubted and (state := states.get(symbol)) and state.in_step
        ]
        if proven:
            self._store.confirm(proven, at - self._late_by, self.source)

    def heard(self, told: float, now: float) -> float | None:
        """Learns from a message that the exchange wrote at `told`, unix seconds; its age, or None for a time of the future."""
        age = self._exchange_clock.heard(told, now)
        if age is not None:
            self._late_by = age if age > NEGLIGIBLE_DELAY_SECONDS else 0.0
        return age

    def is_missing(self, symbol: str, told: int, known: int) -> bool:
        """Whether the stream misses the trade `told`, which is known in another way and newer than the held one, `known`.

        At first it may be on its way. It is missing when it has not come until the next time.
        """
        awaited = self._awaited.get(symbol)
        if awaited is None or known >= awaited:
            self._awaited[symbol] = told
            return False
        del self._awaited[symbol]
        return True

    def missed(self, symbol: str, count: int, now: float) -> None:
        """The exchange has `count` trades of a symbol about which this connection kept silent: it is subscribed anew."""
        log.warning(
            "%s: %s was deaf and is subscribed anew",
            self.name,
            symbol,
            extra={"once_a_minute": (self.name, "deaf", symbol)},
        )
        self._meters.count(TRADES_MISSED, self.exchange, amount=max(1, count))
        before = self._deaf_at.get(symbol)
        if before is not None and now - before <= DEAF_AGAIN_WITHIN_SECONDS:
            self.leave()
        self._deaf_at[symbol] = now
        self._subscriptions.renew(symbol, now + PROOF_WITHIN_SECONDS)
        self.resubscribe(symbol)

    def _age(self, trade: LastTrade, now: float) -> float | None:
        """Seconds since the trade; None while the exchange's clock is not known. Raises BadFrame for one of the future."""
        traded_at = trade.traded_at
        if traded_at is None:
            return None
        if trade.snapshot:  # of any age, so that it says little about the clock
            is_possible = self._exchange_clock.happened(traded_at, now)
            age = self._exchange_clock.age(traded_at, now)
        else:
            age = self.heard(traded_at, now)
            is_possible = age is not None
        if not is_possible:
            raise BadFrame(
                f"{trade.symbol}: a trade of the future, by the exchange's own clock", reason="future"
            )
        return age

    # What cannot be used.

    def symbol_unusable(self, symbol: str, now: float) -> None:
        if symbol in self._subscriptions.states:
            self._doubted[symbol] = now

    def unreadable(self, frame: str, now: float) -> None:
        for symbol in self._subscriptions.states:
            if symbol in frame:
                self.symbol_unusable(symbol, now)

    # The life of a connection.

    def connected(self, now: float) -> None:
        self._doubted.clear()
        self._awaited.clear()
        self._late_by = 0.0

    def symbols_changed(self, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        for symbol in removed:
            for known in (self._doubted, self._awaited, self._deaf_at):
                known.pop(symbol, None)
