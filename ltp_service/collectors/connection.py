"""One WebSocket connection: text out, text in, errors in our own words."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from socket import SHUT_RDWR
from threading import Timer
from typing import Any, Protocol

import websocket
from websocket import ABNF

# websocket-client asks the kernel for two bytes, then two more, then the payload. Its frame reader
# offers no seam for a buffer or a size limit but this method.
from websocket._abnf import frame_buffer

from ltp_service.errors import BadFrame, Rejected, Unreachable

MAX_MESSAGE = 1024 * 1024
"""Bytes; the largest honest frame (a full order book) has some 200 kB."""

MAX_FRAGMENTS = 100
"""Pieces of one message."""

_READ_SIZE = 64 * 1024


class Connection(Protocol):
    """What a collector needs of a connection."""

    def send(self, text: str) -> None:
        """Raises Unreachable."""

    def receive(self) -> str | None:
        """The next text message, or None when none came within the polling interval.

        Raises Unreachable when the connection is over, BadFrame for a message that is not text.
        """

    def close(self) -> None:
        """Ends it at once; never raises."""


class WebSocketConnection:
    """A client connection over websocket-client."""

    def __init__(self, url: str, *, connect_timeout: float, poll_interval: float) -> None:
        with _mapped(url):
            self._socket = websocket.create_connection(
                url,
                timeout=connect_timeout,
                class_=_BufferedSocket,
                skip_utf8_validation=True,
                enable_multithread=False,
                fire_cont_frame=True,
                redirect_limit=0,
                http_no_proxy=["*"],
                suppress_origin=True,
                sslopt={"context": _trust()} if url.startswith("wss:") else None,
            )
            self._socket.settimeout(poll_interval)
        self._url = url
        self._parts: list[bytes] = []
        self._parts_opcode = ABNF.OPCODE_TEXT

    def send(self, text: str) -> None:
        with _mapped(self._url):
            self._socket.send(text)

    def receive(self) -> str | None:
        try:
            opcode, frame = self._socket.recv_data_frame()
            while not frame.fin:
                self._keep(opcode, frame.data)
                opcode, frame = self._socket.recv_data_frame()
        except websocket.WebSocketTimeoutException:
            return None
        except (OSError, websocket.WebSocketException) as error:
            raise _translate(error, self._url) from error
        if opcode == ABNF.OPCODE_CLOSE:
            raise Unreachable(
                f"{self._url} closed the connection{_close_reason(frame.data)}", reason="closed"
            )
        if self._parts:
            self._keep(opcode, frame.data)
            opcode, data = self._parts_opcode, b"".join(self._parts)
            self._parts = []
            return _text(opcode, data)
        return _text(opcode, frame.data)

    def close(self) -> None:
        self._socket.abort()  # type: ignore[no-untyped-call]
        self._socket.shutdown()  # type: ignore[no-untyped-call]

    def _keep(self, opcode: int, data: bytes) -> None:
        if not self._parts:
            self._parts_opcode = opcode
        self._parts.append(data)
        if len(self._parts) > MAX_FRAGMENTS or sum(map(len, self._parts)) > MAX_MESSAGE:
            raise _too_large(self._url)


class _BufferedFrames(frame_buffer):
    """Frames cut from large reads. A timeout in the middle of a frame loses nothing."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._read = b""
        self._at = 0

    def recv_strict(self, bufsize: int) -> bytes:
        if bufsize > MAX_MESSAGE:
            raise websocket.WebSocketPayloadException(f"a frame of {bufsize} bytes")
        end = self._at + bufsize
        while end > len(self._read):
            self._read = self._read[self._at :] + self.recv(_READ_SIZE)
            self._at, end = 0, bufsize
        piece = self._read[self._at : end]
        self._at = end
        return piece


class _BufferedSocket(websocket.WebSocket):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.frame_buffer = _BufferedFrames(self._recv, True)

    def connect(self, url: str, **options: Any) -> None:
        # The timeout of a socket bounds each read, and the handshake reads byte by byte.
        watchdog = Timer(self.gettimeout() or 0, self._give_up)
        watchdog.daemon = True
        watchdog.start()
        try:
            super().connect(url, **options)  # type: ignore[no-untyped-call]
        finally:
            watchdog.cancel()

    def _give_up(self) -> None:
        socket = self.sock
        if socket is not None:
            with suppress(OSError):  # it may end by itself at this very moment
                socket.shutdown(SHUT_RDWR)


@cache
def _trust() -> ssl.SSLContext:
    """The public authorities. Reading them takes 40 ms in which nobody else gets a turn: once is enough."""
    return ssl.create_default_context()


@contextmanager
def _mapped(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, websocket.WebSocketException) as error:
        raise _translate(error, url) from error


def _translate(error: Exception, url: str) -> Unreachable | Rejected:
    if isinstance(error, websocket.WebSocketBadStatusException):
        return _refused_handshake(error, url)
    if isinstance(error, websocket.WebSocketPayloadException):
        return _too_large(url)
    return Unreachable(f"{url}: {str(error) or type(error).__name__}", reason=_reason(error))


def _reason(error: Exception) -> str:
    known: tuple[tuple[type[Exception], str], ...] = (
        (websocket.WebSocketTimeoutException, "timeout"),
        (TimeoutError, "timeout"),
        (websocket.WebSocketAddressException, "name_resolution"),
        (websocket.WebSocketConnectionClosedException, "closed"),
        (websocket.WebSocketException, "protocol"),
        (ssl.SSLError, "tls"),
        (ConnectionRefusedError, "refused"),
    )
    return next((reason for kind, reason in known if isinstance(error, kind)), "network")


def _refused_handshake(error: websocket.WebSocketBadStatusException, url: str) -> Unreachable | Rejected:
    status = error.status_code
    text = f"{url} answered the handshake with HTTP {status}"
    if status == 451:
        return Rejected(f"{text}: not available from this location", reason="restricted_location")
    retry_after = (error.resp_headers or {}).get("retry-after", "")
    # Refused by the exchange's edge: staying away for a minute is the least that ends it.
    wait = max(60.0, float(retry_after) if retry_after.isdecimal() else 0.0) if status in (403, 429) else None
    return Unreachable(text, reason="handshake_status", retry_after=wait)


def _too_large(url: str) -> Unreachable:
    return Unreachable(f"{url} sent a message of more than {MAX_MESSAGE} bytes", reason="too_large")


def _close_reason(data: bytes) -> str:
    if len(data) < 2:
        return ""
    return f" with code {int.from_bytes(data[:2])} {data[2:].decode('utf-8', 'replace')[:80]}".rstrip()


def _text(opcode: int, data: bytes) -> str:
    if opcode != ABNF.OPCODE_TEXT:
        raise BadFrame("a binary message", reason="binary")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadFrame("text that is not UTF-8", reason="encoding") from None
