"""Kraken's feed: last trades into the price store."""

import logging
from collections.abc import Sequence
from urllib.parse import urlsplit

from ltp_service.collectors.base import Collector
from ltp_service.collectors.contract import Equipment
from ltp_service.collectors.events import Acknowledged, LastTrade, MarketChanged
from ltp_service.collectors.kraken import v1, v2
from ltp_service.collectors.kraken.tickers import Tickers, servable
from ltp_service.collectors.quarantine import Quarantine
from ltp_service.collectors.subscriptions import Subscription, Subscriptions
from ltp_service.errors import BadFrame
from ltp_service.pairs import Pair
from ltp_service.stores.base import Store
from ltp_service.stores.doubts import Doubts
from ltp_service.tick import WEBSOCKET, Tick

log = logging.getLogger(__name__)

CHANNELS = ("ticker", "trade")

DELAY = 10.0
"""Seconds that a live trade takes at most to arrive; recorded: 0.1."""

FUTURE, FAR_FUTURE = 5.0, 60.0
"""Seconds by which a trade may lie ahead of the exchange's clock: where the exchange told its time, and where it
is reckoned from this machine's clock. Recorded: 0.5."""

LAG = 2.0
"""Seconds of delay from which on what arrives is a picture of the past: a slow reader is sent everything, late."""


class KrakenCollector(Collector):
    """Protocol v2 when the URL's path ends in /v2, else v1."""

    name = "kraken"

    def __init__(
        self,
        url: str,
        pairs: Sequence[Pair],
        store: Store,
        quarantine: Quarantine,
        equipment: Equipment,
        doubts: Doubts,
    ) -> None:
        dialect = v2 if urlsplit(url).path.rstrip("/").endswith("/v2") else v1
        self._ticker_of = dialect.ticker_of
        self._pairs = {dialect.symbol_of(pair): pair for pair in pairs}
        self._store = store
        self._quarantine = quarantine
        self._exchange_time = equipment.clock.wall() - equipment.clock.monotonic()
        """What to add to monotonic time for the exchange's unix time."""
        self._symbols = {pair: symbol for symbol, pair in self._pairs.items()}
        self._delivered_at: dict[Pair, float] = {}
        self._doubts = doubts
        self._tickers = Tickers()
        self._market_told_at = 0.0
        self._knows_time = False
        """True once the exchange told its own time."""
        self._connected_at = 0.0
        self._unsure = 0.0
        """Seconds by which the exchange's time may be ahead of what it told: for how long that was under way."""
        self._lag = self._lag_seen_at = 0.0
        super().__init__(dialect, Subscriptions(self._pairs, CHANNELS), equipment)

    def without_superseded(self, frames: list[str]) -> list[str]:
        """Without the tickers that a later one of the same pair replaces, so that a burst is read in time."""
        tickers = list(map(self._ticker_of, frames))
        last = {symbol: place for place, symbol in enumerate(tickers) if symbol is not None}
        return [
            frame
            for place, (frame, symbol) in enumerate(zip(frames, tickers, strict=True))
            if symbol is None or last[symbol] == place
        ]

    def take(self, trade: LastTrade, received_at: float) -> None:
        pair = self._pairs.get(trade.symbol)
        if pair is None:
            raise BadFrame(f"{trade.symbol[:40]!r} was not asked for", reason="unknown_pair")
        snapshot = self._is_snapshot(trade)
        tick = Tick(
            pair,
            trade.price,
            trade.amount,
            WEBSOCKET,
            trade.traded_at,
            trade.trade_id,
            received_at,
            self._happened_at(trade, received_at, snapshot),
            None if trade.told_at is None else self._told_at(trade.told_at, received_at),
        )
        if tick.traded_at is None:
            self._take_ticker(tick, received_at, snapshot=snapshot)
        elif snapshot or self._quarantine.admit(tick, received_at, trade.earlier):
            self._take_trade(tick, trade, received_at, snapshot=snapshot)
        else:
            self._tickers.traded(tick, trade.earlier)
            self._observer.trade_held(pair)

    def _take_trade(self, tick: Tick, trade: LastTrade, now: float, *, snapshot: bool) -> None:
        before = self._store.all()
        is_news = self._serve(tick, now)
        self._tickers.traded(tick, trade.earlier, is_news=is_news)
        if snapshot or not is_news:
            held = before.get(tick.pair)
            if held is not None and _is_other_ticker(held.tick, tick):
                self._doubts.open(tick.pair, "contested", now)

    def _take_ticker(self, tick: Tick, now: float, *, snapshot: bool) -> None:
        held = self._store.all().get(tick.pair)
        alone = not self._subscriptions.accepted("trade", self._symbols[tick.pair])
        decision = self._tickers.judge(tick, held, snapshot=snapshot, alone=alone)
        if decision == "serve":
            self._serve_ticker(servable(tick, snapshot=snapshot), now, snapshot=snapshot)
        elif decision == "older":
            self._observer.frame_refused(self.name, "older")

    def _serve_ticker(self, tick: Tick, now: float, *, snapshot: bool) -> None:
        if snapshot or self._quarantine.admit(tick, now):
            self._serve(tick, now)
        else:
            self._observer.trade_held(tick.pair)

    def _serve(self, tick: Tick, now: float) -> bool:
        """Whether `tick` is not older than what is held."""
        if self._store.put(tick) == "older":
            self._observer.frame_refused(self.name, "older")
            return False
        self._quarantine.learn(tick, now)
        self._doubts.settle(tick.pair)
        self._subscriptions.hear(self._symbols[tick.pair])
        return True

    def tended(self, now: float) -> None:
        for tick, is_doubtful in self._tickers.due(now):
            if is_doubtful:
                self._doubts.open(tick.pair, "contested", now)
            else:
                self._serve_ticker(tick, now, snapshot=False)
        for tick in self._quarantine.due(now):
            self._serve(tick, now)

    def connected(self, now: float) -> None:
        self._knows_time = False
        self._connected_at = now
        self._lag = 0.0

    def disconnected(self, now: float) -> None:
        self._quarantine.forget()
        self._tickers.forget()

    def confirm(self, symbols: Sequence[str], at: float) -> None:
        # A price of which something newer may be known is confirmed by nobody.
        named = (self._pairs[symbol] for symbol in symbols)
        pairs = [pair for pair in named if not self._is_contested(pair)]
        evidence_at = at - self._lag if at - self._lag_seen_at < DELAY else at
        self._delivered_at.update(dict.fromkeys(pairs, evidence_at))
        self._store.confirm(pairs, evidence_at, WEBSOCKET)

    def _is_contested(self, pair: Pair) -> bool:
        """Whether another trade than the one served may be the last."""
        held_back = self._quarantine.held(pair) is not None
        return held_back or pair in self._doubts or self._tickers.is_waiting(pair)

    def market_changed(self, change: MarketChanged) -> None:
        self._market_told_at = self._clock.monotonic()
        self._store.set_market(change.status)

    def activated(self) -> None:
        log.info("WebSocket connection established and subscribed to ticker data")

    def acknowledged(self, acknowledgement: Acknowledged, now: float) -> None:
        if acknowledgement.exchange_time is not None:
            self._learn_time(acknowledgement.exchange_time - now, now)

    def _learn_time(self, told: float, now: float) -> None:
        # It was told after we asked, and may have waited in a queue since; the one that waited least is right.
        if not self._knows_time:
            self._exchange_time, self._unsure = told, now - self._connected_at
        elif told > self._exchange_time:
            self._unsure -= min(self._unsure, told - self._exchange_time)
            self._exchange_time = told
        self._knows_time = True

    # What the second source asks of the first.

    def is_here(self) -> bool:
        """This is the process that feeds itself."""
        return True

    def delivered_at(self, pair: Pair) -> float | None:
        """Monotonic seconds of the newest evidence for `pair`; None when there was none."""
        return self._delivered_at.get(pair)

    def renew(self, pair: Pair) -> None:
        """Subscribes to `pair` anew, and takes no frame as evidence for it until it brings data."""
        now = self._clock.monotonic()
        self._doubts.open(pair, "deaf", now)
        self._subscriptions.renew(self._symbols[pair], now)

    def labels(self) -> dict[str, str]:
        deaf = {self._symbols[pair]: "deaf" for pair in self._doubts.deaf()}
        return self._subscriptions.labels() | deaf

    def market_told_at(self) -> float:
        """Monotonic seconds at which the feed last told whether the exchange is matching."""
        return self._market_told_at

    def subscription(self, pair: Pair) -> Subscription | None:
        """How the subscription of `pair` stands; None while there is no connection."""
        return self._subscriptions.state(self._symbols[pair])

    def held(self, pair: Pair) -> Tick | None:
        """The trade of `pair` that is held back until somebody confirms it."""
        return self._quarantine.held(pair)

    def _is_snapshot(self, trade: LastTrade) -> bool:
        # Protocol v1 does not say which frame is one: the first of a connection may be.
        state = self._subscriptions.state(trade.symbol)
        return trade.snapshot or not (state and state.in_step)

    def _told_at(self, told_at: float, received_at: float) -> float:
        """The time of a ticker, which is no later than now by the exchange's own clock."""
        if not self._knows_time:
            return told_at
        return min(told_at, received_at + self._exchange_time + self._unsure)

    def _happened_at(self, trade: LastTrade, received_at: float, snapshot: bool) -> float | None:
        """The monotonic moment of a trade: a live one happens as it is told, a snapshot has an age."""
        if trade.traded_at is None:
            return None
        age = received_at + self._exchange_time - trade.traded_at
        if age < -(FUTURE + self._unsure if self._knows_time else FAR_FUTURE):
            raise BadFrame(
                f"{trade.symbol}: a trade {-age:.0f} s in the future; is this machine's clock right?",
                reason="future",
            )
        if self._knows_time and not snapshot:
            self._lag, self._lag_seen_at = (age if age > LAG else 0.0), received_at
        # A trade that took long is old whatever it is called: v1 may send the last fifty after the ticker.
        return received_at - max(0.0, age) if snapshot or age > DELAY else received_at


def _is_other_ticker(held: Tick, trade: Tick) -> bool:
    """Whether a ticker is held that told another price."""
    return held.source == WEBSOCKET and held.traded_at is None and held.amount != trade.amount
