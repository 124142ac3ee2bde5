"""What all exchanges share: their connections and subscriptions, and what faults make of a frame."""

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic

from ltp_service.simulator import questions
from ltp_service.simulator.connection import Connection, Language, Terms
from ltp_service.simulator.counters import Counters
from ltp_service.simulator.dialect import Topic
from ltp_service.simulator.later import Later, start_timer
from ltp_service.simulator.market import Market, Trade
from ltp_service.simulator.questions import DATA, Outgoing
from ltp_service.simulator.switches import Arguments, Switches
from ltp_service.simulator.wire import Request, send_reply, text_frame


class Exchange(ABC, Generic[Language]):
    """`lock` guards the connections and what a subclass adds, and makes the order on each wire the market's."""

    market: Market[Any]

    def __init__(self, name: str, family: str, terms: Terms) -> None:
        self.name = name
        self.terms = terms
        self.faults = Switches(name, family)
        self.counters = Counters()
        self.lock = threading.RLock()
        self._later = Later()
        self._frozen = False
        self._connections: dict[Connection[Language], None] = {}
        self._subscribers: dict[str, dict[Connection[Language], None]] = {}

    @abstractmethod
    def publish(self, trades: Sequence[Trade], *, silent: bool = False) -> None:
        """One match event: onto the tape, then to the subscribed connections."""

    @abstractmethod
    def change_book(self, tape: Any, levels: int = 1, *, lost: bool = False) -> None:
        """One update of that many changes of a pair's book; with `lost` the next that would be sent is not."""

    @abstractmethod
    def walk(self) -> None:
        """The next event of its random walk."""

    @abstractmethod
    def new_connection_id(self) -> int | str:
        """Another one for each connection."""

    def serve(self, dialect: Language, peer: socket.socket, request: Request, rest: bytes) -> None:
        """One WebSocket client, to its end; `rest` is what came after the handshake.

        Raises HangUp when the connection is to be closed instead."""
        refusal = self.faults.first(questions.at_handshake, request)
        if refusal is not None:
            send_reply(peer, refusal)
            return
        Connection(self, dialect, peer, self.new_connection_id()).serve(request, rest)

    def connections(self) -> list[Connection[Language]]:
        with self.lock:
            return list(self._connections)

    def is_connected(self, connection: Connection[Language]) -> bool:
        return connection in self._connections

    def entered(self, connection: Connection[Language]) -> None:
        with self.lock:
            self._connections[connection] = None
            connection.freeze(self._frozen)
        self.counters.opened()

    def left(self, connection: Connection[Language]) -> None:
        with self.lock:
            del self._connections[connection]
            for name in list(connection.topics):
                self.unsubscribe(connection, name)
        self.counters.closed()

    def join(self, connection: Connection[Language], topic: Topic) -> None:
        """Under the lock."""
        connection.topics[topic.name] = topic
        if topic.exists:
            self._subscribers.setdefault(topic.name, {})[connection] = None
        if topic.pair:
            self.counters.subscribed(topic.channel, topic.pair, 1)

    def unsubscribe(self, connection: Connection[Language], name: str) -> bool:
        """Whether there was such a subscription."""
        with self.lock:
            topic = connection.topics.pop(name, None)
            if topic is None:
                return False
            self._subscribers.get(name, {}).pop(connection, None)
        if topic.pair:
            self.counters.subscribed(topic.channel, topic.pair, -1)
        return True

    def subscribers(self, topic: str) -> list[Connection[Language]]:
        with self.lock:
            return list(self._subscribers.get(topic, ()))

    def deliver(self, connections: Sequence[Connection[Language]], frame: Outgoing) -> None:
        """To connections of one dialect: at once and as it is, unless faults see to it."""
        if not self.faults.all(questions.passes, frame):
            return
        times = 1 + sum(self.faults.ask(questions.copies, frame))
        texts = self.faults.fold(questions.rewrites, frame).texts * times
        content = b"".join(map(text_frame, texts))
        delay = sum(self.faults.ask(questions.data_delay, frame)) if frame.kind in DATA else 0.0

        def send() -> None:
            for connection in connections:
                connection.send(content, len(texts))
                if frame.kind in DATA:
                    connection.release()

        if delay:
            self._later.after(delay, send)
        else:
            send()

    def acknowledge(self, act: Callable[[], None]) -> None:
        """Does it at once, unless a fault makes acknowledgements late."""
        delay = sum(self.faults.ask(questions.subscription_delay, self.name))
        if delay:
            start_timer(delay, act)
        else:
            act()

    def set_frozen(self, frozen: bool) -> None:
        with self.lock:
            self._frozen = frozen
            for connection in self.connections():
                connection.freeze(frozen)

    def cut(self, how: str, code: int) -> int:
        """Drops all connections; returns how many."""
        dropped = self.connections()
        for connection in dropped:
            connection.cut(how, code)
        return len(dropped)

    def send_raw(self, content: bytes) -> int:
        """The same bytes on every connection; returns on how many."""
        receivers = self.connections()
        for connection in receivers:
            connection.send(content)
        return len(receivers)

    def switch_fault(self, name: str, on: bool, arguments: Arguments) -> None:
        """Raises ValueError naming an unknown fault or argument."""
        self.faults.switch(name, on, arguments, self)

    def clear_faults(self) -> None:
        self.faults.clear(self)
