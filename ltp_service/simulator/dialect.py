"""What an exchange and its connections ask of a dialect, the language of one WebSocket path."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ltp_service.simulator.market import Pair, SpotTape, Ticker, Trade
from ltp_service.simulator.order_book import Level
from ltp_service.simulator.questions import Kind

if TYPE_CHECKING:
    from ltp_service.simulator.connection import Connection
    from ltp_service.simulator.kraken import Kraken
    from ltp_service.simulator.kraken_book import BookState
    from ltp_service.simulator.spot import Spot


@dataclass(frozen=True, slots=True)
class Topic:
    """A stream by its name on the wire; one that does not exist never has data."""

    name: str
    channel: str
    pair: str
    exists: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """One (channel, pair) of a request to Kraken; the texts are made when they are sent."""

    topic: Topic
    pair: Pair
    ack: Callable[[], str]
    refusal: Callable[[str], str]
    snapshot: bool
    not_supported: str
    depth: int | None = None
    """Of an order book."""


Wanted = Callable[[str], bool]
Message = tuple[Topic, str]


class Dialect(ABC):
    """What every dialect has."""

    heartbeat = ""
    """What is said to a client now and then."""

    @abstractmethod
    def receive(self, client: "Connection[Any]", text: str) -> None:
        """Answers one message of the client."""

    def beat(self, client: "Connection[Any]") -> None:
        """Says what is said to a client that gets heartbeats."""
        client.say(self.heartbeat, Kind.HEARTBEAT)

    def opened(self, client: "Connection[Any]", query: Mapping[str, str]) -> None:  # noqa: B027 - most say nothing
        """The handshake is done; `query` is that of its URL."""


class KrakenDialect(Dialect):
    """One of Kraken's two."""

    name: str

    def __init__(self, exchange: "Kraken") -> None:
        self._exchange = exchange
        self._market = exchange.market

    def opened(self, client: "Connection[Any]", query: Mapping[str, str]) -> None:
        if self._exchange.greets:
            client.say(self.status(self._exchange.system, client.connection_id), Kind.STATUS)

    @abstractmethod
    def status(self, system: str, connection_id: int | str) -> str:
        """Said to a new client, and to all when the engine's state changes."""

    @abstractmethod
    def ticker(self, ticker: Ticker, *, snapshot: bool) -> str: ...

    @abstractmethod
    def trades(self, trades: Sequence[Trade], *, snapshot: bool) -> str: ...

    @abstractmethod
    def first_trades(self, histories: Sequence[Sequence[Trade]]) -> list[list[Trade]]:
        """The rows of each trade snapshot frame for the histories of several pairs."""

    @abstractmethod
    def book(self, told: "BookState", *, snapshot: bool) -> str: ...

    def instruments(self, statuses: Sequence[tuple[Pair, str]], *, snapshot: bool) -> str | None:
        """Each pair and its state; None where the dialect has no such channel."""
        return None


class SpotDialect(Dialect):
    """The only one of another exchange. `prints_blocks`: block trades come among the others."""

    prints_blocks = False
    has_books = True
    first_kind = Kind.BOOK
    """What `first_text` is about."""

    def __init__(self, exchange: "Spot") -> None:
        self._exchange = exchange
        self._market = exchange.market

    @abstractmethod
    def trades(self, event: Sequence[Trade]) -> tuple[Topic, list[str]]:
        """The topic of a match event, and its messages."""

    def first_text(self, topic: Topic) -> str | None:
        """What a new subscriber gets before anything else."""
        return None

    def book_update(self, tape: SpotTape, levels: Sequence[Level], wanted: Wanted) -> Iterable[Message]:
        """What to say on each wanted topic for changes that the book has taken already."""
        return ()

    def restart_book(self, tape: SpotTape, wanted: Wanted) -> Iterable[Message]:
        """What to say on each wanted topic when the exchange's book service restarts."""
        return ()

    def shutdown(self) -> str | None:
        """The announcement, if the exchange makes one."""
        return None
