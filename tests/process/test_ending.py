"""The end of the service: in order, with nothing left running. How soon it comes is seen by `make drill`."""

import http.client
import os
import re
import signal
import socket
from contextlib import closing

import pytest

from tests.process.answer import ask
from tests.process.service import Service
from tests.simulator.client import Simulator

PATIENT = {"GUNICORN_CMD_ARGS": "--keep-alive 600", "SHUTDOWN_TIMEOUT": "300s"}
"""Who waits for an idle client would do so for longer than any test may take."""
LTP = "/api/v1/ltp"
JOINED = re.compile(r"stopped [1-9]\d* runner\(s\); still running: none")


def assert_ends_in_order(service: Service, simulator: Simulator, number: signal.Signals) -> None:
    workers = service.worker_pids()
    service.signal(number)
    assert service.wait_for_exit() == 0
    assert len(list(filter(JOINED.fullmatch, service.messages()))) == len(workers)
    simulator.wait(open=0)


@pytest.mark.parametrize("worker_class", ["gevent", "gthread"])
def test_term_closes_idle_connections_and_waits_for_nothing(simulator: Simulator, worker_class: str) -> None:
    with (
        Service.start(simulator, fed=True, WORKER_CLASS=worker_class, **PATIENT) as service,
        closing(http.client.HTTPConnection("127.0.0.1", service.port)) as idle,
    ):
        assert ask(idle, "/health").status == 200
        assert_ends_in_order(service, simulator, signal.SIGTERM)
        assert idle.sock.recv(1) == b""


def test_term_waits_for_the_requests_that_are_under_way(simulator: Simulator) -> None:
    with (
        Service.start(simulator, fed=True, **PATIENT) as service,
        closing(http.client.HTTPConnection("127.0.0.1", service.port)) as waiting,
        socket.create_connection(("127.0.0.1", service.port)) as sending,
    ):
        tag = ask(waiting, LTP).headers["etag"]
        waiting.request("GET", LTP, headers={"If-None-Match": tag, "Prefer": "wait=3"})
        sending.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        service.until(lambda: service.get(LTP).status == 200, what="all of this has arrived")
        service.signal(signal.SIGTERM)
        assert waiting.getresponse().status == 304
        sending.sendall(b"\r\n")
        assert sending.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
        assert service.wait_for_exit() == 0


def test_int_ends_the_service(simulator: Simulator) -> None:
    with Service.start(simulator) as service:
        assert_ends_in_order(service, simulator, signal.SIGINT)


@pytest.mark.parametrize("worker_class", ["gevent", "gthread"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_starting_worker_ends_too(simulator: Simulator, number: signal.Signals, worker_class: str) -> None:
    with Service.start(simulator, WORKER_CLASS=worker_class) as service:
        (victim,) = service.worker_pids()
        os.kill(victim, signal.SIGKILL)
        service.wait_for_line("Booting worker with pid", count=2)
        service.signal(number)
        assert service.wait_for_exit() == 0
        simulator.wait(open=0)


def test_two_workers_each_have_one_feed_and_say_so_once(simulator: Simulator) -> None:
    with Service.start(simulator, WEB_CONCURRENCY="2", KRAKEN_WEBSOCKET_URI="ws://nowhere") as service:
        assert len(service.worker_pids()) == 2
        assert simulator.wait(open=2)["connections_open"] == 2
        unknown, alone = [line["message"] for line in service.log_lines() if line["level"] == "warn"]
        assert unknown.startswith("KRAKEN_WEBSOCKET_URI is not a setting")
        assert unknown.endswith("the nearest one is KRAKEN_WEBSOCKET_URL")
        assert alone.startswith("2 workers with CACHE_BACKEND=memory: each has its own feed")
        assert alone.endswith("may see a price go back; CACHE_BACKEND=redis or WEB_CONCURRENCY=1 mends that")
        assert_ends_in_order(service, simulator, signal.SIGTERM)


def test_threads_are_served_unpatched_and_end_in_order(simulator: Simulator) -> None:
    with Service.start(simulator, "tests.process.glass:app", WORKER_CLASS="gthread") as service:
        assert service.get("/inside").json()["patched"] == []
        simulator.trade("XRP/USD", "2.91733")
        service.wait_until_served("XRP/USD", "2.91733")
        assert_ends_in_order(service, simulator, signal.SIGTERM)
