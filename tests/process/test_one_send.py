"""One send behind a real gunicorn: what arrives is what the standard way would have sent."""

import re
import socket
import struct
from collections.abc import Iterator
from http.client import HTTPResponse
from threading import Thread

import pytest

from tests.deadline import DEADLINE
from tests.process.raw import answers, talk
from tests.process.service import Service
from tests.simulator.client import Simulator

APP = "tests.process.either_way:app"
LTP = "/api/v1/ltp"
ORIGIN = "Origin: https://example.org"
ASKED = "X-Request-ID: asked-by-a-test"
CLOSE = "Connection: close"
SETTINGS = {"KRAKEN_RECONNECT_DELAY": "10ms", "CORS_ORIGINS": "https://example.org"}
MANY = 3000


@pytest.fixture(scope="module", params=["gevent", "gthread"])
def service(simulator: Simulator, request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service.start(simulator, APP, fed=True, WORKER_CLASS=request.param, **SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def strict(simulator: Simulator) -> Iterator[Service]:
    """All that it admits is asked when it begins."""
    few = {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_CAPACITY": "1", "RATE_LIMIT_REFILL_RATE": "0.001"}
    with Service.start(simulator, APP, fed=True, **SETTINGS, **few) as running:
        assert running.get(LTP).status == 200
        yield running


def head(first: str, *lines: str) -> bytes:
    return "\r\n".join([first, "Host: localhost", *lines, "", ""]).encode()


def undated(received: bytes) -> bytes:
    assert received.count(b"\r\nDate: ") == received.count(b"HTTP/1.")
    return re.sub(rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", b"\r\n", received)


def both_ways(port: int, first: str, *lines: str) -> tuple[bytes, bytes]:
    """What comes until the service closes, which it must do in the same case: in one send, and the standard way."""
    in_one = undated(talk(port, head(first, ASKED, *lines)))
    return in_one, undated(talk(port, head(first, ASKED, "X-Standard-Way: yes", *lines)))


def complaints(service: Service) -> list[str]:
    return [line["message"] for line in service.log_lines() if line["level"] not in ("debug", "info")]


@pytest.mark.parametrize(
    ("first", "lines", "begins"),
    [
        (f"GET {LTP} HTTP/1.1", [CLOSE], "HTTP/1.1 200 OK"),
        (f"GET {LTP} HTTP/1.1", [CLOSE, ORIGIN], "HTTP/1.1 200 OK"),
        (f"GET {LTP}?pair=BTC/USD HTTP/1.1", [CLOSE], "HTTP/1.1 200 OK"),
        (f"GET {LTP}?pair=BTC/USD,FOO/BAR HTTP/1.1", [CLOSE], "HTTP/1.1 206 PARTIAL CONTENT"),
        (f"GET {LTP} HTTP/1.1", [CLOSE, "If-None-Match: *"], "HTTP/1.1 304 NOT MODIFIED"),
        (f"GET {LTP}?pair=FOO/BAR HTTP/1.1", [CLOSE], "HTTP/1.1 400 BAD REQUEST"),
        (f"GET {LTP}?detail=true&pair=! HTTP/1.1", [CLOSE], "HTTP/1.1 400 BAD REQUEST"),
        (f"HEAD {LTP} HTTP/1.1", [CLOSE], "HTTP/1.1 200 OK"),
        (f"HEAD {LTP}?pair=BTC/USD,FOO/BAR HTTP/1.1", [CLOSE], "HTTP/1.1 206 PARTIAL CONTENT"),
        (f"POST {LTP} HTTP/1.1", [CLOSE, "Content-Length: 0"], "HTTP/1.1 405 METHOD NOT ALLOWED"),
        (f"GET {LTP} HTTP/1.0", [], "HTTP/1.0 200 OK"),
        ("GET /api/v1/pairs HTTP/1.1", [CLOSE], "HTTP/1.1 200 OK"),
        ("GET /nowhere HTTP/1.1", [CLOSE], "HTTP/1.1 404 NOT FOUND"),
        (
            f"OPTIONS {LTP} HTTP/1.1",
            [CLOSE, ORIGIN, "Access-Control-Request-Method: GET"],
            "HTTP/1.1 204 NO CONTENT",
        ),
    ],
)
def test_both_ways_give_the_same_answer(service: Service, first: str, lines: list[str], begins: str) -> None:
    received, standard = both_ways(service.port, first, *lines)

    assert received == standard
    assert received.startswith(begins.encode() + b"\r\n")
    assert b"\r\nConnection: close\r\n" in received


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_both_ways_refuse_in_the_same_words(strict: Service, method: str) -> None:
    received, standard = both_ways(strict.port, f"{method} {LTP} HTTP/1.1", CLOSE)

    seconds = re.compile(rb"\d{3}(?! TOO)")  # which go by between the two
    assert seconds.sub(b"", received) == seconds.sub(b"", standard)
    assert received.startswith(b"HTTP/1.1 429 TOO MANY REQUESTS\r\n")
    assert received.endswith(b"\r\n\r\n") == (method == "HEAD")


@pytest.mark.parametrize(
    ("first", "lines"),
    [
        (f"GET {LTP} HTTP/1.1", []),
        (f"HEAD {LTP} HTTP/1.1", []),
        (f"GET {LTP} HTTP/1.1", ["If-None-Match: *"]),
        (f"GET {LTP} HTTP/1.0", ["Connection: keep-alive"]),
        (f"GET {LTP}?detail=true HTTP/1.1", []),
        (f"HEAD {LTP}?detail=true HTTP/1.1", []),
        ("GET /api/v1/status HTTP/1.1", []),
        ("GET /nowhere HTTP/1.1", []),
        ("GET /metrics HTTP/1.1", []),
    ],
)
def test_an_answer_is_one_send_and_the_line_stays(service: Service, first: str, lines: list[str]) -> None:
    sent_before = service.get("/sent").json()["answers"]
    with socket.create_connection(("127.0.0.1", service.port), DEADLINE) as connection:
        connection.sendall(head(first, ASKED, *lines))
        # `/metrics` can be larger than one `recv`, so the length decides where the answer ends.
        answer = HTTPResponse(connection, method=first.split(maxsplit=1)[0])
        answer.begin()
        answer.read()
        connection.sendall(head(f"GET {LTP} HTTP/1.1", ASKED, CLOSE, "X-Standard-Way: yes"))
        following = b"".join(iter(lambda: connection.recv(1 << 16), b""))

    assert answer.getheader("Connection") == "keep-alive"
    assert following.startswith(b"HTTP/1.1 200 OK\r\n")
    assert int(service.get("/sent").json()["answers"]) == int(sent_before) + 1


def test_an_id_that_would_be_a_header_is_not_repeated(service: Service) -> None:
    lines = "\r\n".join(
        [f"GET {LTP} HTTP/1.1", "Host: localhost", CLOSE, "X-Request-ID: abcdefgh\rSet-Cookie: a"]
    )
    received = talk(service.port, lines.encode() + b"\r\n\r\n")

    assert b"Set-Cookie" not in received


def test_a_slow_reader_gets_every_byte(service: Service) -> None:
    asked = head(f"GET {LTP} HTTP/1.1", ASKED) * (MANY - 1) + head(f"GET {LTP} HTTP/1.1", ASKED, CLOSE)
    expected = service.get(LTP).body
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(DEADLINE)
        connection.connect(("127.0.0.1", service.port))
        asking = Thread(target=connection.sendall, args=(asked,))
        asking.start()
        assert service.get(LTP).status == 200  # no other client waits for the one that does not read
        received = b"".join(iter(lambda: connection.recv(4096), b""))
        asking.join()

    assert [answer.body for answer in answers(received)] == [expected] * MANY


def test_a_client_that_leaves_is_no_error(service: Service) -> None:
    before = len(complaints(service))
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", service.port), DEADLINE) as connection:
            connection.sendall(head(f"GET {LTP} HTTP/1.1", ASKED) * 100)
            # The kernel answers whatever comes with a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert service.get(LTP).status == 200
    assert len(complaints(service)) == before
