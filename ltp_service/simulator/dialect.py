"""What the exchange and its connections ask of a WebSocket dialect."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ltp_service.simulator.market import Pair, Ticker, Trade
from ltp_service.simulator.questions import Kind


@dataclass(frozen=True, slots=True)
class Wish:
    """One (channel, pair) of a subscribe request; the texts are made when they are sent."""

    channel: str
    pair: Pair
    ack: Callable[[], str]
    refusal: Callable[[str], str]
    snapshot: bool
    not_supported: str


class Client(Protocol):
    """The connection that a request came from, as far as a dialect touches it."""

    def say(self, text: str, kind: Kind, pair: str | None = None) -> None: ...

    def subscribe(self, wishes: Sequence[Wish]) -> None: ...

    def unsubscribe(self, channel: str, pair: Pair) -> bool: ...

    def follow_instruments(self, ack: str, snapshot: bool) -> None: ...

    def ping_received(self) -> None: ...


class Dialect(Protocol):
    """One exchange's language on one WebSocket path."""

    name: str

    def status(self, system: str, connection_id: int) -> str: ...

    def heartbeat(self) -> str: ...

    def ticker(self, ticker: Ticker, *, snapshot: bool) -> str: ...

    def trades(self, trades: Sequence[Trade], *, snapshot: bool) -> str: ...

    def instruments(self, statuses: Sequence[tuple[Pair, str]], *, snapshot: bool) -> str | None:
        """Each pair and its state; None where the dialect has no such channel."""

    def first_trades(self, histories: Sequence[Sequence[Trade]]) -> list[list[Trade]]:
        """The rows of each trade snapshot frame for the histories of several pairs."""

    def receive(self, client: Client, text: str) -> None:
        """Answers one message of the client."""
