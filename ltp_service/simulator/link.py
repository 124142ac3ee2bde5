"""The socket of one WebSocket client: handshake, frames in, bytes out, how it ends."""

import select
import socket
import struct
import threading
from abc import ABC, abstractmethod

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from ltp_service.simulator.counters import Counters
from ltp_service.simulator.outbox import Outbox
from ltp_service.simulator.wire import frame

CLOSE_SECONDS = 2.0


class Link(ABC):
    """Served by one thread; any thread may send."""

    def __init__(self, peer: socket.socket, counters: Counters, idle_seconds: float) -> None:
        """A client that is silent for `idle_seconds` is dropped, unless `may_be_idle`."""
        self.outbox = Outbox(peer)
        self.counters = counters
        self._idle_seconds = idle_seconds
        self._peer = peer
        self._protocol = ServerProtocol(max_size=2**20)
        self._message = b""
        self._thawed = threading.Event()
        self._thawed.set()
        self._closed = threading.Event()
        self._closing = False
        self._leaving = threading.Lock()
        self.handshake_headers: list[tuple[str, str]] = []

    @abstractmethod
    def entering(self) -> None:
        """Puts the link on the books, before the handshake."""

    @abstractmethod
    def left(self) -> None:
        """Takes the link off the books; called once."""

    @abstractmethod
    def opened(self) -> None:
        """The handshake is done."""

    @abstractmethod
    def take_text(self, text: str) -> None:
        """One whole message of the client."""

    @abstractmethod
    def may_be_idle(self) -> bool:
        """Whether the client may stay silent for longer."""

    def take_frame(self, event: Frame) -> None:
        """One frame of the client; pings are answered already."""
        if event.opcode is Opcode.PING:
            self.counters.pinged()
        if event.opcode is Opcode.PONG:
            self.counters.ponged()
        if event.opcode not in (Opcode.TEXT, Opcode.CONT):
            return
        self._message += event.data
        if event.fin:
            message, self._message = self._message, b""
            self.take_text(message.decode("utf-8", "replace"))

    def serve(self, head: bytes, rest: bytes) -> None:
        """Runs the link to its end; `head` is the handshake request, `rest` what came after it."""
        self.entering()
        try:
            self._thawed.wait()
            if self._shake_hands(head):
                self.opened()
                self._read(rest)
        finally:
            self.leave()
            self.outbox.close()

    def send(self, content: bytes, frames: int = 1) -> None:
        """Sends bytes as they are, past all faults but those that hold a link."""
        self.counters.sent(frames)
        self.outbox.send(content)

    def freeze(self, frozen: bool) -> None:
        self.outbox.hold(frozen)
        if frozen:
            self._thawed.clear()
        else:
            self._thawed.set()

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
            self.left()

    def wait_closed(self, timeout: float) -> bool:
        """True once the connection ended, False after `timeout` seconds."""
        return self._closed.wait(timeout)

    def _shake_hands(self, head: bytes) -> bool:
        self._protocol.receive_data(head)
        for event in self._protocol.events_received():
            if isinstance(event, Handshake):
                response = self._protocol.accept(event)
                for name, value in self.handshake_headers:
                    response.headers[name] = value
                self._protocol.send_response(response)
        self._flush_protocol()
        return self._protocol.handshake_exc is None and not self._closed.is_set()

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
                self.take_frame(event)
        return self._flush_protocol()

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
        while not poll.poll((CLOSE_SECONDS if self._closing else self._idle_seconds) * 1000):
            if self._closing or not self.may_be_idle():
                return False
        return True

    def _shut(self, how: int) -> None:
        try:
            self._peer.shutdown(how)
        except OSError:
            self._closing = True
