"""A spot venue (Bybit, Binance): what its market does reaches the connections that subscribed to it."""

import random
import socket
import string
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from ltp_service.simulator import questions
from ltp_service.simulator.later import Later, start_timer
from ltp_service.simulator.links import Links
from ltp_service.simulator.order_book import Level
from ltp_service.simulator.questions import DATA, Kind, Outgoing, RestCall
from ltp_service.simulator.switches import Arguments, Switches
from ltp_service.simulator.venue_connection import Terms, VenueConnection
from ltp_service.simulator.venue_dialect import Message, Topic, VenueDialect
from ltp_service.simulator.venue_market import Listing, Print, VenueMarket
from ltp_service.simulator.wire import Reply, Request, send_reply, text_frame


class Venue(Links[VenueConnection]):
    """Owns the subscriptions and the market."""

    def __init__(self, market: VenueMarket, dialect: VenueDialect, faults: Switches, terms: Terms) -> None:
        super().__init__()
        self.market = market
        self.dialect = dialect
        self.faults = faults
        self._terms = terms
        self._subscribers: dict[str, dict[str, VenueConnection]] = {}
        self._skipped: dict[str, int] = {}
        self._numbers = count(1)
        self._published = count(1)
        self._later = Later()
        self._choice = random.Random(market.venue)

    @property
    def name(self) -> str:
        return self.market.venue

    def serve(self, peer: socket.socket, request: Request, rest: bytes) -> None:
        """One WebSocket client, to its end."""
        refusal = self.faults.first(questions.at_handshake, request)
        if refusal is not None:
            send_reply(peer, refusal)
            return
        connection = VenueConnection(self, peer, self._new_connection_id(), request.query, self._terms)
        connection.serve(request.head, rest)

    def refuse_rest(self, method: str, request: Request) -> Reply | None:
        """What a fault answers in place of REST."""
        call = RestCall(method, request)
        return self.faults.first(questions.at_handshake, request) or self.faults.first(
            questions.rest_answer, call, only=method
        )

    def forget(self, client: VenueConnection) -> None:
        self.unsubscribe(client, list(client.topics))

    def subscribe(self, connection: VenueConnection, topics: Sequence[Topic], ack: str | None) -> None:
        """Acknowledges and grants, in the order and at the time that faults leave."""
        delay = sum(self.faults.ask(questions.subscription_delay, ""))
        patience = self.faults.first(questions.data_first, "")
        if ack is not None and patience is not None:
            with self.lock:
                connection.park(ack)
                self._join(connection, topics)
            _later(patience, lambda: self._release(connection))
            return
        _later(delay, lambda: self._grant(connection, topics, ack))

    def unsubscribe(self, connection: VenueConnection, names: Sequence[str]) -> None:
        """Names that were not subscribed are no news."""
        with self.lock:
            ended = [connection.topics.pop(name) for name in names if name in connection.topics]
            for topic in ended:
                self._subscribers.get(topic.name, {}).pop(connection.connection_id, None)
        for topic in ended:
            self.counters.subscribed(topic.channel, topic.symbol, -1)

    def is_wanted(self, topic: str) -> bool:
        return bool(self._subscribers.get(topic))

    def publish(self, event: Sequence[Print]) -> None:
        """Sends one match event that is on the tape already."""
        topic, texts = self.dialect.trades(event)
        with self.lock:
            self._deliver(
                topic, Outgoing(Kind.TRADE, topic.symbol, tuple(texts), number=next(self._published))
            )
            if self._adds_block(event[0]):
                listing = self.market.listings[event[0].symbol]
                self.publish([listing.block(self.market.now())])

    def _adds_block(self, trade: Print) -> bool:
        able = self.dialect.prints_blocks and not trade.block
        return able and self.faults.any(questions.adds_block, trade.symbol)

    def trade(self, listing: Listing, trades: int = 1) -> None:
        """One match event of that many trades at a price of the walk."""
        with self.lock:
            self.publish(listing.event(self.market.now(), trades))

    def change_book(self, listing: Listing, levels: int = 1, *, lost: bool = False) -> None:
        """One book update of that many changes; with `lost` the next that would be sent is not."""
        with self.lock:
            listing.sequence += 1
            changes: list[Level] = list(listing.book.change(levels))
            messages = list(self.dialect.book_update(listing, changes, self.is_wanted))
            if lost:
                self.skip_update(listing.symbol)
            if messages and self._skipped.get(listing.symbol):
                self._skipped[listing.symbol] -= 1
                return
            self._send_book(messages)

    def restart_book(self, listing: Listing) -> None:
        with self.lock:
            self._send_book(self.dialect.restart_book(listing, self.is_wanted))

    def walk(self) -> None:
        """A match event and a book update of some symbol."""
        with self.lock:
            listing = self._choice.choice(list(self.market.listings.values()))
            self.trade(listing, self._choice.choice((1, 1, 1, 2, 3)))
            self.change_book(listing, 2)

    def skip_update(self, symbol: str) -> None:
        with self.lock:
            self._skipped[symbol] = self._skipped.get(symbol, 0) + 1

    def announce_shutdown(self) -> None:
        text = self.dialect.shutdown()
        if text is not None:
            self.send_raw(text_frame(text))

    def clear_faults(self) -> None:
        self.faults.clear(self)
        self._skipped.clear()

    def switch_fault(self, name: str, on: bool, arguments: Arguments) -> None:
        """Raises ValueError naming an unknown fault or argument."""
        self.faults.switch(name, on, arguments, self)

    def backlog(self, below: int, timeout: float) -> bool:
        """Waits for the slowest client; whether all have less than `below` bytes before them."""
        return all(each.outbox.wait_until_below(below, timeout) for each in self.connections())

    def _release(self, connection: VenueConnection) -> None:
        with self.lock:
            connection.release()

    def _grant(self, connection: VenueConnection, topics: Sequence[Topic], ack: str | None) -> None:
        """Whoever reads the acknowledgement is subscribed."""
        with self.lock:
            if ack is not None:
                connection.say(ack)
            self._join(connection, topics)

    def _join(self, connection: VenueConnection, topics: Sequence[Topic]) -> None:
        with self.lock:
            if not self.is_connected(connection):
                return
            new = [topic for topic in topics if topic.name not in connection.topics]
            for topic in new:
                connection.topics[topic.name] = topic
                if not topic.exists:
                    continue
                self._subscribers.setdefault(topic.name, {})[connection.connection_id] = connection
                self._send_first(connection, topic)
        for topic in new:
            self.counters.subscribed(topic.channel, topic.symbol, 1)

    def _send_first(self, connection: VenueConnection, topic: Topic) -> None:
        text = self.dialect.first_text(topic)
        if text is not None and self.faults.all(questions.passes, Outgoing(Kind.BOOK, topic.symbol)):
            connection.deliver(text_frame(text))

    def _send_book(self, messages: Iterable[Message]) -> None:
        for topic, text in messages:
            self._deliver(topic, Outgoing(Kind.BOOK, topic.symbol, (text,)))

    def _deliver(self, topic: Topic, frame: Outgoing) -> None:
        if not self.faults.all(questions.passes, frame):
            return
        times = 1 + sum(self.faults.ask(questions.copies, frame))
        texts = self.faults.fold(questions.rewrites, frame).texts * times
        content = b"".join(map(text_frame, texts))
        delay = sum(self.faults.ask(questions.data_delay, frame)) if frame.kind in DATA else 0.0
        if delay:
            self._later.after(delay, lambda: self._send(topic, content, len(texts)))
        else:
            self._send(topic, content, len(texts))

    def _send(self, topic: Topic, content: bytes, frames: int) -> None:
        with self.lock:
            for connection in list(self._subscribers.get(topic.name, {}).values()):
                connection.deliver(content, frames)

    def _new_connection_id(self) -> str:
        with self.lock:
            letters = self._choice.choices(string.ascii_lowercase + string.digits, k=20)
            return f"{''.join(letters)}-{next(self._numbers):05x}"


def _later(seconds: float, act: Callable[[], None]) -> None:
    """At once when there is nothing to wait for."""
    if seconds:
        start_timer(seconds, act)
    else:
        act()
