"""Sends a complete answer in one system call, head and body together.

Through WSGI gunicorn checks each header, sends the head and then the body, which is a fifth of the time of a ready
answer (measured). Only this module knows how gunicorn answers. With another server, or an unusual answer, it uses
PEP 3333; the client gets the same answer in both ways.
"""

import _socket
import re
import socket
import ssl
from collections.abc import Iterable, Iterator
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

Headers = list[tuple[str, str]]

KNOWN_ATTRIBUTES = set("req sock version status headers headers_sent must_close response_length sent".split())
"""Attributes of gunicorn 27's Response that are read or written here."""

LARGEST_JOINED_BYTES = 65_536
"""Most bytes of a body that is joined with its head. Larger bodies are files, and each client that reads slowly would
hold a copy of one. They are sent in pieces of this size, each of which has its own time (client_pace.py)."""

_PRINTABLE = bytes(range(0x20, 0x7F))

_NAME = re.compile(r"[A-Za-z0-9-]+")
_OF_THE_SERVER = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailer trailers transfer-encoding upgrade"
    " server date".split()
)
"""Headers that gunicorn sets or drops by itself."""


class _Beginnings(dict[str, str]):
    """The beginning of a header's line by its name. Names come from this service only, so there are few."""

    def __missing__(self, name: str) -> str:
        if not _NAME.fullmatch(name) or name.lower() in _OF_THE_SERVER:
            return "\n"  # no line may contain it, so _head refuses the answer
        self[name] = beginning = f"{name}: "
        return beginning


_beginnings = _Beginnings()


def send(
    start_response: "StartResponse", status: str, headers: Headers, content: Iterable[bytes], moment: float
) -> Iterable[bytes]:
    """Sends the answer if it can, and returns what the application has to return; `moment` is now, in unix seconds.

    Raises OSError when the client is gone, as gunicorn does.
    """
    response: Any = getattr(start_response, "__self__", None)
    if type(content) is tuple and len(content) < 2 and _is_gunicorns(response):
        body: bytes = content[0] if content and response.req.method != "HEAD" else b""
        if len(body) > LARGEST_JOINED_BYTES:
            start_response(status, headers)
            return _pieces(body)
        head = _head(response, status, headers, moment)
        if head is not None and _is_framed(response, code := int(status[:3]), head, body):
            _begin(response, status, code, headers, len(body))
            _put(response.sock, head + body)
            return ()
    start_response(status, headers)
    return content


def _pieces(body: bytes) -> Iterator[bytes]:
    for begin in range(0, len(body), LARGEST_JOINED_BYTES):
        yield body[begin : begin + LARGEST_JOINED_BYTES]


def can_hand_over(environ: dict[str, Any]) -> bool:
    """Whether `hand_over` can be used for this request: not with another server, and not with TLS, whose state is bound
    to gunicorn's socket."""
    client = environ.get("gunicorn.socket")
    return isinstance(client, socket.socket) and not isinstance(client, ssl.SSLSocket)


def hand_over(
    start_response: "StartResponse", status: str, headers: Headers, moment: float
) -> tuple[_socket.socket, bytes]:
    """The client's connection, which never blocks and which gunicorn forgets, and the head of an answer that ends where
    the connection ends. The application has to return ()."""
    response: Any = getattr(start_response, "__self__", None)
    if not _is_gunicorns(response):
        raise TypeError("this request was not read by gunicorn")
    response.must_close = True
    head = _head(response, status, headers, moment)
    if head is None:
        raise ValueError("a header of a stream cannot be sent")
    _begin(response, status, int(status[:3]), headers, 0)
    # The system's own socket, because gevent's asks its hub at each call.
    client = _socket.socket(fileno=response.sock.detach())
    client.setblocking(False)
    return client, head


def _is_gunicorns(response: Any) -> bool:
    # HTTP/2 answers have another class.
    return (
        type(response).__name__ == "Response"
        and type(response).__module__ == "gunicorn.http.wsgi"
        and getattr(response, "__dict__", {}).keys() >= KNOWN_ATTRIBUTES
        and response.status is None
    )


def _head(response: Any, status: str, headers: Headers, moment: float) -> bytes | None:
    """The head; None when it has a character or header that gunicorn has to check, so that no value can add a line."""
    major, minor = response.req.version
    lines = [
        f"HTTP/{major}.{minor} {status}",
        f"Server: {response.version}",
        f"Date: {_date(int(moment))}",
        "Connection: close"
        if response.must_close or response.req.should_close()
        else "Connection: keep-alive",
    ]
    lines += [_beginnings[name] + value for name, value in headers]
    lines += ("", "")
    text = "\r\n".join(lines)
    if not text.isascii():
        return None
    head = text.encode()
    return head if head.translate(None, _PRINTABLE) == b"\r\n" * (len(lines) - 1) else None


def _is_framed(response: Any, code: int, head: bytes, body: bytes) -> bool:
    """Whether the headers tell the client where the answer ends."""
    if code < 200 or code == 204:
        return False
    if code == 304 or response.req.method == "HEAD":
        return not body
    return b"\r\nContent-Length: %d\r\n" % len(body) in head


@lru_cache(2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _begin(response: Any, status: str, code: int, headers: Headers, length: int) -> None:
    """Sets the attributes as gunicorn would, because it decides by them about the connection and logs them."""
    response.status = status
    response.status_code = code
    response.headers = headers
    response.headers_sent = True
    response.response_length = response.sent = length


def _put(sock: Any, answer: bytes) -> None:
    # gevent's sendall reads the size of the socket's buffer first, into which nearly every answer fits.
    sent = sock.send(answer)
    if sent < len(answer):
        sock.sendall(answer[sent:])
