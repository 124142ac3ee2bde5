"""Bytes of HTTP messages and WebSocket frames, server side."""

import json
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.frames import Opcode

_HEAD_LIMIT = 64 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names in lower case; `head` is the request line and headers as received."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    head: bytes

    @property
    def wants_websocket(self) -> bool:
        return self.headers.get("upgrade", "").lower() == "websocket"


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer. A body in pieces without Content-Length header is sent chunked."""

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Compact JSON, in the exchange's content type."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return Reply(body, status, {"Content-Type": "application/json", **(headers or {})})


def error_page(status: int, retry_after: int | None = None, *, as_date: bool = False) -> Reply:
    """Cloudflare's page; `retry_after` in seconds, told as a date if wanted."""
    body = b"<!DOCTYPE html><html><head><title>api.kraken.com</title></head><body>cloudflare</body></html>"
    headers = {"Content-Type": "text/html; charset=UTF-8"}
    if retry_after is not None:
        date = formatdate(time.time() + retry_after, usegmt=True)
        headers["Retry-After"] = date if as_date else str(retry_after)
    return Reply(body, status, headers)


class HangUp(Exception):
    """Close the TCP connection without an answer."""


class Refusal(Exception):
    """A request was not carried out; `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class RequestReader:
    """Requests of one connection, one after the other."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._buffer = b""

    def read(self) -> Request | None:
        """The next request; None when the peer closed or sent something that is not HTTP."""
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > _HEAD_LIMIT or not self._fill():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        parts = lines[0].split(" ")
        if len(parts) != 3:
            return None
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        body = self._read_body(int(headers.get("content-length", "0")))
        if body is None:
            return None
        target = urlsplit(parts[1])
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        return Request(parts[0], target.path, query, headers, body, head + b"\r\n\r\n")

    def rest(self) -> bytes:
        """What was received beyond the last request."""
        rest, self._buffer = self._buffer, b""
        return rest

    def _read_body(self, length: int) -> bytes | None:
        while len(self._buffer) < length:
            if not self._fill():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return body

    def _fill(self) -> bool:
        received = self._peer.recv(65536)
        self._buffer += received
        return bool(received)


def send_reply(peer: socket.socket, reply: Reply, *, with_body: bool = True) -> None:
    """Writes the whole answer; blocks until the peer has taken it. Raises OSError when the peer is gone."""
    headers = dict(reply.headers)
    whole = reply.body if isinstance(reply.body, bytes) else None
    chunked = whole is None and "Content-Length" not in headers
    if whole is not None:
        headers["Content-Length"] = str(len(whole))
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    head = _head(reply.status, headers)
    if not with_body or whole is not None:
        peer.sendall(head + (whole or b"" if with_body else b""))
        return
    peer.sendall(head)
    for piece in reply.body:
        assert isinstance(piece, bytes)
        peer.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    if chunked:
        peer.sendall(b"0\r\n\r\n")


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    reasons: dict[int, str] = {known.value: known.phrase for known in HTTPStatus}
    lines = [
        f"HTTP/1.1 {status} {reasons.get(status, 'Unknown')}",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def frame(opcode: Opcode, payload: bytes, *, final: bool = True) -> bytes:
    """One unmasked WebSocket frame (RFC 6455, 5.2)."""
    return frame_head(opcode, len(payload), final=final) + payload


def frame_head(opcode: Opcode, length: int, *, final: bool = True) -> bytes:
    """What comes before that many bytes."""
    first = (0x80 if final else 0) | opcode
    if length < 126:
        return struct.pack("!BB", first, length)
    if length < 65536:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)


def text_frame(text: str) -> bytes:
    return frame(Opcode.TEXT, text.encode())


def fragmented(opcode: Opcode, payload: bytes, count: int) -> bytes:
    """One message in `count` frames."""
    size = -(-len(payload) // count)
    pieces = [payload[start : start + size] for start in range(0, len(payload), size)] or [b""]
    last = len(pieces) - 1
    return b"".join(
        frame(opcode if number == 0 else Opcode.CONT, piece, final=number == last)
        for number, piece in enumerate(pieces)
    )


def compact(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))


def read_object(text: str) -> dict[str, Any]:
    """A client's JSON object; empty for anything else."""
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


def rfc3339(micros: int) -> str:
    """UTC with six decimals."""
    moment = _EPOCH + timedelta(microseconds=micros)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
