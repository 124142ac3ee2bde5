"""Requests that are held until their answer changes, by a service as it is run for real."""

import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.deadline import DEADLINE
from tests.fakes import eventually
from tests.process.answer import Answer
from tests.process.raw import answers
from tests.process.service import Service
from tests.simulator.client import Simulator

LTP = "/api/v1/ltp?pair=BTC/USD"
SHARE = 400
"""Places for one address."""


@pytest.fixture
def service(simulator: Simulator) -> Iterator[Service]:
    with Service.start(simulator) as running:
        yield running


class Held:
    """A connection whose request waits for a change of the price that the service serves now."""

    def __init__(self, service: Service, tag: str, address: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection(("127.0.0.1", service.port), DEADLINE, (address, 0))
        lines = (f"GET {LTP} HTTP/1.1", "Host: x", f"If-None-Match: {tag}", "Prefer: wait=30")
        self._socket.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def answer(self) -> Answer:
        (answer,) = answers(b"".join(iter(lambda: self._socket.recv(65536), b"")))
        self._socket.close()
        return answer


def tag_of(service: Service) -> str:
    return service.get(LTP).headers["etag"]


def finds_no_place(service: Service, tag: str) -> bool:
    """Whether one more of the same address is refused; else it waits no longer than it has to."""
    answer = service.get(LTP, {"If-None-Match": tag, "Prefer": "wait=1"})
    return (answer.status, answer.headers.get("retry-after")) == (503, "5")


def test_places_are_free_as_soon_as_their_clients_are_gone(service: Service, simulator: Simulator) -> None:
    tag = tag_of(service)
    with ExitStack() as clients:
        for _ in range(SHARE):
            clients.enter_context(Held(service, tag))
        eventually(lambda: finds_no_place(service, tag), DEADLINE)
        assert service.get("/health").status == 200
        with Held(service, tag, "127.0.0.2") as other:
            eventually(lambda: finds_no_place(service, tag), DEADLINE)
            simulator.trade("BTC/USD", "100100.1")
            assert other.answer().status == 200
    simulator.trade("BTC/USD", "100100.2")
    service.wait_until_served("BTC/USD", "100100.2")
    tag = tag_of(service)
    with ExitStack() as clients:
        for _ in range(SHARE):
            clients.enter_context(Held(service, tag))
        eventually(lambda: finds_no_place(service, tag), DEADLINE)
    eventually(lambda: not finds_no_place(service, tag), DEADLINE)


def test_a_change_answers_all_who_wait(service: Service, simulator: Simulator) -> None:
    tag = tag_of(service)
    with ExitStack() as clients:
        held = [clients.enter_context(Held(service, tag)) for _ in range(SHARE)]
        eventually(lambda: finds_no_place(service, tag), DEADLINE)
        simulator.trade("BTC/USD", "100200.3")
        told = [each.answer() for each in held]

    assert {answer.status for answer in told} == {200}
    assert {answer.body for answer in told} == {b'{"ltp":[{"pair":"BTC/USD","amount":100200.3}]}'}


@pytest.mark.parametrize("worker_class", ["gevent", "gthread"])
def test_long_polls_are_answered_when_the_service_ends(simulator: Simulator, worker_class: str) -> None:
    with Service.start(simulator, WORKER_CLASS=worker_class) as service:
        tag = tag_of(service)
        with ExitStack() as clients:
            held = [clients.enter_context(Held(service, tag)) for _ in range(4)]
            service.get("/health")
            service.signal(signal.SIGTERM)
            with ThreadPoolExecutor(
                len(held)
            ) as readers:  # gthread waits for each client to close, one by one
                assert {answer.status for answer in readers.map(Held.answer, held)} == {304}
        assert service.wait_for_exit() == 0
