"""Which tickers may be served; pure, moments in monotonic seconds.

Kraken tells of each trade twice: on the trade channel with its time, on the ticker channel without. The two
overtake each other, and a ticker alone cannot say which of two trades is the newer one. So a ticker that tells
another price than the one held waits for the trade. Where a subscription brings the last trades, the first ticker of a
connection waits for them, as it may come from a cache. Only when the trade channel stays silent is it served.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price, Tick
from ltp_service.feed.messages import LastTrade
from ltp_service.prices.accept import CLOCK_ERROR_SECONDS

OTHER_CHANNEL_WITHIN_SECONDS = 1.0
"""Seconds within which the trade channel tells what the ticker channel told, and the other way round."""

LATE_TICKER_SECONDS = 5.0
"""Seconds after a trade in which a ticker without a time may still be its own. Later the price has returned."""

REMEMBERED_TRADES = 128
"""Trades of a pair that are remembered, so that their tickers are known when they come late."""

REMEMBERED_TICKERS = 128
"""Tickers of a pair that are remembered while its trade channel keeps silent, so that their trades are known when they come."""

Decision = Literal["serve", "wait", "older"]


class _Waiting(msgspec.Struct):
    tick: Tick
    snapshot: bool
    until: float
    contradicted: bool = False
    """Whether the trade channel has told something else since."""


class Tickers:
    """The newest ticker of each pair, beside what the trade channel told."""

    def __init__(self, *, has_trade_snapshots: bool) -> None:
        """`has_trade_snapshots`: a new subscription of the trade channel brings the last trades."""
        self._has_trade_snapshots = has_trade_snapshots
        self._waiting: dict[Pair, _Waiting] = {}
        self.unanswered: dict[Pair, deque[Decimal]] = {}
        """Pairs whose trade channel kept silent about a ticker, with the amounts of that one and of those after it: their tickers
        wait no more until it speaks."""
        self._told_at: dict[Pair, float] = {}
        self._trades: dict[Pair, deque[tuple[float, Decimal, float | None]]] = {}
        """When each of the last trades arrived, its amount, and when it was traded."""

    def judge(self, tick: Tick, held: Price | None, *, snapshot: bool, alone: bool) -> Decision:
        """What to do with a ticker that has just arrived, where `held` is served now.

        `alone`: the exchange did not accept a subscription of the trade channel.
        """
        if not snapshot and self.is_late(tick):
            return "older"
        awaits = snapshot and not alone and tick.pair not in self._trades
        if held is None:
            is_settled = not (awaits and self._has_trade_snapshots)
        else:  # after a cut another trade may have had this price, and a trade with an id will tell
            tells_more = awaits and held.tick.trade_id is not None
            is_settled = held.tick.amount == tick.amount and not tells_more
        if is_settled:
            self._waiting.pop(tick.pair, None)
            return "serve"
        if held is not None and held.tick.amount != tick.amount and _is_before(tick, held.tick):
            return "older"
        unanswered = self.unanswered.get(tick.pair)
        if unanswered is not None:
            unanswered.append(tick.amount)
            return "serve"
        if alone and tick.pair not in self._trades:
            return "serve"
        waiting = self._waiting.get(tick.pair)
        if waiting is None:
            self._waiting[tick.pair] = _Waiting(
                tick, snapshot, tick.received_at + OTHER_CHANNEL_WITHIN_SECONDS
            )
        else:
            waiting.tick, waiting.snapshot, waiting.contradicted = tick, snapshot, False
        return "wait"

    def traded(self, tick: Tick, others: Sequence[LastTrade] = (), *, is_news: bool = True) -> None:
        """The trade channel told `tick`, and `others` with it; news unless a newer one is known."""
        trades = self._trades.get(tick.pair)
        if trades is None:
            trades = self._trades[tick.pair] = deque(maxlen=REMEMBERED_TRADES)
        if others:
            trades.extend((tick.received_at, other.amount, other.traded_at) for other in others)
        trades.append((tick.received_at, tick.amount, tick.traded_at))
        if is_news and (self._waiting or self.unanswered):
            self.unanswered.pop(tick.pair, None)
            self._answer(tick)

    def _answer(self, tick: Tick) -> None:
        waiting = self._waiting.get(tick.pair)
        if waiting is None:
            return
        if waiting.tick.amount == tick.amount or _is_before(waiting.tick, tick):
            del self._waiting[tick.pair]
        else:  # perhaps it has not come to that ticker's trade yet
            waiting.contradicted = True

    def waiting_pairs(self) -> Iterable[Pair]:
        """The pairs for which a ticker told another price than the one that is served."""
        return self._waiting.keys()

    def due(self, now: float) -> list[tuple[Tick, bool]]:
        """The tickers for which no trade came, each with whether that leaves a doubt instead of a price."""
        if not self._waiting:
            return []
        due = [waiting for waiting in self._waiting.values() if now >= waiting.until]
        for waiting in due:
            del self._waiting[waiting.tick.pair]
        judged = [
            (servable(waiting.tick, snapshot=waiting.snapshot), self._is_doubtful(waiting)) for waiting in due
        ]
        for tick, is_doubtful in judged:
            if not is_doubtful:
                self.unanswered[tick.pair] = deque([tick.amount], maxlen=REMEMBERED_TICKERS)
        return judged

    def forget(self) -> None:
        """The connection is over; the next one tells the present state of everything."""
        self._waiting.clear()
        self.unanswered.clear()
        self._told_at.clear()
        self._trades.clear()

    def has_told(self, tick: Tick) -> bool:
        """Whether the trade channel told a trade of that moment and amount."""
        trades = self._trades.get(tick.pair, ())
        return any(at == tick.traded_at and amount == tick.amount for _, amount, at in trades)

    def is_overtaken(self, tick: Tick, price: Price | None) -> bool:
        """Whether `tick` is a trade that comes late: a ticker told its amount before another one told the price that is held, and
        it was not made after that. A ticker with a time needs no such question: that time decides."""
        told = self.unanswered.get(tick.pair)
        if told is None or price is None or tick.traded_at is None:
            return False
        held = price.tick
        if held.amount not in told or held.amount == tick.amount:
            return False
        if held.traded_at is not None or held.told_at is not None:
            return False
        if tick.happened_at is not None and tick.happened_at > held.received_at + CLOCK_ERROR_SECONDS:
            return False
        amounts = list(told)
        return tick.amount in amounts[: len(amounts) - amounts[::-1].index(held.amount)]

    def is_late(self, tick: Tick) -> bool:
        """Whether a newer ticker came before. Remembers the time of this one."""
        if tick.told_at is None:
            return False
        if tick.told_at < self._told_at.get(tick.pair, 0.0):
            return True
        self._told_at[tick.pair] = tick.told_at
        return False

    def _is_doubtful(self, waiting: _Waiting) -> bool:
        """Whether it may only have come late, as a trade of just before had this price; or the trade channel speaks,
        and tells something else.
        """
        tick = waiting.tick
        trades = self._trades.get(tick.pair, ())
        since = tick.received_at - OTHER_CHANNEL_WITHIN_SECONDS
        if tick.told_at is None:  # nothing but the time since that trade tells whether the price returned
            since = tick.received_at - LATE_TICKER_SECONDS
        late = any(at >= since and amount == tick.amount for at, amount, _ in trades)
        return late or waiting.contradicted or (waiting.snapshot and bool(trades))


def servable(ticker: Tick, *, snapshot: bool) -> Tick:
    """As it may be served. The time of a snapshot is that of the subscription: any trade told later may be its own."""
    return msgspec.structs.replace(ticker, told_at=None) if snapshot and ticker.told_at else ticker


def _is_before(ticker: Tick, trade: Tick) -> bool:
    """Whether the ticker's own time says that it does not know of that trade."""
    return ticker.told_at is not None and trade.traded_at is not None and ticker.told_at < trade.traded_at
