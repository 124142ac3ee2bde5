"""One send: the same answer as gunicorn's own, or gunicorn's own."""

import socket
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Any

import pytest
from gunicorn.config import Config as GunicornConfig
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import Response
from gunicorn.util import hop_headers
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.http.gunicorn_send import (
    KNOWN_ATTRIBUTES,
    LARGEST_JOINED_BYTES,
    can_hand_over,
    hand_over,
    send,
)
from tests.fakes import NOON

BODY = b'{"ltp":[]}'
JSON = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]

methods = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS"])
endings = st.sampled_from(["HTTP/1.0", "HTTP/1.1"])
wishes = st.sampled_from(
    ["", "Connection: close\r\n", "Connection: Keep-Alive\r\n", "Connection: upgrade\r\n"]
)
requests = st.tuples(methods, endings, wishes).map(lambda parts: "{} / {}\r\n{}\r\n".format(*parts).encode())
statuses = st.sampled_from(
    ["200 OK", "204 NO CONTENT", "206 PARTIAL CONTENT", "304 NOT MODIFIED", "429 TOO MANY"]
)
bodies = st.sampled_from([b"", b"{}", BODY])
names = st.sampled_from(["ETag", "X-Request-ID", "RateLimit-Limit", *sorted(hop_headers), "Keep-Alive", "TE"])
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(str.strip)


class Wire:
    """A gunicorn socket that keeps what is sent; `takes` is how much of one send the system has room for."""

    def __init__(self, takes: int | None = None) -> None:
        self.sends: list[bytes] = []
        self._takes = takes

    def send(self, piece: bytes) -> int:
        self.sends.append(piece[: self._takes])
        return len(self.sends[-1])

    def sendall(self, piece: bytes) -> None:
        self.sends.append(piece)

    @property
    def sent(self) -> bytes:
        return b"".join(self.sends)


def gunicorns(request: bytes = b"GET / HTTP/1.1\r\n\r\n", wire: Any = None) -> Response:
    """What gunicorn has for an answer to these bytes."""
    config = GunicornConfig()
    sock: Any = wire or Wire()
    return Response(next(RequestParser(config, iter([request]), ("127.0.0.1", 1))), sock, config)


Way = Callable[..., Iterable[bytes]]


def standard(
    start_response: Any, status: str, headers: list[tuple[str, str]], content: Any
) -> Iterable[bytes]:
    start_response(status, headers)
    return content  # type: ignore[no-any-return]


def in_one(start_response: Any, status: str, headers: list[tuple[str, str]], content: Any) -> Iterable[bytes]:
    return send(start_response, status, headers, content, NOON)


def answered(
    way: Way, request: bytes, *answer: Any, stopping: bool = False
) -> tuple[bytes, bool, str | None]:
    """Bytes on the wire, whether the connection is closed, and the status that is logged; as a worker does it."""
    wire = Wire()
    response = gunicorns(request, wire)
    if stopping:
        response.force_close()
    for piece in way(response.start_response, *answer):
        response.write(piece)
    response.close()
    return wire.sent, response.should_close(), response.status


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn asks the clock itself."""
    monkeypatch.setattr("gunicorn.util.http_date", lambda: formatdate(NOON, usegmt=True))


@given(
    requests, statuses, bodies, st.lists(st.tuples(names, values), max_size=3), st.booleans(), st.booleans()
)
def test_one_send_and_gunicorns_way_give_the_same_bytes(
    request: bytes, status: str, body: bytes, more: list[tuple[str, str]], sized: bool, stopping: bool
) -> None:
    length = [("Content-Length", str(len(body)))] if sized else []
    bodiless = request.startswith(b"HEAD") or status.startswith(("204", "304")) or not body
    answer = (status, [*length, *more], () if bodiless else (body,))

    in_one_send = answered(in_one, request, *answer, stopping=stopping)
    assert in_one_send == answered(standard, request, *answer, stopping=stopping)


def test_head_and_body_leave_together() -> None:
    wire = Wire()

    assert in_one(gunicorns(wire=wire).start_response, "200 OK", JSON, (BODY,)) == ()
    assert len(wire.sends) == 1
    assert wire.sent.endswith(b"\r\nContent-Length: 10\r\n\r\n" + BODY)


def test_what_the_system_has_no_room_for_follows() -> None:
    wire = Wire(takes=7)
    in_one(gunicorns(wire=wire).start_response, "200 OK", JSON, (BODY,))

    assert wire.sends[0] == b"HTTP/1."
    assert wire.sent == answered(standard, b"GET / HTTP/1.1\r\n\r\n", "200 OK", JSON, (BODY,))[0]


def test_a_client_that_is_gone_is_told_to_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        ours.shutdown(socket.SHUT_WR)
        with ours, pytest.raises(BrokenPipeError):
            in_one(gunicorns(wire=ours).start_response, "200 OK", JSON, (BODY,))


@pytest.mark.parametrize("evil", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b", "a\x7fb"])
@pytest.mark.parametrize("place", ["name", "value"])
def test_nothing_can_be_smuggled_into_a_head(evil: str, place: str) -> None:
    wire = Wire()
    smuggled = (evil, "value") if place == "name" else ("X-Name", evil)

    with pytest.raises(Exception, match=r"(?i)invalid.*header"):
        in_one(gunicorns(wire=wire).start_response, "200 OK", [*JSON, smuggled], (BODY,))
    assert wire.sent == b""


def test_a_status_of_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid status"):
        in_one(gunicorns().start_response, "200 OK\r\nX: y", JSON, (BODY,))


@pytest.mark.parametrize(
    ("status", "headers", "content"),
    [
        ("200 OK", [("Content-Type", "text/plain")], (BODY,)),
        ("200 OK", [("Content-Length", "11")], (BODY,)),
        ("200 OK", [("Content-Length", "20")], (BODY, BODY)),
        ("200 OK", JSON, [BODY]),
        ("200 OK", [*JSON, ("X-Name", "\u00e4")], (BODY,)),
        ("304 NOT MODIFIED", JSON, (BODY,)),
        ("204 NO CONTENT", [], ()),
    ],
    ids=["no length", "too short", "two pieces", "a list", "not ASCII", "a body where none may be", "204"],
)
def test_what_is_not_simple_is_gunicorns(status: str, headers: list[tuple[str, str]], content: Any) -> None:
    wire = Wire()
    response = gunicorns(wire=wire)

    assert in_one(response.start_response, status, headers, content) is content
    assert wire.sent == b""
    assert response.status == status


def test_a_large_body_is_gunicorns_in_pieces() -> None:
    wire = Wire()
    response, body = gunicorns(wire=wire), bytes(LARGEST_JOINED_BYTES) + b"the rest"

    pieces = in_one(response.start_response, "200 OK", [("Content-Length", str(len(body)))], (body,))
    assert wire.sent == b""
    assert list(pieces) == [body[:LARGEST_JOINED_BYTES], b"the rest"]


class Other:
    """A server that answers like none that we know; the standard way is to work with it."""

    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)
        self.started: list[Any] = []

    def start_response(self, *given: Any) -> None:
        self.started.append(given)


@pytest.mark.parametrize("missing", sorted(KNOWN_ATTRIBUTES))
def test_a_gunicorn_that_keeps_something_else_is_left_alone(missing: str) -> None:
    kept = {name: value for name, value in vars(gunicorns()).items() if name != missing}
    changed = type("Response", (Other,), {"__module__": Response.__module__})(**kept)

    assert in_one(changed.start_response, "200 OK", JSON, (BODY,)) == (BODY,)
    assert changed.started == [("200 OK", JSON)]


def test_another_server_is_left_alone() -> None:
    alike = Other(**vars(gunicorns()))

    assert in_one(alike.start_response, "200 OK", JSON, (BODY,)) == (BODY,)
    assert alike.started == [("200 OK", JSON)]


def test_any_start_response_will_do() -> None:
    started: list[Any] = []

    assert in_one(lambda *given: started.append(given), "200 OK", JSON, (BODY,)) == (BODY,)
    assert started == [("200 OK", JSON)]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_connection_that_is_handed_over_is_no_longer_gunicorns(version: str) -> None:
    client, server = socket.socketpair()
    with client:
        assert can_hand_over({"gunicorn.socket": server})
        response = gunicorns(f"GET / HTTP/{version}\r\nConnection: keep-alive\r\n\r\n".encode(), server)
        start: Any = response.start_response
        connection, head = hand_over(start, "200 OK", [("Content-Type", "text/plain")], NOON)
        response.close()
        server.close()  # as gunicorn does at the end of the request
        assert response.should_close()
        assert head.startswith(f"HTTP/{version} 200 OK\r\n".encode())
        assert b"\r\nConnection: close\r\n" in head
        assert b"Transfer-Encoding" not in head
        assert connection.send(head) == len(head) == len(client.recv(4096))
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.close()
        assert client.recv(1) == b""


def test_no_other_servers_connection_is_handed_over() -> None:
    assert not can_hand_over({})
    elsewhere: Any = print
    with pytest.raises(TypeError):
        hand_over(elsewhere, "200 OK", [], NOON)
