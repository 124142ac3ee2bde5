"""One WebSocket connection of Kraken's: subscriptions, acknowledgements, heartbeats."""

import socket
import threading
from collections.abc import Sequence
from typing import Protocol

from websockets.frames import Opcode

from ltp_service.simulator import questions
from ltp_service.simulator.counters import Counters
from ltp_service.simulator.dialect import Dialect, Wish
from ltp_service.simulator.link import Link
from ltp_service.simulator.market import Pair
from ltp_service.simulator.questions import Kind
from ltp_service.simulator.switches import Switches
from ltp_service.simulator.wire import frame, frame_head

IDLE_SECONDS = 60.0

Topic = tuple[str, str]


class Desk(Protocol):
    """Where connections take their subscriptions."""

    faults: Switches
    counters: Counters
    heartbeat_seconds: float

    @property
    def system(self) -> str: ...

    @property
    def greets(self) -> bool: ...

    def subscribe(self, connection: "Connection", wishes: Sequence[Wish]) -> None: ...

    def unsubscribe(self, connection: "Connection", topic: Topic) -> bool: ...

    def deliver(
        self, connections: Sequence["Connection"], kind: Kind, pair: str | None, text: str
    ) -> None: ...

    def follow_instruments(self, connection: "Connection", ack: str, snapshot: bool) -> None: ...

    def entered(self, connection: "Connection") -> None: ...

    def left(self, connection: "Connection") -> None: ...


class Connection(Link):
    """A link that speaks one of Kraken's dialects."""

    def __init__(self, desk: Desk, peer: socket.socket, dialect: Dialect, connection_id: int) -> None:
        super().__init__(peer, desk.counters, IDLE_SECONDS)
        self.dialect = dialect
        self.connection_id = connection_id
        self.topics: set[Topic] = set()
        self._desk = desk
        self._heart: threading.Thread | None = None
        self._hushed = False

    def entering(self) -> None:
        self._desk.entered(self)

    def left(self) -> None:
        self._desk.left(self)

    def opened(self) -> None:
        if self._desk.greets:
            self.say(self.dialect.status(self._desk.system, self.connection_id), Kind.STATUS)
        for _ in self._desk.faults.ask(questions.when_opened, self):
            pass

    def take_text(self, text: str) -> None:
        self.dialect.receive(self, text)

    def may_be_idle(self) -> bool:
        return bool(self.topics)

    def say(self, text: str, kind: Kind, pair: str | None = None) -> None:
        """Sends a text frame unless a fault swallows it."""
        self._desk.deliver([self], kind, pair, text)

    def send(self, content: bytes, frames: int = 1) -> None:
        if not self._hushed:
            super().send(content, frames)

    def only_ping(self, interval: float) -> None:
        """From now on the protocol's pings alone are sent."""
        self._hushed = True
        while not self.wait_closed(interval):
            self.outbox.send(frame(Opcode.PING, b""))

    def drip(self, interval: float, length: int) -> None:
        """From now on one text frame is sent, a byte per interval."""
        self._hushed = True
        self.outbox.send(frame_head(Opcode.TEXT, length))
        for _ in range(length):
            if self.wait_closed(interval):
                return
            self.outbox.send(b" ")

    def subscribe(self, wishes: Sequence[Wish]) -> None:
        self.counters.asked_to_subscribe()
        self._desk.subscribe(self, wishes)

    def unsubscribe(self, channel: str, pair: Pair) -> bool:
        return self._desk.unsubscribe(self, (channel, pair.name))

    def follow_instruments(self, ack: str, snapshot: bool) -> None:
        self._desk.follow_instruments(self, ack, snapshot)

    def ping_received(self) -> None:
        self.counters.pinged()

    def start_heartbeats(self) -> None:
        if self._heart is None:
            self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            self._heart.start()

    def _beat(self) -> None:
        while not self._closed.wait(self._desk.heartbeat_seconds):
            self.say(self.dialect.heartbeat(), Kind.HEARTBEAT)
