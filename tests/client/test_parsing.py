"""Server-sent events and HTTP answers, in whatever pieces they come."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.client.sse import EventParser, ServerEvent
from ltp_service.client.wire import Base, Broken, Response, request

STREAM = (
    "\ufeff: comment\r\nid: 1\r\nevent: price\r\ndata: {\r\ndata:  1}\r\n\r\n"
    "data:é€𐍈\rid: 2\r\r"
    "event: lost\n\n"
    "id\ndata\n\nretry: 1500\nretry: soon\nid: a\0b\ndata: last\n\ndata: without end"
).encode()
EVENTS = [
    ServerEvent("price", "{\n 1}", "1"),
    ServerEvent("message", "é€𐍈", "2"),
    ServerEvent("message", "", ""),
    ServerEvent("message", "last", ""),
]
CHUNKED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nfour\r\nC\r\n and \r\n more\r\n0\r\n\r\n"


def pieces(content: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    return [content[start:end] for start, end in pairwise(places)]


@given(st.lists(st.integers(0, 1000), max_size=30))
def test_events_are_the_same_however_their_bytes_are_cut(cuts: list[int]) -> None:
    parser = EventParser()
    assert [each for piece in pieces(STREAM, cuts) for each in parser.feed(piece)] == EVENTS
    assert parser.retry == 1.5


def test_events_are_read_byte_by_byte() -> None:
    parser = EventParser("from before")
    assert [each for place in range(len(STREAM)) for each in parser.feed(STREAM[place : place + 1])] == EVENTS


def test_an_event_without_an_id_has_the_last_one() -> None:
    assert next(EventParser("before").feed(b"data: x\n\n")).id == "before"


@pytest.mark.parametrize("endless", [b"data: " + b"x" * 1000, b"data: xxxxxxxxxxxxxx\n" * 50])
def test_an_event_without_end_is_refused(endless: bytes) -> None:
    parser = EventParser()
    with pytest.raises(Broken, match="longer"):
        [each for _ in range(2000) for each in parser.feed(endless)]


@given(st.lists(st.integers(0, 1000), max_size=30))
def test_chunks_are_joined_however_their_bytes_are_cut(cuts: list[int]) -> None:
    response = Response()
    body = b"".join(response.feed(piece) for piece in pieces(CHUNKED, cuts) if piece)
    assert (response.status, body, response.is_complete) == (200, b"four and \r\n more", True)


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
)
def test_what_is_no_answer_is_refused(content: bytes) -> None:
    with pytest.raises(Broken):
        Response().feed(content)


def test_an_answer_that_is_cut_off_is_none() -> None:
    response = Response()
    assert response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n123") == b"123"
    with pytest.raises(Broken, match="closed"):
        response.feed(b"")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("Sun, 01 Nov 2026 00:00:30 GMT", 30), ("soon", None), ("99999999999", 3600), ("", None)],
)
def test_retry_after_is_read_in_both_its_forms(value: str, seconds: float | None) -> None:
    response = Response()
    head = f"HTTP/1.1 503 No\r\nDate: Sun, 01 Nov 2026 00:00:00 GMT\r\nRetry-After: {value}\r\n\r\n"
    response.feed(head.encode())
    assert response.retry_after == seconds


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://x", "http://", "http://u:p@x", "http://x?y=1", "http://x/\r\nX: y"]
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        Base.read(url)


def test_an_address_of_ipv6_is_a_base_url() -> None:
    base = Base.read("http://[::1]:8080/")
    assert (base.host, base.port) == ("::1", 8080)
    assert b"Host: [::1]:8080\r\n" in request(base, "/x", {"pair": "A/B,C/D"}, {})
