"""What a client is told, of the present and of the past."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

Kind = Literal["prices", "trades", "all"]
"""What a stream tells."""

Proof = Literal["exact", "observed"]
"""How a past price is known: by trade ids without a gap, or as a price that was told without an id."""

Interval = Literal["1m", "5m", "15m", "1h", "4h", "1d"]
Coverage = Literal["complete", "partial", "empty", "unknown"]


@dataclass(frozen=True, slots=True)
class Price:
    """A last traded price that the policy allows."""

    pair: str
    amount: Decimal
    price: str
    """The exchange's text, every digit."""
    state: str
    """live, quiet, fallback, substitute or halted. A `substitute` is another exchange's last trade, of another market."""
    source: str
    """Where it comes from: kraken:websocket, kraken:rest or, for a substitute, for example coinbase:websocket."""
    age: float
    """Seconds since the last evidence that this still is the last trade; never less than the truth, but for the least time
    that an event of a stream is under way."""
    traded_at: datetime | None
    """None where the exchange gives none."""
    trade_id: int | None
    """None where the exchange gives none."""


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade on Kraken, told once."""

    pair: str
    price: Decimal
    quantity: Decimal
    side: Literal["buy", "sell"]
    """The taker's."""
    traded_at: datetime
    trade_id: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Trades that cannot be told: those between the two ids. None where an end is not known."""

    pair: str
    after_trade_id: int | None
    before_trade_id: int | None
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The pair has no price that the policy allows, from now on until its next Price."""

    pair: str
    state: str
    """What the service says of the pair; `live` where only `max_age` forbids the price."""
    reason: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The line is dead: no price is confirmed from now on. The stream goes on trying."""

    reason: str
    since: datetime
    """When the service was heard for the last time, or the stream began. By this machine's wall clock."""


@dataclass(frozen=True, slots=True)
class PastPrice:
    """What the last traded price was at a moment."""

    pair: str
    amount: Decimal
    price: str
    """The exchange's text, every digit."""
    traded_at: datetime | None
    """None where the exchange gave none."""
    trade_id: int | None
    proof: Proof
    next_trade_id: int | None
    """The trade that ended it; None where none is known yet, and where the price was observed."""
    evidence_until: datetime
    """Until when it is known to have been the last price."""

    @property
    def is_exact(self) -> bool:
        """Whether it is proven that no trade is missing."""
        return self.proof == "exact"


@dataclass(frozen=True, slots=True)
class Edge:
    """A known trade at the edge of a gap in the history."""

    trade_id: int
    traded_at: datetime
    price: str


@dataclass(frozen=True, slots=True)
class Candle:
    """The known trades of one interval. It is never filled from the one before."""

    pair: str
    interval: Interval
    start: datetime
    open: Decimal | None
    """None, as all prices of the interval, where no trade is known."""
    high: Decimal | None
    low: Decimal | None
    close: Decimal | None
    volume: Decimal
    """Base units."""
    vwap: Decimal | None
    """The average price weighted by volume."""
    trades: int
    first_trade_id: int | None
    last_trade_id: int | None
    coverage: Coverage
    """`complete`: every trade is in it. `empty`: it is proven that there was none. `partial`: trades may be missing.
    `unknown`: no trade is known, and there may have been some."""
    is_open: bool
    """Whether the interval is not over yet."""


Event = Price | Trade | Gap | Unavailable | Disconnected
