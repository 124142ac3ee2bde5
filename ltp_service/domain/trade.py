"""One trade on an exchange whose trades are collected, and which symbols are valid."""

import re
from decimal import Decimal
from typing import Literal

import msgspec

Side = Literal["buy", "sell"]

MAX_COLLECTED_SYMBOLS = 200
"""Most symbols collected at the same time."""

EARLIEST_TRADE = 1262304000.0
"""2010 in unix seconds: an empty market has been seen with timestamps of 1970."""

SYMBOL_RULE = "2 to 20 of A-Z and 0-9, for example BTCUSDT"
_SYMBOL = re.compile("[A-Z0-9]{2,20}")


def is_symbol(text: str) -> bool:
    """Whether `text` can be an exchange's symbol."""
    return bool(_SYMBOL.fullmatch(text))


class Trade(msgspec.Struct, frozen=True, gc=False):
    """A validated trade. Price in quote currency per base unit, quantity in base units."""

    exchange: str
    symbol: str
    side: Side
    """The taker's side."""
    price: Decimal
    quantity: Decimal
    timestamp: float
    """Exchange time, unix seconds."""
    trade_id: str
    received_at: float
    """Unix seconds on this machine."""
    raw: str
    """The exchange's own text of this trade."""
