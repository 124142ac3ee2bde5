"""A collector whose product are trades."""

import logging
from collections import deque
from collections.abc import Sequence

import msgspec

from ltp_service.domain.errors import BadFrame
from ltp_service.domain.exchange_time import TIME_TOLERANCE_SECONDS, ExchangeTime
from ltp_service.domain.trade import MAX_COLLECTED_SYMBOLS, Trade
from ltp_service.feed.contract import Dialect, Equipment, Gap, Link
from ltp_service.feed.loop import ASIDE_BURST_FRAMES, ASIDE_TURN_SECONDS, Collector
from ltp_service.feed.messages import Traded
from ltp_service.feed.subscriptions import Subscriptions
from ltp_service.meters import TRADES_MISSED
from ltp_service.prices.store import TradeSink

log = logging.getLogger(__name__)

FRUITLESS_SECONDS = 10.0
"""Seconds of arrivals without one stored trade after which a collector is of no use."""

REMEMBERED_GAPS = MAX_COLLECTED_SYMBOLS + 100
"""Gaps remembered: one of each symbol, which may all end at once, and a hundred more."""

REMEMBERED_OUTAGES = 2 * MAX_COLLECTED_SYMBOLS
"""Symbols whose trades are missed now, and those that are not wanted any more with them: as many again."""

RENUMBERED_FROM_STEP = 1_000_000
"""Numbers that two trades in a row are apart when the exchange must have begun to number anew."""

LATENCY_SECONDS = 1.0
"""Seconds that a trade may need to arrive: a cut loses those that were on their way, too."""


class TradeCollector(Collector):
    """Feeds one exchange's trades into the sink it was built with."""

    exchange: str
    """As it stands in each trade."""
    url: str
    """The exchange's public endpoint."""
    dialect: Dialect
    channel: str
    longest_turn, burst = ASIDE_TURN_SECONDS, ASIDE_BURST_FRAMES

    def __init__(self, symbols: Sequence[str], sink: TradeSink, equipment: Equipment) -> None:
        if not callable(getattr(sink, "put", None)):
            raise TypeError(f"{self.name} needs a sink for its trades, not {sink!r}")
        super().__init__(
            self.dialect, Subscriptions(symbols, [self.channel], "either"), equipment, {Traded: self.traded}
        )
        self._sink = sink
        self._fruitless_since: float | None = None
        self._arrived_at = 0.0
        self._gaps: deque[Gap] = deque(maxlen=REMEMBERED_GAPS)
        self._cut_since: float | None = None
        self._out_since: dict[str, float] = {}
        """Symbol → since when its trades are missed though there is a line: not wanted any more, or refused."""
        self._exchange_time = ExchangeTime()
        self._newest: dict[str, Traded] = {}
        """Of each symbol the trade with the highest number."""

    def traded(self, trade: Traded, received_at: float) -> None:
        if trade.symbol not in self._subscriptions.states:
            raise BadFrame(f"{trade.symbol[:40]!r} was not asked for", reason="unknown_symbol")
        ahead = self._exchange_time.learn(trade.traded_at, received_at)
        if ahead > TIME_TOLERANCE_SECONDS:
            raise BadFrame(
                f"{trade.symbol}: a trade {ahead:.0f} s ahead of the exchange's own clock", reason="future"
            )
        self._subscriptions.hear(trade.symbol)
        if trade.number is not None:
            self._count(trade, trade.number)
        if self._sink.put(self._complete(trade, self._clock.wall())):
            self._fruitless_since = None
        else:
            self.wasted(received_at)

    def wasted(self, now: float) -> None:
        self._arrived_at = now
        if self._fruitless_since is None:
            self._fruitless_since = now

    def connected(self, now: float) -> None:
        self._fruitless_since = None
        self._exchange_time.begin()

    def disconnected(self, now: float) -> None:
        if self._cut_since is None:
            self._cut_since = self._now(self._alive_at()) - LATENCY_SECONDS

    def symbols_changed(self, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        for symbol in removed:
            self._newest.pop(symbol, None)
            self._begin_outage(symbol, now)

    def tended(self, now: float) -> None:
        self._subscriptions.mark_silent(now)
        if self._cut_since is not None and self._subscriptions.settled():
            self._gaps.append(Gap(self._cut_since, self._now(now)))
            self._cut_since = None
        for symbol, state in self._subscriptions.states.items():
            if state.proven:
                self._end_outage(symbol, now)
            elif state.refusal is not None:
                self._begin_outage(symbol, now)

    def problem(self, now: float) -> str | None:
        since = self._fruitless_since
        if since is not None and self._arrived_at - since >= FRUITLESS_SECONDS:
            return f"receives and has stored nothing for {now - since:.0f} s"
        return super().problem(now)

    def gaps(self) -> tuple[Gap, ...]:
        """The newest cuts of the feed, outages of a symbol and holes in an exchange's numbers, in the order of their ends."""
        cut = () if self._cut_since is None else (Gap(self._cut_since),)
        out = (Gap(since, None, symbol) for symbol, since in tuple(self._out_since.items()))
        return (*self._gaps, *cut, *out)

    def link(self) -> Link:
        return msgspec.structs.replace(super().link(), gaps=self.gaps())

    def _now(self, now: float) -> float:
        """The exchange's unix time at a monotonic moment; this machine's until the exchange told its own."""
        known = self._exchange_time.at(now)
        return known if known is not None else self._clock.wall() - (self._clock.monotonic() - now)

    def _begin_outage(self, symbol: str, now: float) -> None:
        self._out_since.setdefault(symbol, self._now(now) - LATENCY_SECONDS)
        if len(self._out_since) > REMEMBERED_OUTAGES:
            del self._out_since[next(iter(self._out_since))]

    def _end_outage(self, symbol: str, now: float) -> None:
        since = self._out_since.pop(symbol, None)
        if since is not None:
            self._gaps.append(Gap(since, self._now(now), symbol))

    def _count(self, trade: Traded, number: int) -> None:
        """Tells a hole between this trade and the newest one before it."""
        newest = self._newest.get(trade.symbol)
        if newest is None or newest.number is None:
            self._newest[trade.symbol] = trade
            return
        step = number - newest.number
        if step == 1:
            self._newest[trade.symbol] = trade
        elif step > 1 or step < -RENUMBERED_FROM_STEP:
            self._newest[trade.symbol] = trade
            self._missed(newest, trade, step - 1 if 1 < step <= RENUMBERED_FROM_STEP else None)

    def _missed(self, before: Traded, after: Traded, count: int | None) -> None:
        self._gaps.append(Gap(before.traded_at, after.traded_at, after.symbol, count))
        self._meters.count(TRADES_MISSED, self.exchange, amount=count or 1)
        log.warning(
            "%s: %s trade(s) of %s are missing between %s and %s",
            self.name,
            "unknown many" if count is None else count,
            after.symbol,
            before.trade_id,
            after.trade_id,
            extra={"once_a_minute": (self.name, "missed", after.symbol)},
        )

    def _complete(self, trade: Traded, received_at: float) -> Trade:
        return Trade(
            self.exchange,
            trade.symbol,
            trade.side,
            trade.price,
            trade.quantity,
            trade.traded_at,
            trade.trade_id,
            received_at,
            trade.raw,
        )
