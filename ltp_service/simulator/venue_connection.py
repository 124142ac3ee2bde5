"""One WebSocket connection of a venue: its topics, parked acknowledgements, server pings, lifetime."""

import socket
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from websockets.frames import Frame, Opcode

from ltp_service.simulator import questions
from ltp_service.simulator.counters import Counters
from ltp_service.simulator.link import Link
from ltp_service.simulator.switches import Switches
from ltp_service.simulator.venue_dialect import Topic, VenueDialect
from ltp_service.simulator.wire import frame, text_frame

_COUNTED = (Opcode.TEXT, Opcode.PING, Opcode.PONG)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a venue treats its connections; times in seconds, None: never."""

    idle: float
    ping: float | None = None
    pong: float = 60.0
    lifetime: float | None = None
    messages_per_second: int | None = None


BYBIT_TERMS = Terms(idle=600.0)
BINANCE_TERMS = Terms(idle=180.0, ping=20.0, pong=60.0, lifetime=86_400.0, messages_per_second=5)


class VenueDesk(Protocol):
    """Where these connections take their subscriptions."""

    dialect: VenueDialect
    faults: Switches
    counters: Counters

    def entered(self, connection: "VenueConnection") -> None: ...

    def left(self, connection: "VenueConnection") -> None: ...

    def subscribe(self, connection: "VenueConnection", topics: Sequence[Topic], ack: str | None) -> None: ...

    def unsubscribe(self, connection: "VenueConnection", names: Sequence[str]) -> None: ...


class VenueConnection(Link):
    """A link that speaks a venue's dialect. The desk's lock guards `topics`."""

    def __init__(
        self, desk: VenueDesk, peer: socket.socket, connection_id: str, query: Mapping[str, str], terms: Terms
    ) -> None:
        super().__init__(peer, desk.counters, terms.idle)
        self.connection_id = connection_id
        self.topics: dict[str, Topic] = {}
        self._desk = desk
        self._query = query
        self._terms = terms
        self._parked: list[str] = []
        self._unanswered: float | None = None
        self._payload = b""
        self._inbound: deque[float] = deque(maxlen=(terms.messages_per_second or 0) + 1)

    def entering(self) -> None:
        self._desk.entered(self)

    def left(self) -> None:
        self._desk.left(self)

    def opened(self) -> None:
        for _ in self._desk.faults.ask(questions.when_opened, self):
            pass
        if self._terms.ping or self._terms.lifetime:
            threading.Thread(target=self._keep, name="keepalive", daemon=True).start()
        self._desk.dialect.opened(self, self._query)

    def take_text(self, text: str) -> None:
        self._desk.dialect.receive(self, text)

    def take_frame(self, event: Frame) -> None:
        if event.opcode in _COUNTED and self._exceeds_its_messages():
            self.cut("clean", 1008)
            return
        if event.opcode is Opcode.PONG and event.data == self._payload:
            self._unanswered = None
        super().take_frame(event)

    def may_be_idle(self) -> bool:
        return self._terms.ping is not None

    def subscribe(self, topics: Sequence[Topic], ack: str | None) -> None:
        self._desk.subscribe(self, topics, ack)

    def unsubscribe(self, names: Sequence[str]) -> None:
        self._desk.unsubscribe(self, names)

    def say(self, text: str) -> None:
        self.send(text_frame(text))

    def park(self, ack: str) -> None:
        """Keeps the acknowledgement until `release`, which the first data brings."""
        self._parked.append(ack)

    def release(self) -> None:
        while self._parked:
            self.say(self._parked.pop(0))

    def deliver(self, content: bytes, frames: int = 1) -> None:
        """Data; acknowledgements that waited for some come after it. Under the desk's lock."""
        self.send(content, frames)
        self.release()

    def _exceeds_its_messages(self) -> bool:
        if self._terms.messages_per_second is None:
            return False
        now = time.monotonic()
        self._inbound.append(now)
        return len(self._inbound) > self._terms.messages_per_second and now - self._inbound[0] < 1.0

    def _keep(self) -> None:
        """Pings, and ends the connection when a pong misses or its lifetime is over."""
        started = time.monotonic()
        next_ping = started + (self._terms.ping or 0)
        end = started + (self._terms.lifetime or 0)
        while not self.wait_closed(max(0.0, min(next_ping, end, self._pong_deadline()) - time.monotonic())):
            now = time.monotonic()
            if now >= self._pong_deadline():
                self.cut()
            elif now >= end:
                self.cut("clean", 1001)
            elif now >= next_ping:
                next_ping = now + (self._terms.ping or 0)
                self._ping(now)

    def _pong_deadline(self) -> float:
        unanswered = self._unanswered
        return float("inf") if unanswered is None else unanswered + self._terms.pong

    def _ping(self, now: float) -> None:
        self._payload = str(time.time_ns() // 1_000_000).encode()
        if self._unanswered is None:
            self._unanswered = now
        self.outbox.send(frame(Opcode.PING, self._payload))
