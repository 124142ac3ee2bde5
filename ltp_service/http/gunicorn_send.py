"""A complete answer leaves in one system call and one packet, head and body together.

WSGI has gunicorn check each header, render the head and send it, and then send the body: a fifth of the time that
a ready answer takes. This is the one room that knows how gunicorn answers. Whatever it does not recognise, be it the
server or the answer, goes the way of PEP 3333; both ways lead to the same answer.
"""

import re
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

Headers = list[tuple[str, str]]

KNOWN = {
    "req",
    "sock",
    "version",
    "status",
    "headers",
    "headers_sent",
    "must_close",
    "response_length",
    "sent",
}
"""What gunicorn 27 keeps about an answer, as far as it is read or written here."""

LARGEST = 65_536
"""Bytes of a body that is joined with its head. The larger ones are files, of which a client that does not read would
hold a copy each."""

_PRINTABLE = bytes(range(0x20, 0x7F))

_NAME = re.compile(r"[A-Za-z0-9-]+")
_OF_THE_SERVER = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailer trailers transfer-encoding upgrade"
    " server date".split()
)
"""Fields that gunicorn sets or drops by itself."""


class _Beginnings(dict[str, str]):
    """Names of headers as lines begin with them. Names are our own, so there are few."""

    def __missing__(self, name: str) -> str:
        if not _NAME.fullmatch(name) or name.lower() in _OF_THE_SERVER:
            return "\n"  # which no line may contain
        self[name] = beginning = f"{name}: "
        return beginning


_beginnings = _Beginnings()


def send(
    start_response: "StartResponse", status: str, headers: Headers, content: Iterable[bytes], moment: float
) -> Iterable[bytes]:
    """What the application is to return to its server; `moment` is now, in unix seconds.

    Raises OSError when the client is gone, as the server's own sending would."""
    response: Any = getattr(start_response, "__self__", None)
    if type(content) is tuple and len(content) < 2 and _is_gunicorns(response):
        body: bytes = content[0] if content and response.req.method != "HEAD" else b""
        head = _head(response, status, headers, moment) if len(body) <= LARGEST else None
        if head is not None and _is_framed(response, code := int(status[:3]), head, body):
            _begin(response, status, code, headers, len(body))
            _put(response.sock, head + body)
            return ()
    start_response(status, headers)
    return content


def _is_gunicorns(response: Any) -> bool:
    # Its HTTP/2 answers are of another class.
    return (
        type(response).__name__ == "Response"
        and type(response).__module__ == "gunicorn.http.wsgi"
        and getattr(response, "__dict__", {}).keys() >= KNOWN
        and response.status is None
    )


def _head(response: Any, status: str, headers: Headers, moment: float) -> bytes | None:
    """None when something is in it that gunicorn should judge. Nobody can smuggle in a line of his own."""
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
    """Whether the client will know where the answer ends without chunks and without an end of the connection."""
    if code < 200 or code == 204:
        return False
    if code == 304 or response.req.method == "HEAD":
        return not body
    return b"\r\nContent-Length: %d\r\n" % len(body) in head


@lru_cache(2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _begin(response: Any, status: str, code: int, headers: Headers, length: int) -> None:
    """Leaves it as gunicorn would have: it goes on to decide about the connection and to log."""
    response.status = status
    response.status_code = code
    response.headers = headers
    response.headers_sent = True
    response.response_length = response.sent = length


def _put(sock: Any, answer: bytes) -> None:
    # gevent's sendall looks up the size of the socket's buffer first; nearly every answer fits into it.
    sent = sock.send(answer)
    if sent < len(answer):
        sock.sendall(answer[sent:])
