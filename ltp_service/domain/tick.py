"""The last trade of a pair, and the newest evidence that it still is the last one."""

from decimal import Decimal
from typing import Literal

import msgspec

from ltp_service.domain.pairs import Pair

Source = Literal[
    "kraken:websocket", "kraken:rest", "coinbase:websocket", "bitstamp:websocket", "bitstamp:rest"
]
WEBSOCKET: Source = "kraken:websocket"
REST: Source = "kraken:rest"

KRAKEN = "kraken"
"""The exchange whose prices are served."""

KRAKENS_SOURCES = frozenset({WEBSOCKET, REST})
"""Its sources. A price of any other is a substitute's."""


def exchange_of(source: str) -> str:
    """The exchange that a source belongs to: `coinbase` for `coinbase:websocket`."""
    return source.partition(":")[0]


class Tick(msgspec.Struct, frozen=True, gc=False):
    """The last trade of a pair, as one source told it. Price in quote currency per base unit."""

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
    """Monotonic seconds of the trade itself; None where its age on arrival is not known."""
    told_at: float | None = None
    """Exchange time of the ticker message, in unix seconds; it orders tickers and is not the trade's time."""
    delay: float = 0.0
    """Seconds that it was under way or in a cache: it is evidence of that long before `received_at`."""

    @property
    def evidence_at(self) -> float:
        """The monotonic second of which this tick is evidence."""
        return self.received_at - self.delay


class Price(msgspec.Struct, frozen=True, gc=False):
    """A pair's tick and the newest evidence that it still is the last trade, as a Store holds them."""

    tick: Tick
    confirmed_at: float
    """Monotonic seconds of the newest evidence."""
    confirmed_by: Source
    newest_traded_at: float
    """Exchange time of the newest trade accepted so far, unix seconds, 0 before the first. No older one is accepted."""
    newest_trade_id: int | None = None
    """The id of that trade; None where it had none."""
