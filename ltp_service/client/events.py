"""What a client is told."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

Kind = Literal["prices", "trades", "all"]
"""What a stream tells."""


@dataclass(frozen=True, slots=True)
class Price:
    """A last traded price that the policy allows."""

    pair: str
    amount: Decimal
    price: str
    """The exchange's text, every digit."""
    state: str
    """live, quiet, fallback or halted."""
    source: str
    """Where it comes from: kraken:websocket or kraken:rest."""
    age: float
    """Seconds since the last evidence that this still is the last trade; never less than the truth."""
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


Event = Price | Trade | Gap | Unavailable | Disconnected
