"""A client of a stream that reads bytes as they come."""

import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Self

from tests.deadline import DEADLINE
from tests.streams.room import Event, read_events


class Stream:
    """An open stream. `head` is what came before the first event."""

    def __init__(
        self,
        port: int,
        path: str = "/api/v1/stream",
        headers: Mapping[str, str] | None = None,
        *,
        address: str = "127.0.0.1",
        protocol: str = "HTTP/1.1",
        buffer: int | None = None,
    ) -> None:
        """`buffer` is how many bytes the system keeps for a client that does not read."""
        self._socket = socket.socket()
        self._socket.settimeout(DEADLINE)
        if buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.bind((address, 0))
        self._socket.connect(("127.0.0.1", port))
        lines = [
            f"GET {path} {protocol}",
            "Host: x",
            *(f"{name}: {text}" for name, text in (headers or {}).items()),
        ]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._received = b""
        self._events: deque[Event] = deque()
        while b"\r\n\r\n" not in self._received:
            if not self._read():
                break
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        self.head = head.decode()
        self.last_id = ""

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def event(self) -> Event | None:
        """The next event; None when the connection has ended. Raises TimeoutError."""
        while not self._events:
            whole, end, rest = self._received.rpartition(b"\n\n")
            if end:
                self._events.extend(read_events(whole + end))
                self._received = rest
            elif not self._read():
                assert not self._received, f"cut: {self._received!r}"
                return None
        event = self._events.popleft()
        self.last_id = event.id
        return event

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The first event that is wanted; fails when the connection ends or time is over."""
        ends_at = time.monotonic() + DEADLINE
        while (event := self.event()) is not None and time.monotonic() < ends_at:
            if wanted(event):
                return event
        raise AssertionError(f"it did not come; the last event was {event}")

    def named(self, name: str) -> Event:
        """The first event of that name."""
        return self.until(lambda event: event.name == name)

    def _read(self) -> bool:
        piece = self._socket.recv(65536)
        self._received += piece
        return bool(piece)
