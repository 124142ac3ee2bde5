"""One observed last trade, and what is known about it since."""

from decimal import Decimal
from typing import Literal

import msgspec

from ltp_service.domain.pairs import Pair

Source = Literal["kraken:websocket", "kraken:rest"]
WEBSOCKET: Source = "kraken:websocket"
REST: Source = "kraken:rest"


class Tick(msgspec.Struct, frozen=True, gc=False):
    """The last trade of a pair, as one source told it. Quote currency per base unit."""

    pair: Pair
    price: str
    """The exchange's own text, every digit."""
    amount: Decimal
    source: Source
    traded_at: float | None
    """Exchange time of the trade in unix seconds; None where the source gives none."""
    trade_id: int | None
    received_at: float
    """Monotonic seconds."""
    happened_at: float | None
    """Monotonic seconds of the trade itself; None where nothing tells how old it was on arrival."""
    told_at: float | None = None
    """Exchange time of the ticker that told it, in unix seconds: it orders tickers, and is no time of a trade."""
    delay: float = 0.0
    """Seconds for which it was under way or in a cache: it is evidence of a moment that much before `received_at`."""

    @property
    def evidence_at(self) -> float:
        """The monotonic moment of which this is evidence."""
        return self.received_at - self.delay


class Price(msgspec.Struct, frozen=True, gc=False):
    """What a Store holds of a pair: the tick and the newest evidence that it still is the last trade."""

    tick: Tick
    confirmed_at: float
    """Monotonic seconds of the newest evidence."""
    confirmed_by: Source
    newest_traded_at: float
    """Exchange time of the newest trade accepted so far (0 when none came): no older trade may follow."""
    newest_trade_id: int | None = None
    """Its id; None where it had none."""
