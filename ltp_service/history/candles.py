"""Candles from trades, and longer candles from shorter ones. Pure, and exact: no digit is rounded."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Context
from itertools import groupby

from ltp_service.history.rows import Candle, RecordedTrade

MINUTE = 60_000_000
"""Microseconds."""

_EXACT = Context(prec=1_000)
"""More digits than a sum or a product of prices can have."""


def start_of(moment: int, minutes: int) -> int:
    """The start of the interval in which a moment lies; counted from 1970 in UTC."""
    return moment - moment % (minutes * MINUTE)


def fold(trades: Sequence[RecordedTrade], start: int) -> Candle:
    """The candle of at least one trade, in the order of time and id."""
    first, last = trades[0], trades[-1]
    high = low = first.price
    volume, turnover = first.quantity, _EXACT.multiply(first.price, first.quantity)
    for _, _, price, quantity, _ in trades[1:]:
        if price > high:
            high = price
        elif price < low:
            low = price
        volume = _EXACT.add(volume, quantity)
        turnover = _EXACT.add(turnover, _EXACT.multiply(price, quantity))
    return Candle(
        start,
        first.price,
        high,
        low,
        last.price,
        volume,
        turnover,
        len(trades),
        first.trade_id,
        last.trade_id,
    )


def of_minutes(trades: Iterable[RecordedTrade]) -> Iterator[tuple[Candle, list[RecordedTrade]]]:
    """One-minute candles of trades in the order of time and id, each with its trades."""
    for start, group in groupby(trades, lambda trade: start_of(trade.traded_at, 1)):
        members = list(group)
        yield fold(members, start), members


def join(earlier: Candle, later: Candle) -> Candle:
    """One candle of two that follow one another."""
    return Candle(
        earlier.start,
        earlier.open,
        max(earlier.high, later.high),
        min(earlier.low, later.low),
        later.close,
        _EXACT.add(earlier.volume, later.volume),
        _EXACT.add(earlier.turnover, later.turnover),
        earlier.trades + later.trades,
        earlier.first_trade_id,
        later.last_trade_id,
    )


def longer(candles: Iterable[Candle], minutes: int) -> list[Candle]:
    """Candles of so many minutes, from shorter ones in the order of time."""
    made: list[Candle] = []
    for candle in candles:
        start = start_of(candle.start, minutes)
        if made and made[-1].start == start:
            made[-1] = join(made[-1], candle)
        else:
            made.append(candle._replace(start=start))
    return made
