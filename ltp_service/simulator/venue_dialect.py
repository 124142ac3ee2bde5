"""What a venue and its connections ask of a spot dialect (Bybit's, Binance's)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ltp_service.simulator.counters import Counters
from ltp_service.simulator.order_book import Level
from ltp_service.simulator.venue_market import Listing, Print


@dataclass(frozen=True, slots=True)
class Topic:
    """A stream of a symbol by its name on the wire; one that does not exist never has data."""

    name: str
    channel: str
    symbol: str
    exists: bool = True


Wanted = Callable[[str], bool]
Message = tuple[Topic, str]


class VenueClient(Protocol):
    """The connection that a request came from, as far as a dialect touches it."""

    counters: Counters
    topics: dict[str, Topic]
    connection_id: str

    def say(self, text: str) -> None: ...

    def subscribe(self, topics: Sequence[Topic], ack: str | None) -> None: ...

    def unsubscribe(self, names: Sequence[str]) -> None: ...


class VenueDialect(Protocol):
    """One venue's language. `prints_blocks`: block trades come among the others."""

    prints_blocks: bool

    def opened(self, client: VenueClient, query: Mapping[str, str]) -> None:
        """The handshake is done; `query` is that of its URL."""

    def receive(self, client: VenueClient, text: str) -> None:
        """Answers one message of the client."""

    def trades(self, event: Sequence[Print]) -> tuple[Topic, list[str]]:
        """The topic of a match event, and its messages."""

    def first_text(self, topic: Topic) -> str | None:
        """What a new subscriber gets before anything else."""

    def book_update(self, listing: Listing, levels: Sequence[Level], wanted: Wanted) -> Iterator[Message]:
        """What to say on each wanted topic for changes that the book has taken already."""

    def restart_book(self, listing: Listing, wanted: Wanted) -> Iterator[Message]:
        """What to say on each wanted topic when the venue's book service restarts."""

    def shutdown(self) -> str | None:
        """The announcement, if the venue makes one."""
