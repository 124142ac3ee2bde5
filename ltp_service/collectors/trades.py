"""A collector whose product are trades."""

from collections import deque
from collections.abc import Sequence

import msgspec

from ltp_service.collectors.base import Collector
from ltp_service.collectors.contract import Dialect, Equipment, Gap, Link
from ltp_service.collectors.events import Traded
from ltp_service.collectors.subscriptions import Subscriptions
from ltp_service.errors import BadFrame
from ltp_service.stores.base import TradeSink
from ltp_service.trade import Trade

FUTURE = 60.0
"""Seconds by which a trade may lie ahead of this machine's clock; recorded: 0.5."""

FRUITLESS = 10.0
"""Seconds of arrivals without one stored trade after which a collector is of no use."""

GAPS = 100
"""Gaps remembered."""

LATENCY = 1.0
"""Seconds that a trade may need to arrive: a cut loses those that were on their way, too."""


class TradeCollector(Collector):
    """Feeds one exchange's trades into the sink it was built with."""

    exchange: str
    """As it stands in each trade."""
    url: str
    """The exchange's public endpoint."""
    dialect: Dialect
    channel: str

    def __init__(self, symbols: Sequence[str], sink: TradeSink, equipment: Equipment) -> None:
        if not callable(getattr(sink, "put", None)):
            raise TypeError(f"{self.name} needs a sink for its trades, not {sink!r}")
        super().__init__(self.dialect, Subscriptions(symbols, [self.channel], "either"), equipment)
        self._sink = sink
        self._fruitless_since: float | None = None
        self._arrived_at = 0.0
        self._gaps: deque[Gap] = deque(maxlen=GAPS)

    def traded(self, trade: Traded, received_at: float) -> None:
        wall = self._clock.wall()
        if self._subscriptions.state(trade.symbol) is None:
            raise BadFrame(f"{trade.symbol[:40]!r} was not asked for", reason="unknown_symbol")
        if trade.traded_at - wall > FUTURE:
            raise BadFrame(
                f"{trade.symbol}: a trade {trade.traded_at - wall:.0f} s in the future; "
                "is this machine's clock right?",
                reason="future",
            )
        self._subscriptions.hear(trade.symbol)
        if self._sink.put(self._complete(trade, wall)):
            self._fruitless_since = None
        else:
            self.wasted(received_at)

    def wasted(self, now: float) -> None:
        self._arrived_at = now
        if self._fruitless_since is None:
            self._fruitless_since = now

    def connected(self, now: float) -> None:
        self._fruitless_since = None

    def disconnected(self, now: float) -> None:
        if not self._gaps or self._gaps[-1].until is not None:
            self._gaps.append(Gap(self._clock.wall() - (now - self._alive_at()) - LATENCY))

    def tended(self, now: float) -> None:
        self._subscriptions.mark_silent(now)
        if self._gaps and self._gaps[-1].until is None and self._subscriptions.settled():
            self._gaps[-1] = Gap(self._gaps[-1].since, self._clock.wall())

    def problem(self, now: float) -> str | None:
        since = self._fruitless_since
        if since is not None and self._arrived_at - since >= FRUITLESS:
            return f"receives and has stored nothing for {now - since:.0f} s"
        return super().problem(now)

    def gaps(self) -> tuple[Gap, ...]:
        """The newest cuts of the feed, oldest first."""
        return tuple(self._gaps)

    def link(self) -> Link:
        return msgspec.structs.replace(super().link(), gaps=self.gaps())

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
