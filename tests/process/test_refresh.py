"""POST /api/v1/ltp/refresh on the running service, as a program on its machine sends it."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.deadline import DEADLINE
from tests.process.answer import Answer
from tests.process.raw import answers, pipeline, request, talk
from tests.process.service import Service
from tests.simulator.client import Simulator

REFRESH = "/api/v1/ltp/refresh"
JSON = "Content-Type: application/json"
NAMED = '{"pairs": ["ETH/USD", "BTC/USD"]}'


@pytest.fixture(scope="module", params=["gevent", "gthread"])
def service(simulator: Simulator, request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service.start(simulator, fed=True, WORKER_CLASS=request.param) as running:
        yield running


def post(service: Service, *lines: str, target: str = REFRESH, body: str = "") -> Answer:
    (answer,) = answers(talk(service.port, request(target, *lines, method="POST", body=body)))
    return answer


def chunked(*pieces: str) -> str:
    return "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in (*pieces, ""))


def test_the_pairs_may_be_in_the_query_or_in_a_body_of_either_framing(service: Service) -> None:
    in_query = post(service, target=f"{REFRESH}?pairs=ETH/USD,BTC/USD")
    whole = post(service, JSON, f"Content-Length: {len(NAMED)}", body=NAMED)
    in_pieces = post(service, JSON, "Transfer-Encoding: chunked", body=chunked(NAMED[:7], NAMED[7:]))

    for answer in (in_query, whole, in_pieces):
        assert answer.status == 200
        assert answer.json()["pairs"] == ["ETH/USD", "BTC/USD"]


def say_all(service: Service, sent: bytes) -> bytes:
    """What comes back to a client that sends nothing more, where it is not cut off before it has read."""
    with socket.create_connection(("127.0.0.1", service.port), DEADLINE) as connection:
        received: list[bytes] = []
        with suppress(OSError):  # not connected any more, where the service has refused and left already
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            received += iter(lambda: connection.recv(65536), b"")
        return b"".join(received)


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ((JSON, "Content-Length: 10000000"), " " * 5000),
        ((JSON, "Transfer-Encoding: chunked"), chunked(*[" " * 1000] * 50)),
        ((JSON, "Transfer-Encoding: chunked"), "zz\r\nx"),
        ((JSON, "Transfer-Encoding: chunked"), "5\r\n{}"),
        (("Content-Type: application/x-www-form-urlencoded", "Content-Length: 13"), "pairs=BTC/USD"),
        ((JSON, "Content-Encoding: gzip", "Content-Length: 4"), "\x1f\x08\x00\x00"),
    ],
    ids=["announced too long", "chunks too long", "no chunk", "half a chunk", "form", "packed"],
)
def test_an_unreadable_body_is_refused(service: Service, lines: tuple[str, ...], body: str) -> None:
    received = say_all(service, request(REFRESH, *lines, method="POST", body=body))
    if received:
        (answer,) = answers(received)
        assert (answer.status, answer.json()["code"]) == (400, "INVALID_PARAMETER")
    assert service.get("/health").status == 200
    assert not [line for line in service.log_lines() if line["level"] == "error"]


def test_the_next_request_of_the_connection_begins_after_the_body(service: Service) -> None:
    def kept(*lines: str, body: str = "") -> bytes:
        sent = request(REFRESH, *lines, method="POST", body=body)
        return sent.replace(b"Connection: close\r\n", b"")

    read = kept(JSON, f"Content-Length: {len(NAMED)}", body=NAMED)
    refused = kept("Content-Type: text/plain", f"Content-Length: {len(NAMED)}", body=NAMED)

    assert pipeline(service.port, [read, refused, read]) == [200, 400, 200]
