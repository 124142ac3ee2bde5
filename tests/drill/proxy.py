"""A TCP proxy on loopback that does to a connection what networks do: freeze, delay, cut, corrupt; with TLS on demand."""

import contextlib
import socket
import ssl
import struct
import threading
import time
from types import TracebackType
from typing import Self

_PIECE = 64 * 1024
_HANDSHAKE_SECONDS = 5.0
_EVENT = b"event: "
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Everything that arrives at `port` goes to `target`, and back. Use as a context manager; safe from any thread."""

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = target
        self._tls = tls
        self._flowing = threading.Event()
        self._flowing.set()
        self._never = threading.Event()
        self._delay = 0.0
        self._corrupt = False
        self._refuse = False
        self._forbid = False
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        """TCP connections so far."""
        self.passed = 0
        """Of them those that reached the target: TLS and all."""
        self.events: list[float] = []
        """Monotonic moments at which events of a stream went from the target to the client."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flowing.set()
        self.cut()

    def freeze(self, frozen: bool = True) -> None:
        """Nothing passes in either direction, and nothing is closed: a half-open connection."""
        self._flowing.clear() if frozen else self._flowing.set()

    def delay(self, seconds: float) -> None:
        """Each piece comes that much later."""
        self._delay = seconds

    def corrupt(self, on: bool = True) -> None:
        """Every seventh byte towards the service becomes 0xFF, which is part of no number."""
        self._corrupt = on

    def refuse(self, on: bool = True) -> None:
        """New connections are reset at once."""
        self._refuse = on

    def forbid(self, on: bool = True) -> None:
        """New connections are answered with 403, as an exchange does that refuses this address."""
        self._forbid = on

    def show(self, tls: ssl.SSLContext) -> None:
        """New connections see another certificate."""
        self._tls = tls

    def cut(self) -> None:
        """Resets every connection."""
        with self._lock:
            open_sockets = list(self._sockets)
        for each in open_sockets:
            _reset(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self._refuse:
                _reset(client)
                client.close()
            else:
                threading.Thread(target=self._serve, args=(client,), name="proxied", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._flowing.wait()
        if self._forbid:
            _turn_away(client)
            return
        with (
            contextlib.suppress(OSError),
            self._secured(client) as near,
            socket.create_connection(("127.0.0.1", self._target)) as far,
        ):
            self.passed += 1
            self._join(near, far)

    def _join(self, near: socket.socket, far: socket.socket) -> None:
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._sockets |= {near, far}
        up = threading.Thread(target=self._pump, args=(near, far, False), daemon=True)
        up.start()
        self._pump(far, near, True)
        up.join()
        with self._lock:
            self._sockets -= {near, far}

    def _secured(self, client: socket.socket) -> socket.socket:
        if self._tls is None:
            return client
        client.settimeout(_HANDSHAKE_SECONDS)
        secured = self._tls.wrap_socket(client, server_side=True)
        secured.settimeout(None)
        return secured

    def _pump(self, source: socket.socket, sink: socket.socket, towards_service: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                self._flowing.wait()
                if self._delay:
                    self._never.wait(self._delay)
                if towards_service and _EVENT in piece:
                    self.events.append(time.monotonic())
                sink.sendall(_spoilt(piece) if self._corrupt and towards_service else piece)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _spoilt(piece: bytes) -> bytes:
    spoilt = bytearray(piece)
    spoilt[::7] = b"\xff" * len(spoilt[::7])
    return bytes(spoilt)


def _turn_away(client: socket.socket) -> None:
    """Answers what was asked; nothing of it may be left unread, or the answer gets lost."""
    with client, contextlib.suppress(OSError):
        client.settimeout(_HANDSHAKE_SECONDS)
        client.recv(_PIECE)
        client.sendall(_FORBIDDEN)


def _reset(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        each.shutdown(socket.SHUT_RDWR)
