"""What an exchange is asked, and what a frame of it can mean."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from ltp_service.domain.book import BookChange, BookSnapshot
from ltp_service.domain.market import MarketStatus
from ltp_service.domain.trade import Side

Verb = Literal["subscribe", "unsubscribe"]


class Request(msgspec.Struct, frozen=True):
    """One message about one channel of some symbols."""

    verb: Verb
    channel: str
    symbols: tuple[str, ...]


class LastTrade(msgspec.Struct, frozen=True, gc=False):
    """The last trade of a symbol. Price as text and as number, quote currency per base unit."""

    symbol: str
    price: str
    amount: Decimal
    traded_at: float | None = None
    """Exchange time of the trade in unix seconds; None from a ticker, which does not tell it."""
    trade_id: int | None = None
    snapshot: bool = False
    """True for the state at subscription: it says nothing about when it was traded unless `traded_at` does."""
    told_at: float | None = None
    """Exchange time of a ticker's frame in unix seconds: the trade is no younger, and may be much older."""
    others: tuple["LastTrade", ...] = ()
    """The other trades of the symbol in the same frame, newest first."""

    def earlier(self) -> tuple[Decimal, ...]:
        """Amounts of the others that were made at other moments."""
        return tuple(trade.amount for trade in self.others if trade.traded_at != self.traded_at)

    def without_newest(self) -> "LastTrade":
        """The newest of the others, with those that are left. Raises IndexError where there is none."""
        return msgspec.structs.replace(self.others[0], others=self.others[1:])


class LastTradeId(msgspec.Struct, frozen=True, gc=False):
    """The exchange says which trade of a symbol is the last one."""

    symbol: str
    trade_id: int | None
    """None where it says only that the symbol's stream is alive."""
    told_at: float
    """Exchange time of the message, unix seconds."""


class Traded(msgspec.Struct, frozen=True, gc=False):
    """One trade, complete. Price in quote currency per base unit, quantity in base units."""

    symbol: str
    side: Side
    """The taker's."""
    price: Decimal
    quantity: Decimal
    traded_at: float
    """Exchange time in unix seconds."""
    trade_id: str
    raw: str
    """The exchange's own text of this trade."""
    number: int | None = None
    """Its place in the symbol's unbroken numbering; None where the exchange has none."""


class Acknowledged(msgspec.Struct, frozen=True):
    """The exchange accepted one subscription."""

    channel: str
    symbol: str
    exchange_time: float | None = None


class Pong(msgspec.Struct, frozen=True):
    """The exchange answered a ping."""

    exchange_time: float
    """Its own time of the answer, unix seconds."""


class Refused(msgspec.Struct, frozen=True):
    """The exchange refused a request or a part of it; what is None it did not say."""

    message: str
    channel: str | None = None
    symbol: str | None = None
    request_id: int | None = None


class Answered(msgspec.Struct, frozen=True):
    """The exchange answered a whole request; without `request_id` the oldest unanswered one."""

    request_id: int | None = None
    error: str | None = None
    """The exchange's words when it refused."""


class Ended(msgspec.Struct, frozen=True):
    """The exchange ended one subscription, asked or not."""

    channel: str
    symbol: str


class MarketChanged(msgspec.Struct, frozen=True):
    """Whether the exchange matches orders at all."""

    status: MarketStatus


class PairsListed(msgspec.Struct, frozen=True):
    """Whether the exchange matches orders of single symbols."""

    statuses: dict[str, MarketStatus]
    complete: bool
    """Whether they are all that it lists."""


class Leaving(msgspec.Struct, frozen=True):
    """The exchange is about to close this connection: time for another one."""


class Skipped(msgspec.Struct, frozen=True):
    """Something understood that is no news by our rules, to be counted by its kind."""

    kind: str


class Invalid(msgspec.Struct, frozen=True):
    """One value among others that cannot be believed; the others stand."""

    reason: str
    message: str
    symbol: str | None = None
    """Whose value it is, where that can be read: what is known of it may be wrong from now on."""


Product = LastTrade | LastTradeId | Traded | BookSnapshot | BookChange | MarketChanged | PairsListed
"""What some collector is there for."""

Event = Product | Acknowledged | Pong | Answered | Refused | Ended | Leaving | Skipped | Invalid
"""The same, or what an exchange says about requests, subscriptions and the connection."""


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """One frame: its kind (for counting) and what it means, in order."""

    kind: str
    events: Sequence[Event]


class Unreadable(msgspec.Struct, frozen=True):
    """One frame of which nothing could be read."""

    frame: str
    reason: str
    cause: Exception


HEARTBEAT = Parsed("heartbeat", ())
