"""A history as simple as possible: lists of trades, read from the beginning each time."""

from collections.abc import Iterable, Sequence
from decimal import Context, Decimal
from itertools import groupby

from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Side
from ltp_service.history.rows import Candle, RecordedTrade, Run

PAIR = Pair("BTC", "USD")
SECOND = 1_000_000
MINUTE = 60 * SECOND
NOON = 1_790_510_400 * SECOND
"""12:00 UTC on 2026-09-27."""

_EXACT = Context(prec=500)


def trade(
    trade_id: int, seconds: float = 0.0, price: str = "100.5", quantity: str = "0.25", side: Side = "buy"
) -> RecordedTrade:
    """A trade so many seconds after noon."""
    return RecordedTrade(trade_id, NOON + round(seconds * SECOND), Decimal(price), Decimal(quantity), side)


def each_second(first: int, last: int) -> tuple[RecordedTrade, ...]:
    """The trades from one id to another; each was made at its id in seconds after noon."""
    return tuple(trade(trade_id, trade_id) for trade_id in range(first, last + 1))


def last_until(trades: Sequence[RecordedTrade], moment: int) -> RecordedTrade | None:
    """The last of trades in order at a moment."""
    return next((each for each in reversed(trades) if each.traded_at <= moment), None)


def first_after(trades: Sequence[RecordedTrade], moment: int) -> RecordedTrade | None:
    """The first of trades in order after a moment."""
    return next((each for each in trades if each.traded_at > moment), None)


def runs_of(trades: Iterable[RecordedTrade], series: int) -> list[Run]:
    """The runs of the trades of one series, in order."""
    runs: list[Run] = []
    for trade_id, moment, *_ in trades:
        if runs and runs[-1].last_trade_id + 1 == trade_id:
            runs[-1] = runs[-1]._replace(last_trade_id=trade_id, last_traded_at=moment)
        else:
            runs.append(Run(series, trade_id, trade_id, moment, moment))
    return runs


def candles_of(trades: Sequence[RecordedTrade], minutes: int) -> list[Candle]:
    """The candles of trades in order."""
    length = minutes * MINUTE
    return [
        candle_of(list(members), start)
        for start, members in groupby(trades, lambda each: each.traded_at // length * length)
    ]


def candle_of(trades: Sequence[RecordedTrade], start: int) -> Candle:
    """One candle of trades in order."""
    prices = [each.price for each in trades]
    volume = turnover = Decimal(0)
    for each in trades:
        volume = _EXACT.add(volume, each.quantity)
        turnover = _EXACT.add(turnover, _EXACT.multiply(each.price, each.quantity))
    return Candle(
        start,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        volume,
        turnover,
        len(trades),
        trades[0].trade_id,
        trades[-1].trade_id,
    )
