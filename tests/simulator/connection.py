"""One WebSocket connection: handshake, frames in, frames out, heartbeats."""

import select
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Protocol

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from tests.simulator import faults
from tests.simulator.counters import Counters
from tests.simulator.dialect import Dialect, Wish
from tests.simulator.faults import Faults, Kind, Outgoing
from tests.simulator.market import Pair
from tests.simulator.outbox import Outbox
from tests.simulator.wire import frame, text_frame

IDLE_SECONDS = 60.0
CLOSE_SECONDS = 2.0

Topic = tuple[str, str]


class Desk(Protocol):
    """Where connections take their subscriptions."""

    faults: Faults
    counters: Counters
    heartbeat_seconds: float

    @property
    def system(self) -> str: ...

    @property
    def greets(self) -> bool: ...

    def subscribe(self, connection: "Connection", wishes: Sequence[Wish]) -> None: ...

    def unsubscribe(self, connection: "Connection", topic: Topic) -> bool: ...

    def entered(self, connection: "Connection") -> None: ...

    def left(self, connection: "Connection") -> None: ...


class Connection:
    """Served by one thread; any thread may send."""

    def __init__(self, desk: Desk, peer: socket.socket, dialect: Dialect, connection_id: int) -> None:
        self.dialect = dialect
        self.connection_id = connection_id
        self.topics: set[Topic] = set()
        self.outbox = Outbox(peer)
        self._desk = desk
        self._peer = peer
        self._protocol = ServerProtocol(max_size=2**20)
        self._message = b""
        self._thawed = threading.Event()
        self._thawed.set()
        self._closed = threading.Event()
        self._closing = False
        self._leaving = threading.Lock()
        self._heart: threading.Thread | None = None

    def serve(self, head: bytes, rest: bytes) -> None:
        """Runs the connection to its end; `head` is the handshake request, `rest` what came after it."""
        self._desk.entered(self)
        try:
            self._thawed.wait()
            if self._shake_hands(head):
                self._open()
                self._read(rest)
        finally:
            self.leave()
            self.outbox.close()

    def say(self, text: str, kind: Kind, pair: str | None = None) -> None:
        """Sends a text frame unless a fault swallows it."""
        if self._desk.faults.let_pass(Outgoing(kind, pair)):
            self.send(text_frame(text))

    def send(self, content: bytes, frames: int = 1) -> None:
        """Sends bytes as they are, past all faults but `freeze`."""
        self._desk.counters.sent(frames)
        self.outbox.send(content)

    def subscribe(self, wishes: Sequence[Wish]) -> None:
        self._desk.counters.asked_to_subscribe()
        self._desk.subscribe(self, wishes)

    def unsubscribe(self, channel: str, pair: Pair) -> bool:
        return self._desk.unsubscribe(self, (channel, pair.name))

    def ping_received(self) -> None:
        self._desk.counters.pinged()

    def freeze(self, frozen: bool) -> None:
        self.outbox.hold(frozen)
        if frozen:
            self._thawed.clear()
        else:
            self._thawed.set()

    def start_heartbeats(self) -> None:
        if self._heart is None:
            self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            self._heart.start()

    def cut(self, how: str = "abrupt", code: int = 1000) -> None:
        """Ends the connection: `clean` with a close frame, `abrupt` with a bare FIN, `reset` with a RST."""
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
            self._desk.left(self)

    def wait_closed(self, timeout: float) -> bool:
        """True once the connection ended, False after `timeout` seconds."""
        return self._closed.wait(timeout)

    def _shake_hands(self, head: bytes) -> bool:
        self._protocol.receive_data(head)
        for event in self._protocol.events_received():
            if isinstance(event, Handshake):
                self._protocol.send_response(self._protocol.accept(event))
        self._flush_protocol()
        return self._protocol.handshake_exc is None and not self._closed.is_set()

    def _open(self) -> None:
        if self._desk.greets:
            self.say(self.dialect.status(self._desk.system, self.connection_id), Kind.STATUS)
        for _ in self._desk.faults.ask(faults.when_opened, self):
            pass

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
        if event.opcode is Opcode.PING:
            self.ping_received()
        if event.opcode not in (Opcode.TEXT, Opcode.CONT):
            return
        self._message += event.data
        if event.fin:
            message, self._message = self._message, b""
            self.dialect.receive(self, message.decode("utf-8", "replace"))

    def _flush_protocol(self) -> bool:
        for piece in self._protocol.data_to_send():
            if not piece:
                return False
            self.outbox.send(piece)
        return True

    def _wait_for_bytes(self) -> bool:
        """False when the peer is idle for too long: without a subscription, or after our close frame."""
        poll = select.poll()
        poll.register(self._peer, select.POLLIN)
        while not poll.poll((CLOSE_SECONDS if self._closing else IDLE_SECONDS) * 1000):
            if self._closing or not self.topics:
                return False
        return True

    def _beat(self) -> None:
        while not self._closed.wait(self._desk.heartbeat_seconds):
            self.say(self.dialect.heartbeat(), Kind.HEARTBEAT)

    def _shut(self, how: int) -> None:
        try:
            self._peer.shutdown(how)
        except OSError:
            self._closing = True
