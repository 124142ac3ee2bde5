"""A pump with stores of its own, on a clock that stands still, and clients that take as much as they are told."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from ltp_service.collected.books import BookStore
from ltp_service.collected.kraken_tape import KrakenTape
from ltp_service.collected.pair_books import PairBooks
from ltp_service.collected.trades import TradeStore
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import WEBSOCKET
from ltp_service.domain.trade import Trade
from ltp_service.feed.contract import Gap, Link
from ltp_service.prices.changes import Changes
from ltp_service.prices.memory import MemoryStore
from ltp_service.prices.other_markets import OtherMarkets, Substitutes
from ltp_service.prices.quotes import Quote, Quotes
from ltp_service.streams.places import Places
from ltp_service.streams.pump import Pump
from ltp_service.streams.question import MarketQuestion, Question
from ltp_service.streams.sources import Collecting, Sources
from tests.fakes import BTC, ETH, NOON, FakeClock, RecordingMeters, memory_store, runtime, tick

PRICES = MarketQuestion((BTC, ETH), "prices")
TRADES = MarketQuestion((BTC, ETH), "trades")
TTL = 30.0
LIMIT = 0.05


class Event(NamedTuple):
    """One event as a client reads it."""

    name: str
    id: str
    data: Any
    retry: int | None


def read_events(text: bytes) -> list[Event]:
    """The events of a stream; fails for one that is cut."""
    assert not text or text.endswith(b"\n\n"), text
    found = []
    for block in text.decode().split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        retry = int(lines["retry"]) if "retry" in lines else None
        found.append(Event(lines["event"], lines["id"], json.loads(lines["data"]), retry))
    return found


class Wire:
    """The connection of a client. `room` is how many bytes it still takes."""

    def __init__(self, handle: int) -> None:
        self.room = 1 << 30
        self.received = b""
        self.says: list[bytes] = []
        self.sends = 0
        self.closed = self.is_gone = False
        self.log: list[Wire] = []
        """Every send is noted here, too."""
        self._handle = handle

    def fileno(self) -> int:
        return self._handle

    def send(self, content: bytes, /) -> int:
        self.sends += 1
        self.log.append(self)
        if self.closed or self.is_gone:
            raise BrokenPipeError
        if not self.room:
            raise BlockingIOError
        taken = content[: self.room]
        self.room -= len(taken)
        self.received += taken
        return len(taken)

    def recv(self, most: int, /) -> bytes:
        if self.says:
            return self.says.pop(0)[:most]
        if self.is_gone:
            return b""
        raise BlockingIOError

    def setsockopt(self, level: int, name: int, value: int, /) -> None:
        """It has no system below it."""

    def close(self) -> None:
        self.closed = True

    def events(self) -> list[Event]:
        """What came since the last call."""
        received, self.received = self.received, b""
        return read_events(received)

    def names(self) -> list[str]:
        return [event.name for event in self.events()]


class Tape(KrakenTape):
    """Kraken's tape, filled by hand."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(lambda *_: [], clock)

    def trade(self, trade_id: int, pair: Pair = BTC, price: str = "100.10", made_at: float = NOON) -> None:
        quantity = Decimal("1E-7")
        self.put(
            Trade("kraken", str(pair), "buy", Decimal(price), quantity, made_at, str(trade_id), NOON, "")
        )


class Room:
    """One worker's streams."""

    def __init__(
        self,
        *,
        most: int = 100,
        per_client: int = 100,
        sleep: Callable[[float], None] | None = None,
        processor_time: Callable[[], float] | None = None,
    ) -> None:
        """By default a sleep moves the clock, and the pump uses the processor all the time."""
        self.clock, self.meters = FakeClock(), RecordingMeters()
        self.changes = Changes()
        self.store = memory_store(self.clock, self.changes)
        self.looks = 0
        self.coinbase, self.bitstamp = (memory_store(self.clock, Changes()) for _ in range(2))
        substitutes = Substitutes(self.store, (self.coinbase,), self.clock, TTL)
        quotes = Quotes(
            self.store, self.changes, self.clock, ttl=TTL, fetch=lambda _: None, substitutes=substitutes
        )
        others = {"coinbase": self.coinbase, "bitstamp": self.bitstamp}
        self.tape = Tape(self.clock)
        world = runtime(self.clock, self.meters, random=lambda: 0.5, sleep=sleep or self.clock.sleep)
        self.trades, self.books = TradeStore(world), BookStore()
        self.links: list[tuple[str, Link]] = []
        self.books_heard_at = self.clock.monotonic()
        pair_books = PairBooks(self.books, lambda: self.books_heard_at, self.clock.monotonic)
        given = quotes, self.changes, self.clock, self.tape, self.trades, self.books
        other_markets = OtherMarkets(self.store, others, lambda _: (), LIMIT, self.clock)
        self.sources = Sources(*given, Collecting(lambda _: self.links, self._gaps), pair_books)
        self.sources.deviates = other_markets.deviates
        self.rendered: list[Pair] = []
        self.sources.item = self._item
        self.watched: dict[int, Callable[[], None]] = {}
        self.pump = Pump(
            self.sources,
            Places(most, per_client),
            world,
            self._when_readable,
            processor_time=processor_time or self.clock.monotonic,
        )

    def join(
        self,
        question: Question = PRICES,
        last_event_id: str = "",
        address: str = "a",
        is_allowed: Callable[[], bool] | None = None,
    ) -> Wire:
        """A new client, which has its first events."""
        wire = Wire(id(object()) + len(self.watched))
        self.pump.join(question, address, last_event_id, is_allowed, wire, b"")
        return wire

    def trade(self, price: str, pair: Pair = BTC, **more: Any) -> None:
        now = self.clock.monotonic()
        self.store.put(tick(price, pair, **{"received_at": now, "happened_at": now, **more}))

    def trade_elsewhere(self, exchange: MemoryStore, price: str) -> None:
        """A trade of BTC/USD on another exchange, which is no news of Kraken's price."""
        exchange.put(tick(price, source="coinbase:websocket", received_at=self.clock.monotonic()))

    def heartbeat(self, *pairs: Pair) -> None:
        self.store.confirm(pairs, self.clock.monotonic(), WEBSOCKET)

    def turn(self, seconds: float = 0.0) -> float:
        """Time passes, and the pump has its turn."""
        self.clock.advance(seconds)
        return self.pump.turn()

    def hang_up(self, wire: Wire) -> None:
        """The client closes its connection, and the hub notices."""
        wire.is_gone = True
        self.watched[wire.fileno()]()

    def _item(self, quote: Quote) -> bytes:
        self.rendered.append(quote.pair)
        amount = quote.price.tick.price if quote.price and quote.verdict.servable else None
        return json.dumps({"pair": str(quote.pair), "amount": amount, "state": quote.verdict.state}).encode()

    def _gaps(self, exchange: str) -> list[Gap]:
        return [gap for name, link in self.links if name == exchange for gap in link.gaps or ()]

    def _when_readable(self, handle: int, tell: Callable[[], None]) -> Callable[[], object]:
        self.watched[handle] = tell
        return lambda: self.watched.pop(handle, None)
