"""How prices, quantities and candles lie in a row, with every digit. Pure."""

from decimal import Decimal

from ltp_service.history.engine import Row
from ltp_service.history.rows import Candle, RecordedTrade

_WITH_POINT = 63
"""The scale of a number that is stored with its point, as a text, because its digits do not fit into 63 bits."""

_MOST = 2**63


def trade_columns(trade: RecordedTrade) -> tuple[int | str, int | str, int]:
    """Price, quantity and form. The form tells both scales and the side, in two bytes."""
    price, price_scale = _written(trade.price)
    quantity, quantity_scale = _written(trade.quantity)
    return price, quantity, (price_scale * 64 + quantity_scale) * 2 + (trade.side == "buy")


def read_trade(row: Row) -> RecordedTrade:
    """Of the columns trade_id, traded_at, price, quantity, form."""
    trade_id, traded_at, price, quantity, form = row
    scales, is_buy = divmod(form, 2)
    price_scale, quantity_scale = divmod(scales, 64)
    return RecordedTrade(
        trade_id,
        traded_at,
        _number(price, price_scale),
        _number(quantity, quantity_scale),
        "buy" if is_buy else "sell",
    )


def candle_columns(candle: Candle) -> tuple[int | str, ...]:
    """Start, the exact numbers as texts, and the counts."""
    start, *numbers, trades, first, last = candle
    return (start, *(plain_text(number) for number in numbers), trades, first, last)


def read_candle(row: Row) -> Candle:
    """Of the columns that `candle_columns` makes."""
    begins, *numbers, trades, first, last = row
    opening, high, low, closing, volume, turnover = map(Decimal, numbers)
    return Candle(begins, opening, high, low, closing, volume, turnover, trades, first, last)


def plain_text(number: Decimal) -> str:
    """All its digits, without an exponent."""
    text = str(number)
    return format(number, "f") if "E" in text else text


def digits_of(number: Decimal) -> tuple[int, int]:
    """All its digits as an integer, and how many of them are behind the point."""
    whole, _, fraction = plain_text(number).partition(".")
    return int(whole + fraction), len(fraction)


def _written(number: Decimal) -> tuple[int | str, int]:
    """The stored value and its scale."""
    text = plain_text(number)
    whole, _, fraction = text.partition(".")
    if len(fraction) < _WITH_POINT and (len(text) < 19 or abs(int(whole + fraction)) < _MOST):
        return int(whole + fraction), len(fraction)
    return text, _WITH_POINT


def _number(value: int | str | Decimal, scale: int) -> Decimal:
    # Integers of 63 bits have fewer digits than the usual context, so moving their point rounds nothing.
    return Decimal(value) if scale == _WITH_POINT else Decimal(int(value)).scaleb(-scale)
