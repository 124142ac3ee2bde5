"""What the simulated Kraken asks its faults, and about what."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ltp_service.simulator.market import Trade
from ltp_service.simulator.switches import Question
from ltp_service.simulator.wire import Reply, Request


class Kind(Enum):
    """What a frame is about."""

    STATUS = "status"
    ACK = "ack"
    PONG = "pong"
    HEARTBEAT = "heartbeat"
    TICKER = "ticker"
    TRADE = "trade"
    INSTRUMENT = "instrument"


DATA = frozenset({Kind.TICKER, Kind.TRADE, Kind.INSTRUMENT})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame about to be sent; `pair` is canonical and only known for acknowledgements and data.

    `micros` is the exchange's time. A v2 trade snapshot may have rows of other pairs too."""

    kind: Kind
    pair: str | None = None
    text: str = ""
    micros: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The subscription is answered with an error; no text means the exchange's usual one."""

    error: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """The subscription is never answered; its data may come nevertheless."""

    with_data: bool = False


@dataclass(frozen=True, slots=True)
class RestCall:
    """A REST request, `method` being Ticker, Trades, …"""

    method: str
    request: Request


@dataclass(frozen=True, slots=True)
class Caching:
    """How long REST gives the same answer to the same question, from how many caches in turn."""

    seconds: float
    edges: int


at_handshake: Question[Reply] = Question()
handshake_headers: Question[list[tuple[str, str]]] = Question()
when_opened: Question[None] = Question()
passes: Question[bool] = Question()
rows: Question[Sequence[Trade]] = Question()
rewrites: Question[Outgoing] = Question()
copies: Question[int] = Question()
data_delay: Question[float] = Question()
when_subscribing: Question[Refused | Ignored | None] = Question()
subscription_delay: Question[float] = Question()
sends_trade_snapshot: Question[bool] = Question()
snapshot_trade: Question[Trade | None] = Question()
rest_answer: Question[Reply | None] = Question(shared=["only"])
rest_caching: Question[Caching] = Question(shared=["only"])
rest_trade: Question[Trade | None] = Question()
rest_name: Question[str | None] = Question()
hidden_from_rest: Question[bool] = Question()
when_switched: Question[None] = Question(subjects=2)

ALL: tuple[Question[Any], ...] = (
    at_handshake,
    handshake_headers,
    when_opened,
    passes,
    rows,
    rewrites,
    copies,
    data_delay,
    when_subscribing,
    subscription_delay,
    sends_trade_snapshot,
    snapshot_trade,
    rest_answer,
    rest_caching,
    rest_trade,
    rest_name,
    hidden_from_rest,
    when_switched,
)
