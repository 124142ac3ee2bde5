"""One trade on an exchange whose trades are collected."""

from decimal import Decimal
from typing import Literal

import msgspec

Side = Literal["buy", "sell"]


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
