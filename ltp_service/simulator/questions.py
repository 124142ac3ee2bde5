"""What the exchanges ask their faults, and about what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

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
    BOOK = "book"


DATA = frozenset({Kind.TICKER, Kind.TRADE, Kind.INSTRUMENT, Kind.BOOK})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Messages that are about to be sent together, one frame each; `pair` is only known for acknowledgements and data.

    `micros` is the exchange's time. `number` counts the trade events of an exchange other than Kraken, from 1 over all
    its pairs. A v2 trade snapshot may have rows of other pairs too."""

    kind: Kind
    pair: str | None = None
    texts: tuple[str, ...] = ()
    micros: int = 0
    number: int = 0

    @property
    def is_v1(self) -> bool:
        """Whether it is data of Kraken's v1, which are arrays."""
        return self.texts[0].startswith("[")

    def each(self, change: Callable[[str], str]) -> "Outgoing":
        return replace(self, texts=tuple(map(change, self.texts)))


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
    """A REST request, `method` being Ticker, Trades, depth, …"""

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
when_batched: Question[str | None] = Question()
"""Asked with the number of symbols of a request; an error refuses the whole of it."""
most_symbols: Question[int] = Question()
"""Asked with the channel: how many symbols a connection may have of it."""
subscription_delay: Question[float] = Question()
data_first: Question[float] = Question()
hides: Question[bool] = Question()
hides_pong: Question[bool] = Question()
adds_block: Question[bool] = Question()
sends_trade_snapshot: Question[bool] = Question()
snapshot_trade: Question[Trade | None] = Question()
rest_answer: Question[Reply | None] = Question(shared=["only"])
rest_caching: Question[Caching] = Question(shared=["only"])
rest_trade: Question[Trade | None] = Question()
rest_name: Question[str | None] = Question()
