"""Kraken's feed: last trades into the price store."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from urllib.parse import urlsplit

from ltp_service.collected.kraken_tape import KrakenTape
from ltp_service.domain.errors import BadFrame
from ltp_service.domain.exchange_clock import NEGLIGIBLE_DELAY_SECONDS, ExchangeClock
from ltp_service.domain.market import MarketStatus
from ltp_service.domain.pairs import Pair, read_pair_or_none
from ltp_service.domain.tick import WEBSOCKET, Price, Tick
from ltp_service.domain.trade import Trade
from ltp_service.exchanges import kraken_v1 as v1
from ltp_service.exchanges import kraken_v2 as v2
from ltp_service.exchanges.kraken_lag import Lag
from ltp_service.exchanges.kraken_markets import Markets
from ltp_service.exchanges.kraken_names import names_in
from ltp_service.exchanges.kraken_tickers import OTHER_CHANNEL_WITHIN_SECONDS, Tickers, servable
from ltp_service.feed.contract import Equipment, Terms
from ltp_service.feed.loop import Collector, Handler
from ltp_service.feed.messages import (
    Acknowledged,
    LastTrade,
    MarketChanged,
    PairsListed,
    Parsed,
    Pong,
    Refused,
    Unreadable,
)
from ltp_service.feed.subscriptions import Subscription, Subscriptions
from ltp_service.meters import FRAMES_REFUSED, TRADES_HELD
from ltp_service.prices.accept import CLOCK_ERROR_SECONDS, compare
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.quarantine import Quarantine
from ltp_service.prices.served import ServedPairs
from ltp_service.prices.store import Outcome, Store
from ltp_service.settings.config import Config

log = logging.getLogger(__name__)

CHANNELS = ("ticker", "trade")

TERMS = Terms(symbols_per_request=100, messages_per_second=10)
"""Both numbers are ours. Kraken documents neither how many symbols a request may name nor how many messages a second it
takes, but that it refuses too many (docs.kraken.com, spot rate limits: "Exceeded msg rate"); users have met that at 16 in
a second. It documents no limit of the symbols of a connection for tickers and trades either, and that one connection may
carry all pairs (support.kraken.com/articles/360022326871)."""

CONFIRMED_PER_SECOND = 2000
"""Pairs that are confirmed in a second at most. So a thousand of them are confirmed twice a second and not ten times, which
costs no price its trust: heartbeats, the evidence of a quiet market, come once a second."""

ASK_THE_TIME_EVERY_SECONDS = 10.0
"""Seconds between two pings while the exchange's clock is unsure."""


def is_v2(config: Config) -> bool:
    """Whether the exchange is to be spoken to in protocol v2, the only one in which trades have ids."""
    return urlsplit(config.kraken_websocket_url).path.rstrip("/").endswith("/v2")


def tape_reader(served: ServedPairs) -> Callable[[str, float], list[tuple[Pair, Trade]]]:
    """Reads the trades of the served pairs in a frame that arrived at a unix second."""
    pairs: dict[str, Pair] = {}

    def learn(present: Iterable[Pair]) -> None:
        # One that is served no more stays, because frames that wait may name it.
        pairs.update((v2.symbol_of(pair), pair) for pair in present)

    def read(frame: str, received_at: float) -> list[tuple[Pair, Trade]]:
        trades = v2.trades_of(frame, received_at)
        return [(pairs[trade.symbol], trade) for trade in trades if trade.symbol in pairs]

    learn(served)
    served.on_change(learn)
    return read


class KrakenCollector(Collector):
    """Puts Kraken's trades and tickers into the store. Protocol v2 when the URL's path ends in /v2, else v1."""

    name = "kraken"
    terms = TERMS

    def __init__(
        self,
        config: Config,
        pairs: Iterable[Pair],
        store: Store,
        quarantine: Quarantine,
        equipment: Equipment,
        doubts: Doubts,
        exchange_clock: ExchangeClock,
        tape: KrakenTape | None = None,
    ) -> None:
        """`pairs` are those of the start. `tape` keeps every trade that the exchange numbers; None with protocol v1, which
        numbers none."""
        dialect = v2 if is_v2(config) else v1
        self._symbol_of = dialect.symbol_of
        self._pairs = {dialect.symbol_of(pair): pair for pair in pairs}
        self._tape = tape
        self._store = store
        self._quarantine = quarantine
        self._symbols = {pair: symbol for symbol, pair in self._pairs.items()}
        self._delivered_at: dict[Pair, float] = {}
        self._doubts = doubts
        self._tickers = Tickers(has_trade_snapshots=dialect is v2)
        self._markets = Markets(store)
        self._exchange_clock = exchange_clock
        self._connected_at = 0.0
        self._time_asked_at: float | None = None
        """When the ping was sent that is not answered yet."""
        self._ask_time_at = 0.0
        self._lag = Lag()
        self._last_trade_at: float | None = None
        """When the last live trade of any pair arrived on this connection."""
        self._is_v2 = dialect is v2
        self.on_refusal: Callable[[Pair], None] = lambda _: None
        """Called with a pair when `is_refused` has become true of it."""
        self._newest_traded_at: dict[Pair, float] = {}
        """Unix seconds of the newest trade that this connection told; with v1 since the exchange accepted the subscription."""
        self._proven: tuple[Sequence[str], list[Pair]] = ((), [])
        """The symbols that were last confirmed, and their pairs; the symbols stay the same object while none changes."""
        self._confirm_again_at = 0.0
        self._confirmed: tuple[Sequence[str], float] | None = None
        """What was last confirmed as a whole, and of which moment."""
        self.on_listed: Callable[[Mapping[Pair, MarketStatus]], None] | None = None
        """Told the statuses in the exchange's list of pairs, in parts or as a whole; None where no one asks."""
        handlers: dict[type, Handler] = {
            LastTrade: self.take,
            MarketChanged: self._markets.changed,
            PairsListed: self.pairs_listed,
            Pong: self._ponged,
        }
        super().__init__(dialect, Subscriptions(self._pairs, CHANNELS), equipment, handlers)

    def follow(self, pairs: Sequence[Pair]) -> None:
        """Subscribes to these pairs, and to no others, from now on. From any thread."""
        symbols = {self._symbol_of(pair): pair for pair in pairs}
        # Others may be reading these dictionaries. A pair that is dropped stays in them: frames under way may name it.
        self._pairs = self._pairs | symbols
        self._symbols = {pair: symbol for symbol, pair in self._pairs.items()}
        self.want(tuple(symbols))

    def symbols_changed(self, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        self._markets.added(added, self._pairs)

    def without_superseded(self, messages: list[Parsed | Unreadable]) -> list[Parsed | Unreadable]:
        """Without the tickers that a later one of the same pair replaces, so that a burst is taken in time.

        One that cannot be used replaces none and is not replaced, because it opens a doubt.
        """
        kept: list[Parsed | Unreadable] = []
        newest: dict[str, float] = {}
        for message in reversed(messages):
            ticker = _ticker(message) if isinstance(message, Parsed) else None
            if ticker is not None:
                told_at = ticker.told_at or 0.0
                if told_at <= newest.get(ticker.symbol, -inf):
                    continue
                newest[ticker.symbol] = told_at
            kept.append(message)
        kept.reverse()
        if len(kept) < len(messages):
            self._counted["superseded"] += len(messages) - len(kept)
        return kept

    def _digest(self, frames: Sequence[str], now: float) -> None:
        tape = self._tape
        if tape is not None:
            # What the price path makes of a trade does not matter here, and the frame is read when a stream asks.
            unread, recorded = tape.unread, tape.recorded
            for frame in frames:
                if '"trade"' in frame:
                    unread.append((frame, now))
                    if recorded is not None:
                        recorded.append((frame, now))
        super()._digest(frames, now)
        if tape is not None and tape.unread and (tape.on_news or tape.share):
            tape.settle()

    def take(self, trade: LastTrade, received_at: float) -> None:
        pair = self._pairs.get(trade.symbol)
        if pair is None:
            raise BadFrame(f"{trade.symbol[:40]!r} was not asked for", reason="unknown_pair")
        snapshot = trade.snapshot
        if not snapshot and (trade.traded_at is None or pair not in self._newest_traded_at):
            # Until the subscription is in step, any ticker and the first trade may be a snapshot: v1 does not say so.
            state = self._subscriptions.states.get(trade.symbol)
            snapshot = state is None or not state.in_step
        happened_at = told_at = None
        if trade.traded_at is not None:  # before the lag is asked for, because it may show another one
            try:
                happened_at = self._learn_moment(pair, trade.traded_at, received_at, snapshot)
            except BadFrame:
                self._take_others(trade, received_at)
                raise
        if trade.told_at is not None:
            told_at = self._told_at(pair, trade.told_at, received_at)
        tick = Tick(
            pair,
            trade.price,
            trade.amount,
            WEBSOCKET,
            trade.traded_at,
            trade.trade_id,
            received_at,
            happened_at,
            told_at,
            delay=self._lag.of(pair) if self._lag.is_late else 0.0,
        )
        before = self._store.get(pair)
        if tick.traded_at is None:
            self._take_ticker(tick, before, received_at, snapshot=snapshot)
            return
        others = () if trade.snapshot else trade.others
        earlier = trade.earlier() if others else ()
        if not snapshot and not self._quarantine.admit(tick, received_at, earlier, served=before):
            self._tickers.traded(tick, others)
            self._meters.count(TRADES_HELD, str(pair))
            return
        accepted = self._serve(tick, received_at, snapshot=snapshot, already_learnt=not snapshot)
        self._tickers.traded(tick, others, is_news=accepted)
        if before is None or before.tick.traded_at is not None:
            return
        if _is_contested(before.tick, tick, accepted=accepted, snapshot=snapshot):
            self._doubts.open(pair, "contested", received_at, before)

    def _take_others(self, trade: LastTrade, received_at: float) -> None:
        """The trade cannot be believed, which costs the others of its frame nothing."""
        if trade.others:
            self.take(trade.without_newest(), received_at)

    def _take_ticker(self, tick: Tick, held: Price | None, now: float, *, snapshot: bool) -> None:
        held_back = self._quarantine.held(tick.pair)
        if held_back is not None and held_back.amount == tick.amount:
            self._tickers.is_late(tick)  # remembers its time, so that an older ticker is known as such
            return  # the ticker of the print that is held back already
        alone = self._is_without_trades(tick.pair, now)
        decision = self._tickers.judge(tick, held, snapshot=snapshot, alone=alone)
        if decision == "serve":
            self._serve_ticker(servable(tick, snapshot=snapshot), held, now, snapshot=snapshot)
        elif decision == "older":
            self._meters.count(FRAMES_REFUSED, self.name, "older")

    def _is_without_trades(self, pair: Pair, now: float) -> bool:
        """Whether the exchange has not accepted a subscription of the trade channel, though there was time."""
        state = self._subscriptions.states.get(self._symbols[pair])
        if state is None or "trade" in state.acknowledged:
            return False
        return (
            state.refusal is not None
            or now - max(state.asked_at, self._connected_at) >= OTHER_CHANNEL_WITHIN_SECONDS
        )

    def _serve_ticker(self, tick: Tick, held: Price | None, now: float, *, snapshot: bool) -> None:
        if snapshot or self._quarantine.admit(tick, now, served=held):
            self._serve(tick, now, snapshot=snapshot, already_learnt=not snapshot)
        else:
            self._meters.count(TRADES_HELD, str(tick.pair))

    def _serve(self, tick: Tick, now: float, *, snapshot: bool, already_learnt: bool) -> bool:
        """Puts `tick` into the store. False when it is older than what is held.

        `already_learnt`: the quarantine knows its price.
        """
        pair = tick.pair
        is_repeated = not self._is_v2 and self._is_repeated(tick)
        if is_repeated or (
            self._tickers.unanswered and self._tickers.is_overtaken(tick, self._store.get(pair))
        ):
            outcome: Outcome = "older"
        elif pair in self._doubts.by_pair and not snapshot and self._is_known(tick):
            outcome = "same"  # it is no evidence, so the store does not hear of it
        else:
            outcome = self._store.put(tick)
        if outcome == "older":
            self._meters.count(FRAMES_REFUSED, self.name, "older")
            return False
        if not already_learnt:
            self._quarantine.learn(tick, now)
        if pair in self._doubts.by_pair and (
            outcome == "newer" or (snapshot and tick.traded_at is not None) or self._is_heard_anew(tick)
        ):
            self._doubts.heard(tick, snapshot=snapshot)
        symbol = self._symbols[pair]
        state = self._subscriptions.states.get(symbol)
        if state is not None and not state.in_step:
            self._subscriptions.hear(symbol)
        return True

    def _is_repeated(self, tick: Tick) -> bool:
        """Whether a trade is told again after another one of the same moment, which only the order of arrival tells apart."""
        held = self._store.get(tick.pair)
        if held is None or tick.traded_at != held.newest_traded_at or tick.amount == held.tick.amount:
            return False
        return self._tickers.has_told(tick)

    def _is_heard_anew(self, tick: Tick) -> bool:
        """Whether a ticker came on a subscription that was made because the pair was deaf. With protocol v1 it is the pair's
        present state, because trades have no snapshot there."""
        doubt, state = self._doubts.about(tick.pair), self.subscription(tick.pair)
        if self._is_v2 or doubt is None or doubt.reason != "deaf" or state is None:
            return False
        accepted_at = state.acknowledged.get("ticker")
        return accepted_at is not None and doubt.since <= accepted_at <= tick.received_at

    def _is_known(self, tick: Tick) -> bool:
        """Whether `tick` tells no other trade than the one that is held."""
        return compare(self._store.get(tick.pair), tick) == "same"

    def tended(self, now: float) -> None:
        if self._markets.is_listing_late(now):
            self._follow_listings(now)
        if self._exchange_clock.is_unsure() and now >= self._ask_time_at:
            self._ask_the_time(now)
        for tick, is_doubtful in self._tickers.due(now):
            if is_doubtful:
                self._doubts.open(tick.pair, "contested", now, self._store.get(tick.pair))
            else:
                self._serve_ticker(tick, self._store.get(tick.pair), now, snapshot=False)
        for tick in self._quarantine.due(now, self._store.get):
            self._serve(tick, now, snapshot=False, already_learnt=False)

    def connected(self, now: float) -> None:
        self._connected_at = self._ask_time_at = now
        self._time_asked_at = None
        self._lag.forget()
        self._last_trade_at = None
        self._newest_traded_at.clear()
        self._markets.forget()
        self._follow_listings(now)

    def disconnected(self, now: float) -> None:
        self._markets.forget()
        self._quarantine.forget()
        self._tickers.forget()

    def confirm(self, symbols: Sequence[str], at: float) -> None:
        now = self._clock.monotonic()
        if now < self._confirm_again_at:
            return
        self._confirm_again_at = now + len(symbols) / CONFIRMED_PER_SECOND
        if self._proven[0] is not symbols:
            self._proven = symbols, [self._pairs[symbol] for symbol in symbols]
        pairs = self._proven[1]
        # Another trade than the one served may be the last.
        uncertain = {*self._quarantine.pairs(), *self._doubts, *self._tickers.waiting_pairs()}
        if uncertain:
            pairs = [pair for pair in pairs if pair not in uncertain]
        elif self._confirmed == (symbols, at):
            return  # no frame has come since, and nothing was uncertain then
        self._confirmed = (symbols, at) if not uncertain and not self._lag.is_late else None
        if not self._lag.is_late:
            self._confirm(pairs, at)
            return
        by_lag: dict[float, list[Pair]] = {}
        for pair in pairs:
            by_lag.setdefault(self._lag.of(pair), []).append(pair)
        for lag, late in by_lag.items():
            self._confirm(late, at - lag)

    def _confirm(self, pairs: Sequence[Pair], at: float) -> None:
        self._delivered_at.update(dict.fromkeys(pairs, at))
        self._store.confirm(pairs, at, WEBSOCKET)

    def _follow_listings(self, now: float) -> None:
        if self._is_v2:
            self._markets.listing_asked(now)
            self._requests.follow(v2.LISTINGS)

    def pairs_listed(self, listed: PairsListed, now: float) -> None:
        if self.on_listed is not None:
            self.on_listed(self._by_pair(listed.statuses))
        named = self._markets.listed(listed, self._pairs)
        if self._markets.has_whole_list:
            for pair in filter(self.is_refused, self._symbols):
                self.on_refusal(pair)
        if named is not None:
            held = self._store.all()
            wanted = {self._pairs[symbol] for symbol in self._subscriptions.symbols}
            for pair in wanted - named:
                self._doubts.open(pair, "contested", now, held.get(pair))  # REST knows whether it is listed

    def _by_pair(self, statuses: Mapping[str, MarketStatus]) -> dict[Pair, MarketStatus]:
        """Without the symbols whose pair would be asked for by another name, such as `AAPLx/USD`."""
        read = ((read_pair_or_none(symbol), symbol, status) for symbol, status in statuses.items())
        return {
            pair: status
            for pair, symbol, status in read
            if pair is not None and self._symbol_of(pair) == symbol
        }

    def activated(self) -> None:
        log.info("WebSocket connection established and subscribed to ticker data")

    def _acknowledged(self, acknowledgement: Acknowledged, now: float) -> None:
        super()._acknowledged(acknowledgement, now)
        if acknowledgement.exchange_time is not None:
            told = acknowledgement.exchange_time
            under_way = self._exchange_clock.answered(told, self._connected_at, now)
            if self._last_trade_at is None:
                self._lag.answered(under_way)
        pair = self._pairs.get(acknowledgement.symbol)
        if pair is None or self._is_v2:
            return
        if acknowledgement.channel == "trade":
            self._newest_traded_at.pop(pair, None)
        self._markets.accepted(pair)

    def _ask_the_time(self, now: float) -> None:
        # Only one at a time, because an answer does not say to which ping it belongs.
        connection = self._connection
        if connection is not None and self._time_asked_at is None and self._requests.ping(connection, now):
            self._time_asked_at, self._ask_time_at = now, now + ASK_THE_TIME_EVERY_SECONDS

    def _ponged(self, pong: Pong, now: float) -> None:
        asked_at, self._time_asked_at = self._time_asked_at, None
        before = self._exchange_clock.age(0.0, now)
        if asked_at is None or before is None:
            return
        self._exchange_clock.answered(pong.exchange_time, asked_at, now)
        after = self._exchange_clock.age(0.0, now)
        if after is not None and before > after:
            self._lag.overstated(before - after)

    def _request_refused(self, refusal: Refused, now: float) -> None:
        super()._request_refused(refusal, now)
        pair = self._pairs.get(refusal.symbol or "")
        if pair is not None and self.is_refused(pair):
            self.on_refusal(pair)

    # What cannot be used.

    def unreadable(self, frame: str, now: float) -> None:
        for name in names_in(frame, self._pairs):
            self.symbol_unusable(name, now)

    def symbol_unusable(self, symbol: str, now: float) -> None:
        if pair := self._pairs.get(symbol) or self._spelled(symbol):
            self._doubts.open(pair, "unusable", now, self._store.get(pair))
        elif '"' in symbol:  # a whole row
            self.unreadable(symbol, now)

    def _spelled(self, name: str) -> Pair | None:
        """The pair that is served here and spelled that way, whatever way it is."""
        pair = read_pair_or_none(name)
        return pair if pair in self._symbols else None

    # For the REST poll and the views.

    def lag(self) -> float:
        """The longest delay of any pair in seconds; 0 up to a quarter of a second."""
        return self._lag.longest()

    def delivered_at(self, pair: Pair) -> float | None:
        """Monotonic seconds of the newest evidence for `pair`; None when there was none."""
        return self._delivered_at.get(pair)

    def renew(self, pair: Pair) -> None:
        """Has the loop subscribe to `pair` anew; the caller opens a doubt."""
        self._subscriptions.renew(self._symbols[pair], self._clock.monotonic())

    def labels(self) -> dict[str, str]:
        deaf = {self._symbols[pair]: "deaf" for pair in self._doubts.deaf()}
        return self._subscriptions.labels() | deaf

    def market_told_at(self) -> float:
        """Monotonic seconds at which the feed last told whether the exchange is matching."""
        return self._markets.told_at

    def tells_market_of(self, pair: Pair) -> bool:
        """Whether the present connection tells if the orders of `pair` are matched."""
        return self._markets.tells(pair)

    def told_since(self, pair: Pair) -> float | None:
        """Monotonic seconds since which this connection tells each trade of `pair`; None while it does not."""
        state = self.subscription(pair)
        return None if state is None else state.acknowledged.get("trade")

    def subscription(self, pair: Pair) -> Subscription | None:
        """How the subscription of `pair` stands; None while there is none, or no connection."""
        symbol = self._symbols.get(pair)
        return None if symbol is None else self._subscriptions.states.get(symbol)

    def is_refused(self, pair: Pair) -> bool:
        """Whether this connection has told all that it can of `pair`: the exchange refused each channel, and its list came."""
        state = self._subscriptions.states.get(self._symbols.get(pair, ""))
        if state is None or state.refusal is None or state.acknowledged:
            return False
        return self._markets.has_whole_list or not self._is_v2

    def lacks(self, pair: Pair) -> bool:
        """Whether the exchange refused `pair`, and it is not in its list either. Never with v1, which has no list."""
        return self._is_v2 and self.is_refused(pair) and not self._markets.names(self._symbols[pair])

    def held(self, pair: Pair) -> Tick | None:
        """The trade of `pair` that the quarantine holds back, 2 s at most."""
        return self._quarantine.held(pair)

    def _learn_moment(self, pair: Pair, traded_at: float, received_at: float, snapshot: bool) -> float | None:
        """Learns the exchange's clock and the lag from a trade, and returns its moment in monotonic seconds.

        None while too little is known of the exchange's clock. Raises BadFrame for a trade of the future.
        """
        newest = self._newest_traded_at.get(pair)
        # Protocol v1 may send the last fifty trades after a ticker, as if they were news.
        is_live = not snapshot and (self._is_v2 if newest is None else traded_at > newest)
        if is_live:  # one that is told again, or too late, does not show how late the line is
            age = self._exchange_clock.heard(traded_at, received_at)
            possible = age is not None
        else:
            possible = self._exchange_clock.happened(traded_at, received_at)
            age = self._exchange_clock.age(traded_at, received_at)
        if not possible:
            raise BadFrame(f"{pair}: a trade of the future, by the exchange's own clock", reason="future")
        self._newest_traded_at[pair] = traded_at if newest is None else max(newest, traded_at)
        if age is None:
            return None
        if is_live:
            if self._lag.is_late or age > NEGLIGIBLE_DELAY_SECONDS:
                self._learn_lag(pair, age, received_at)
            self._last_trade_at = received_at
        return received_at - age

    def _told_at(self, pair: Pair, told_at: float, received_at: float) -> float:
        """The time of a ticker, but no later than now. Raises BadFrame for one of the future."""
        possible = self._exchange_clock.no_later(told_at, received_at)
        if possible is None:
            raise BadFrame(f"{pair}: a ticker of the future, by the exchange's own clock", reason="future")
        return possible

    def _learn_lag(self, pair: Pair, age: float, now: float) -> None:
        since_last = None if self._last_trade_at is None else now - self._last_trade_at
        of_all, of_pair = self._lag.learn(pair, age, since_last)
        if of_all is not None:
            self._withdraw(list(self._symbols), now - of_all)
        if of_pair is not None:
            self._withdraw([pair], now - of_pair)

    def _withdraw(self, pairs: Sequence[Pair], after: float) -> None:
        self._store.withdraw(pairs, after)
        late = {pair: after for pair in pairs if self._delivered_at.get(pair, after) > after}
        self._delivered_at.update(late)


def _ticker(message: Parsed) -> LastTrade | None:
    """The ticker, where the message is an update of one and of nothing else; None for all others."""
    if message.kind != "ticker" or len(message.events) != 1:
        return None
    (event,) = message.events
    return event if type(event) is LastTrade and not event.snapshot else None


def _is_contested(held: Tick, trade: Tick, *, accepted: bool, snapshot: bool) -> bool:
    """Whether it is not known which came last: the price `held`, which was told without a time, or another trade."""
    if held.amount == trade.amount:
        return False
    if held.source == WEBSOCKET:  # the trade does not explain the price that a ticker told
        return snapshot or not accepted
    if accepted or trade.happened_at is None:
        return False
    return trade.happened_at >= held.received_at - CLOCK_ERROR_SECONDS
