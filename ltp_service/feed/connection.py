"""One WebSocket connection: text out, text in, errors in our own words."""

import time
from collections.abc import Callable, Sequence
from socket import socket
from threading import Event
from typing import Protocol

import websocket
from websocket import ABNF

# websocket-client asks the kernel for two bytes, then two more, then the payload. Its frame reader
# offers no seam for a buffer or a size limit but this method.
from websocket._abnf import frame_buffer

from ltp_service.domain.errors import ExchangeError, NoText, Unreachable
from ltp_service.feed.dialing import Dialer, translate

MAX_MESSAGE = 4 * 1024 * 1024
"""Bytes; the largest honest frame (Kraken's list of 1,450 pairs) has nearly a megabyte."""

MAX_FRAGMENTS = 100
"""Pieces of one message."""

_READ_SIZE = 64 * 1024

_WHOLE_TEXT = 0x80 | ABNF.OPCODE_TEXT
"""First byte of a frame that is a message of its own, without extensions."""

_CONTROL_FRAMES = (ABNF.OPCODE_PING, ABNF.OPCODE_PONG)
"""The library answers them. They show that the other side lives, and do not count as frames of the feed."""


class Connection(Protocol):
    """What a collector needs of a connection."""

    def send(self, text: str) -> None:
        """Raises Unreachable."""

    def receive(self, at_most: int) -> Sequence[str]:
        """The text messages that arrived, in order. Empty when no message was whole within the polling interval.

        Slow bytes do not lengthen the interval, and pings are no message. Raises Unreachable when the connection is over,
        BadFrame for a message that is not text.
        """

    def close(self) -> None:
        """Ends it at once; never raises."""

    def abandon(self) -> None:
        """Closes this process's copy of a connection that another process uses; never raises."""


class WebSocketConnection:
    """A client connection over websocket-client."""

    def __init__(self, dialer: Dialer, stop: Event, *, poll_interval: float) -> None:
        """Connects. Raises Rejected, or Unreachable, also soon after `stop` is set."""
        opened, received = dialer.dial(stop)
        self._socket = _BufferedSocket(opened, received, poll_interval)
        self._url = dialer.url
        self._parts: list[bytes] = []
        self._parts_opcode = ABNF.OPCODE_TEXT

    def send(self, text: str) -> None:
        try:
            self._socket.send(text)
        except Exception as error:
            raise _translated(error, self._url) from error

    def receive(self, at_most: int) -> Sequence[str]:
        frames = self._socket.frame_buffer
        frames.deadline = None
        try:
            between_messages = frames.needs_header() and not self._parts
            if between_messages and (texts := frames.whole_texts(at_most)):
                return texts
            opcode, frame = self._socket.recv_data_frame(control_frame=True)
            while not frame.fin:
                self._keep(opcode, frame.data)
                opcode, frame = self._socket.recv_data_frame(control_frame=True)
        except websocket.WebSocketTimeoutException:
            return ()
        except ExchangeError:
            raise
        except Exception as error:
            raise _translated(error, self._url) from error
        if opcode in _CONTROL_FRAMES:
            return ()
        if opcode == ABNF.OPCODE_CLOSE:
            raise Unreachable(
                f"{self._url} closed the connection{_close_reason(frame.data)}", reason="closed"
            )
        if self._parts:
            self._keep(opcode, frame.data)
            opcode, data = self._parts_opcode, b"".join(self._parts)
            self._parts = []
            return (_text(opcode, data),)
        return (_text(opcode, frame.data),)

    def abandon(self) -> None:
        # This only closes. `abort` would tell the other side, and that would be the end for the other process, too.
        self._socket.shutdown()  # type: ignore[no-untyped-call]

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

    def __init__(self, receive: Callable[[int], bytes], received: bytes, poll_interval: float) -> None:
        super().__init__(receive, True)
        self._buffer = received
        self._at = 0
        self._poll_interval = poll_interval
        self.deadline: float | None = None
        """When the present look at the socket is over, in monotonic seconds. None begins a new look."""

    def recv_strict(self, bufsize: int) -> bytes:
        if bufsize > MAX_MESSAGE:
            raise websocket.WebSocketPayloadException(f"a frame of {bufsize} bytes")
        end = self._at + bufsize
        while end > len(self._buffer):
            self._check_deadline()
            self._buffer = self._buffer[self._at :] + self.recv(_READ_SIZE)
            self._at, end = 0, bufsize
        piece = self._buffer[self._at : end]
        self._at = end
        return piece

    def whole_texts(self, at_most: int) -> list[str]:
        """The plain text messages that come next, of less than 64 KiB and in one frame (RFC 6455, 5.2).

        It is called between two frames, and reads the socket once when nothing is left of the last read. A burst has
        hundreds of such messages, and the library needs several times as long for each. What is not plain is left
        to it. Raises as `recv` of the library does.
        """
        if self._at == len(self._buffer):
            self._check_deadline()
            self._buffer, self._at = self.recv(_READ_SIZE), 0
        read, at = self._buffer, self._at
        texts: list[str] = []
        while len(texts) < at_most and len(read) >= at + 4 and read[at] == _WHOLE_TEXT:
            length, begin = read[at + 1], at + 2
            if length > 125:
                if length != 126:
                    break
                length, begin = int.from_bytes(read[begin : at + 4]), at + 4
            end = begin + length
            if end > len(read):
                break
            try:
                texts.append(read[begin:end].decode())
            except UnicodeDecodeError:
                break
            at = end
        self._at = at
        return texts

    def _check_deadline(self) -> None:
        now = time.monotonic()
        if self.deadline is None:
            self.deadline = now + self._poll_interval
        elif now >= self.deadline:
            raise websocket.WebSocketTimeoutException("the frame is not whole yet")


class _BufferedSocket(websocket.WebSocket):
    """The library's framing on a socket that is open already."""

    def __init__(self, opened: socket, received: bytes, poll_interval: float) -> None:
        super().__init__(enable_multithread=False, fire_cont_frame=True, skip_utf8_validation=True)
        self.frame_buffer: _BufferedFrames = _BufferedFrames(self._recv, received, poll_interval)
        self.sock = opened
        self.connected = True
        self.settimeout(poll_interval)

    def send(self, payload: bytes | str, opcode: int = ABNF.OPCODE_TEXT) -> int:
        try:
            return super().send(payload, opcode)
        except websocket.WebSocketTimeoutException as error:
            # Half a frame may be out. A timeout would not tell: pongs are sent in `receive`, where it means silence.
            raise websocket.WebSocketConnectionClosedException("it does not read what is sent") from error


def _translated(error: Exception, url: str) -> Unreachable:
    """Any exception of the library, also one that it raises by mistake: it ends the connection, never the collector."""
    if isinstance(error, websocket.WebSocketPayloadException):
        return _too_large(url)
    if isinstance(error, websocket.WebSocketConnectionClosedException):
        return Unreachable(f"{url}: {error}", reason="closed")
    if isinstance(error, OSError):
        return translate(error, url)
    return Unreachable(f"{url}: {type(error).__name__}: {error}", reason="protocol")


def _too_large(url: str) -> Unreachable:
    return Unreachable(f"{url} sent a message of more than {MAX_MESSAGE} bytes", reason="too_large")


def _close_reason(data: bytes) -> str:
    if len(data) < 2:
        return ""
    return f" with code {int.from_bytes(data[:2])} {data[2:].decode('utf-8', 'replace')[:80]}".rstrip()


def _text(opcode: int, data: bytes) -> str:
    if opcode != ABNF.OPCODE_TEXT:
        raise NoText("a binary message", reason="binary", content=data)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NoText("text that is not UTF-8", reason="encoding", content=data) from None
