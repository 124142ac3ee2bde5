"""What a stream says: the shape of each event and its bytes. The OpenAPI document reads its schemas from here."""

from decimal import Decimal
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from ltp_service.domain.book import BookProblem
from ltp_service.domain.trade import Side

HEARTBEAT_SECONDS = 5
"""Seconds between two heartbeats."""

MIN_RETRY_MS, MAX_RETRY_MS = 500, 3000
"""Milliseconds after which a client may connect again: between these, so that not all come at once."""

Moment = Annotated[
    str, Meta(examples=["2026-11-21T00:46:21.123456Z"], extra_json_schema={"format": "date-time"})
]
Digits = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?$", examples=["115643.10"])]
Milliseconds = Annotated[int, Meta(ge=0)]


class Hello(msgspec.Struct, frozen=True):
    """The first event."""

    version: str
    server_time: Moment
    heartbeat_s: int
    """Seconds between two heartbeats. After two without one the line is dead."""
    pairs: list[str]
    resumed: bool
    """Whether nothing is missing since the event that Last-Event-ID names."""


class ExchangeHello(msgspec.Struct, frozen=True):
    """The first event of a stream of other exchanges."""

    version: str
    server_time: Moment
    heartbeat_s: int
    """Seconds between two heartbeats. After two without one the line is dead."""
    symbol: str
    exchanges: list[str]
    resumed: bool
    """Whether nothing is missing since the event that Last-Event-ID names."""


class StreamedTrade(msgspec.Struct, frozen=True):
    """One trade on Kraken."""

    pair: str
    price: Digits
    quantity: Digits
    side: Side
    """The taker's."""
    traded_at: Moment
    trade_id: int


class ExchangeTrade(msgspec.Struct, frozen=True):
    """One trade on another exchange."""

    exchange: str
    symbol: str
    price: Digits
    quantity: Digits
    side: Side
    """The taker's."""
    traded_at: Moment
    trade_id: str


class TradeGap(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """Trades of a pair that this stream cannot tell: those between the two ids."""

    pair: str
    after_trade_id: int | None
    """The last trade before them; null where that is not known."""
    before_trade_id: int | None
    """The first trade after them; null where that is not known."""
    from_: Moment | None
    to: Moment | None


class ExchangeGap(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """Trades of another exchange that this stream cannot tell: those between the two ids."""

    exchange: str
    symbol: str
    after_trade_id: str | None
    """The last trade before them; null where that is not known."""
    before_trade_id: str | None
    """The first trade after them; null where that is not known."""
    from_: Moment | None
    to: Moment | None


class BestLevel(msgspec.Struct, frozen=True):
    """What is bid or asked at the best price."""

    price: Digits
    size: Digits


class BestPrices(msgspec.Struct, frozen=True):
    """The best bid and the best ask of one order book."""

    exchange: str
    symbol: str
    in_sync: bool
    """False: it may have missed something, so it has no prices."""
    best_bid: BestLevel | None
    best_ask: BestLevel | None
    changed_at: Moment | None
    """The exchange's time of the last update; null where it is not told."""


class StreamedBook(msgspec.Struct, frozen=True):
    """The best bid and the best ask of a pair on Kraken. Both are null while they cannot be believed."""

    pair: str
    bid: BestLevel | None
    """Null with a problem, or when nothing is bid."""
    ask: BestLevel | None
    """Null with a problem, or when nothing is asked."""
    in_sync: bool
    """False: an update may be missing."""
    problem: BookProblem | None
    """`unknown`: not received yet; `out_of_sync`: an update may be missing; `stale`: the last of Kraken is over 5 s old."""
    changed_at: Moment | None
    """Kraken's time of the last update; null where it is not told."""


class Heartbeat(msgspec.Struct, frozen=True):
    """The line is alive, in a silent market too."""

    server_time: Moment
    states: dict[str, int]
    """How many pairs are in each state; on the stream of other exchanges: how many collectors."""
    evidence_age_ms: dict[str, Milliseconds | None]
    """Milliseconds since the last evidence for each pair; on the stream of other exchanges: since the last frame of each.
    Null where there never was any."""


class Bye(msgspec.Struct, frozen=True):
    """The worker ends; connect again after `retry`."""

    reason: str


class Frame(NamedTuple):
    """Events that are sent together."""

    content: bytes
    counts: tuple[tuple[str, int], ...]
    """How many of each kind."""


NOTHING = Frame(b"", ())

encode = msgspec.json.Encoder().encode


def event(name: str, event_id: str, data: bytes) -> bytes:
    """The bytes of one event."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), data)


def bye(event_id: str, reason: str, chance: float) -> bytes:
    """The last event, with the pause after which to connect again; `chance` is from [0, 1)."""
    retry = MIN_RETRY_MS + int(chance * (MAX_RETRY_MS - MIN_RETRY_MS + 1))
    return b"retry: %d\n%b" % (min(retry, MAX_RETRY_MS), event("bye", event_id, encode(Bye(reason))))


def digits(value: Decimal) -> str:
    """Every digit that the exchange sent, without an exponent."""
    return format(value, "f")
