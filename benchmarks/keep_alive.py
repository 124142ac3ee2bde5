"""A client of one connection and one question, with nothing in the way of the clock."""

import re
import socket
from types import TracebackType
from typing import Self

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BODILESS = (b"204", b"304")
"""Whatever length they announce: a 304's is that of the answer it stands for (RFC 9110, 8.6)."""

_READ_SIZE = 65_536


def request(path: str, headers: dict[str, str]) -> bytes:
    """A GET as bytes."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_length(received: bytes) -> int | None:
    """Bytes of the whole answer; None while its header is not complete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    if received[9:12] in _BODILESS:
        return end + 4
    length = _LENGTH.search(received, 0, end + 2)
    return end + 4 + (int(length[1]) if length else 0)


class KeepAlive:
    """Asks again and again. Raises OSError when the server is not there or hangs up."""

    def __init__(self, port: int, path: str, headers: dict[str, str] | None = None) -> None:
        self._request = request(path, headers or {})
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str | None = None) -> tuple[int, bytes]:
        """Status and body of the next answer; another path than usual may be asked for."""
        header, body = self._exchange(request(path, {}) if path else self._request)
        return int(header[9:12]), body

    def header(self, name: str) -> str | None:
        """A header of the next answer."""
        found = re.search(rf"\r\n{name}: *([^\r]*)".encode(), self._exchange(self._request)[0], re.IGNORECASE)
        return found[1].decode() if found else None

    def _exchange(self, question: bytes) -> tuple[bytes, bytes]:
        self._socket.sendall(question)
        received = b""
        while (length := answer_length(received)) is None or len(received) < length:
            piece = self._socket.recv(_READ_SIZE)
            if not piece:
                raise ConnectionResetError("the server closed the connection")
            received += piece
        header, _, body = received.partition(b"\r\n\r\n")
        return header, body

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
