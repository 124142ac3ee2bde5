"""Clients that send a request too slowly, or do not read their answer, on the service's own port."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from ltp_service.assembly.prices import GTHREAD_THREADS
from tests.deadline import DEADLINE
from tests.process.service import Service
from tests.simulator.client import Simulator

PLACES = {"gevent": 2, "gthread": GTHREAD_THREADS}
"""Requests that a worker takes at once here."""

POST = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module", params=PLACES)
def worker_class(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def service(simulator: Simulator, worker_class: str) -> Iterator[Service]:
    # gthread has a place for each thread.
    places = f"--worker-connections={PLACES['gevent']}" if worker_class == "gevent" else ""
    settings = {"WORKER_CLASS": worker_class, "GUNICORN_CMD_ARGS": places}
    with Service.start(simulator, "tests.process.impatient:app", fed=True, **settings) as running:
        yield running


def silent_in_the_head(client: socket.socket) -> None:
    client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")


def silent(client: socket.socket) -> None:
    client.sendall(POST + b"Content-Length: 100\r\n\r\n")


def silent_in_chunks(client: socket.socket) -> None:
    client.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n")


def deaf(client: socket.socket) -> None:
    # Several answers of more than a megabyte: the system keeps some for the client.
    client.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)


@pytest.mark.parametrize("hold", [silent_in_the_head, silent, silent_in_chunks, deaf])
def test_slow_clients_do_not_keep_the_places_of_others(
    service: Service, worker_class: str, hold: Callable[[socket.socket], None]
) -> None:
    with ExitStack() as held:
        for _ in range(PLACES[worker_class]):
            client = held.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(DEADLINE)
            client.connect(("127.0.0.1", service.port))
            hold(client)
        assert service.get("/health").status == 200
    assert [line for line in service.log_lines() if line["level"] == "error"] == []


def test_a_body_without_end_is_cut_off_after_the_answer(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), DEADLINE) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            client.sendall(bytes(64 << 20))


@pytest.mark.parametrize(
    "begin", [b"GET /health HTTP/1.1\r\nX-Long: ", POST + b"Content-Length: 100000\r\n\r\n"]
)
def test_a_request_that_comes_byte_by_byte_has_one_time_for_all_of_them(
    service: Service, begin: bytes
) -> None:
    ends_at = time.monotonic() + DEADLINE
    with socket.create_connection(("127.0.0.1", service.port), DEADLINE) as client, suppress(ConnectionError):
        client.sendall(begin)
        client.settimeout(0.1)  # between two bytes
        while time.monotonic() < ends_at:
            client.sendall(b" ")
            with suppress(TimeoutError):
                if not client.recv(1 << 16):
                    return
        pytest.fail(f"the service still reads after {DEADLINE:g} s")
