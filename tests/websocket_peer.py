"""The other end of a WebSocket, down to the bytes: sends what no library would."""

import socket
import struct
import threading
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from typing import Self

from tests.deadline import DEADLINE

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Conversation = Callable[[socket.socket], None]


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True, length: int | None = None) -> bytes:
    """One frame; `length` is what its header claims, if not the truth."""
    size = len(payload) if length is None else length
    first = opcode | (0x80 if final else 0)
    if size < 126:
        header = struct.pack("!BB", first, size)
    elif size < 65536:
        header = struct.pack("!BBH", first, 126, size)
    else:
        header = struct.pack("!BBQ", first, 127, size)
    return header + payload


def read_request(peer: socket.socket) -> bytes:
    """The client's HTTP request up to its empty line."""
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        if not (piece := peer.recv(4096)):
            break
        request += piece
    return request


def upgrade_answer(request: bytes, headers: bytes = b"") -> bytes:
    """Accepts this request; `headers` are added to the necessary ones."""
    key = next(
        line.partition(b":")[2].strip()
        for line in request.splitlines()
        if line.lower().startswith(b"sec-websocket-key")
    )
    accept = b64encode(sha1(key + _GUID).digest())  # noqa: S324 - RFC 6455 wants it
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n" + headers + b"\r\n"
    )


def shake_hands(peer: socket.socket) -> None:
    """Accepts the upgrade."""
    peer.sendall(upgrade_answer(read_request(peer)))


class Peer:
    """Listens on loopback and holds one `conversation` with the first client; then hangs up."""

    def __init__(self, conversation: Conversation, *, handshake: bool = True) -> None:
        self._conversation = conversation
        self._handshake = handshake
        self.listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that still waits for a client
        self.listener.close()
        self._thread.join(DEADLINE)

    def _run(self) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError:
            return  # closed before a client came
        with client:
            try:
                if self._handshake:
                    shake_hands(client)
                self._conversation(client)
            except OSError:
                return  # the client left first, as some tests want it to
