"""The WebSocket connection of one client: handshake, frames in, bytes out, what keeps it alive, how it ends."""

import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from ltp_service.simulator.dialect import Dialect, Topic
from ltp_service.simulator.outbox import Outbox
from ltp_service.simulator.questions import Kind, Outgoing, handshake_headers, when_opened
from ltp_service.simulator.wire import Request, frame, frame_head, text_frame

if TYPE_CHECKING:
    from ltp_service.simulator.exchange import Exchange

CLOSE_SECONDS = 2.0
_COUNTED = (Opcode.TEXT, Opcode.PING, Opcode.PONG)

Language = TypeVar("Language", bound=Dialect)


@dataclass(frozen=True, slots=True)
class Terms:
    """How an exchange treats its connections; times in seconds, None: never."""

    idle: float
    """A client that says nothing for so long is dropped, unless it is pinged,"""
    idle_subscribed: bool = False
    """or has subscribed to something, where that is enough."""
    heartbeat: float = 1.0
    ping: float | None = None
    pong: float = 60.0
    lifetime: float | None = None
    messages_per_second: int | None = None


class Connection(Generic[Language]):
    """Served by one thread; any thread may send. The exchange's lock guards `topics`."""

    def __init__(
        self, exchange: "Exchange[Any]", dialect: Language, peer: socket.socket, connection_id: int | str
    ) -> None:
        self.dialect = dialect
        self.connection_id = connection_id
        self.counters = exchange.counters
        self.topics: dict[str, Topic] = {}
        self.outbox = Outbox(peer)
        self._exchange = exchange
        self._terms = exchange.terms
        self._peer = peer
        self._protocol = ServerProtocol(max_size=2**20)
        self._message = b""
        self._parked: list[str] = []
        self._hushed = False
        self._beats = False
        self._payload = b""
        self._unanswered: float | None = None
        self._inbound: deque[float] = deque(maxlen=(self._terms.messages_per_second or 0) + 1)
        self._thawed = threading.Event()
        self._thawed.set()
        self._closed = threading.Event()
        self._closing = False
        self._leaving = threading.Lock()
        self._ending = threading.Lock()
        """Held until the close frame is on its way, because the reading thread ends as soon as the connection has left."""

    def serve(self, request: Request, rest: bytes) -> None:
        """Runs the connection to its end; `request` is the handshake, `rest` what came after it."""
        self._exchange.entered(self)
        try:
            self._thawed.wait()
            if self._shake_hands(request):
                self._open(request.query)
                self._read(rest)
        finally:
            with self._ending:
                self.leave()
                self.outbox.close()

    def say(self, text: str, kind: Kind = Kind.ACK, pair: str | None = None) -> None:
        """Sends a text frame unless a fault swallows it."""
        self._exchange.deliver([self], Outgoing(kind, pair, (text,), self._exchange.market.now()))

    def send(self, content: bytes, frames: int = 1) -> None:
        """Sends bytes as they are, past all faults but those that hold a connection."""
        if not self._hushed:
            self.counters.sent(frames)
            self.outbox.send(content)

    def park(self, ack: str) -> None:
        """Keeps the acknowledgement until `release`, which the first data brings."""
        self._parked.append(ack)

    def release(self) -> None:
        while self._parked:
            self.send(text_frame(self._parked.pop(0)))

    def start_heartbeats(self) -> None:
        if not self._beats:
            self._beats = True
            threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

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

    def freeze(self, frozen: bool) -> None:
        self.outbox.hold(frozen)
        if frozen:
            self._thawed.clear()
        else:
            self._thawed.set()

    def cut(self, how: str = "abrupt", code: int = 1000) -> None:
        """Ends the connection: `clean` with a close frame, `abrupt` with a bare FIN, `reset` with a RST."""
        with self._ending:
            self._end(how, code)

    def _end(self, how: str, code: int) -> None:
        self.leave()
        self._closing = True
        if how == "clean":
            self.outbox.send(frame(Opcode.CLOSE, struct.pack("!H", code)))
            self.outbox.wait_until_below(1, CLOSE_SECONDS)
            self._shut(socket.SHUT_WR)
            return
        if how == "reset":
            self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.outbox.close()
        self._shut(socket.SHUT_RD if how == "reset" else socket.SHUT_RDWR)

    def leave(self) -> None:
        """Takes the connection off the books; it may still be closing."""
        if self._leaving.acquire(blocking=False):
            self._closed.set()
            self._thawed.set()
            self._exchange.left(self)

    def wait_closed(self, timeout: float) -> bool:
        """True once the connection ended, False after `timeout` seconds."""
        return self._closed.wait(timeout)

    def _shake_hands(self, request: Request) -> bool:
        self._protocol.receive_data(request.head)
        for event in self._protocol.events_received():
            if isinstance(event, Handshake):
                response = self._protocol.accept(event)
                for headers in self._exchange.faults.ask(handshake_headers, request):
                    response.headers.update(headers)
                self._protocol.send_response(response)
        self._flush_protocol()
        return self._protocol.handshake_exc is None and not self._closed.is_set()

    def _open(self, query: Mapping[str, str]) -> None:
        self.dialect.opened(self, query)
        for _ in self._exchange.faults.ask(when_opened, self):
            pass
        if self._terms.ping or self._terms.lifetime:
            threading.Thread(target=self._keep, name="keepalive", daemon=True).start()

    def _read(self, received: bytes) -> None:
        while True:
            if received and not self._take(received):
                return
            if not self._wait_for_bytes():
                return
            received = self._peer.recv(65536)
            if not received:
                return
            self._thawed.wait()

    def _take(self, received: bytes) -> bool:
        try:
            self._protocol.receive_data(received)
        except ProtocolError:
            return False
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take_frame(event)
        return self._flush_protocol()

    def _take_frame(self, event: Frame) -> None:
        """Pings are answered already."""
        if event.opcode in _COUNTED and self._exceeds_its_messages():
            self.cut("clean", 1008)
            return
        if event.opcode is Opcode.PING:
            self.counters.pinged()
        if event.opcode is Opcode.PONG:
            self.counters.ponged()
            if event.data == self._payload:
                self._unanswered = None
        if event.opcode not in (Opcode.TEXT, Opcode.CONT):
            return
        self._message += event.data
        if event.fin:
            message, self._message = self._message, b""
            self.dialect.receive(self, message.decode("utf-8", "replace"))

    def _exceeds_its_messages(self) -> bool:
        if self._terms.messages_per_second is None:
            return False
        now = time.monotonic()
        self._inbound.append(now)
        return len(self._inbound) > self._terms.messages_per_second and now - self._inbound[0] < 1.0

    def _flush_protocol(self) -> bool:
        for piece in self._protocol.data_to_send():
            if not piece:
                return False
            self.outbox.send(piece)
        return True

    def _wait_for_bytes(self) -> bool:
        """False when the peer is idle for too long, or after our close frame."""
        poll = select.poll()
        poll.register(self._peer, select.POLLIN)
        while not poll.poll((CLOSE_SECONDS if self._closing else self._terms.idle) * 1000):
            if self._closing or not (self._terms.ping or (self._terms.idle_subscribed and self.topics)):
                return False
        return True

    def _beat(self) -> None:
        while not self.wait_closed(self._terms.heartbeat):
            self.dialect.beat(self)

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

    def _shut(self, how: int) -> None:
        try:
            self._peer.shutdown(how)
        except OSError:
            self._closing = True
