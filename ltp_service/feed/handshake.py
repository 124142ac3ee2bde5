"""The two HTTP exchanges that come before a WebSocket's first frame: a proxy's CONNECT and the upgrade; pure.

Source: RFC 6455 section 4, RFC 9110 section 9.3.6
"""

from base64 import b64encode
from hashlib import sha1
from typing import NamedTuple
from urllib.parse import SplitResult

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of one answer's status line and headers."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Answer(NamedTuple):
    """The head of an HTTP answer. Names of headers in lower case; a repeated one joined by commas."""

    status: int
    headers: dict[str, str]


def connect_request(host: str, port: int, credentials: tuple[str, str] | None) -> bytes:
    """Asks a proxy for a tunnel to `host`."""
    address = f"{_bracketed(host)}:{port}"
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    if credentials is not None:
        token = b64encode(":".join(credentials).encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {token}")
    return _head(lines)


def upgrade_request(url: SplitResult, key: str) -> bytes:
    """Asks the host of `url` to speak WebSocket; `key` is 16 random bytes in base64."""
    resource = (url.path or "/") + (f"?{url.query}" if url.query else "")
    port = f":{url.port}" if url.port not in (None, 80, 443) else ""
    return _head(
        [
            f"GET {resource} HTTP/1.1",
            f"Host: {_bracketed(url.hostname or '')}{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
    )


def read_head(received: bytes) -> tuple[Answer, bytes] | None:
    """The answer and what came after it; None until it is whole. Raises ValueError for what is no HTTP."""
    if not received.startswith(b"HTTP/"[: len(received)]):
        raise ValueError(f"it does not speak HTTP: {received[:40]!r}")
    head, separator, rest = received.partition(b"\r\n\r\n")
    if not separator:
        head, separator, rest = received.partition(b"\n\n")
    if separator:
        return _read_answer(head.decode("latin-1")), rest
    if len(received) > MAX_HEAD_BYTES:
        raise ValueError(f"an answer's head of more than {MAX_HEAD_BYTES} bytes")
    return None


def accepts(answer: Answer, key: str) -> bool:
    """Whether the answer to an upgrade with `key` opens a WebSocket."""
    accept = b64encode(sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324 - RFC 6455 wants it
    return (
        answer.status == 101
        and "websocket" in _words(answer.headers.get("upgrade", ""))
        and "upgrade" in _words(answer.headers.get("connection", ""))
        and answer.headers.get("sec-websocket-accept") == accept
    )


def _read_answer(head: str) -> Answer:
    first, *lines = head.split("\n")
    _, _, rest = first.partition(" ")
    code = rest.strip()[:3]
    if not (len(code) == 3 and code.isascii() and code.isdecimal()):
        raise ValueError(f"no HTTP status in {first[:40]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Answer(int(code), headers)


def _words(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",")]


def _head(lines: list[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
