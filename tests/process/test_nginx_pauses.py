"""The micro-cache of deploy/nginx.conf while one of nginx's processes pauses: a client never sees a price go back.

A real nginx with two processes. The service behind it runs in this process, so that a test decides when an answer
leaves and what the price is by then.
"""

import http.client
import os
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from socket import AF_UNIX
from socketserver import TCPServer, ThreadingMixIn
from threading import Event, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest

from ltp_service.app import create_app
from ltp_service.http.services import services_of
from ltp_service.runtime.clock import SystemClock
from ltp_service.settings.config import Config
from ltp_service.settings.types import HistoryUrl
from tests.deadline import DEADLINE, IN_FULL
from tests.fakes import BTC, tick
from tests.process.answer import ask
from tests.process.nginx import Nginx, own_folder, running_nginx, shipped
from tests.process.service import children_of
from tests.programs import require_program

QUESTION = "/api/v1/ltp?pair=BTC/USD"
ROUNDS = 8 if IN_FULL else 4
PAUSE = 0.15
"""Seconds, longer than nginx's proxy_cache_lock_timeout."""


class _Server(ThreadingMixIn, WSGIServer):
    """WSGI over a unix socket."""

    address_family = AF_UNIX
    daemon_threads = True

    def server_bind(self) -> None:
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()

    def get_request(self) -> tuple[Any, Any]:
        connection, _ = super().get_request()
        return connection, ("127.0.0.1", 0)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


class HeldService:
    """The service, which pauses on demand: `before` the next answer is made, or `after` it."""

    def __init__(self, folder: Path) -> None:
        config = Config(
            database_path=folder / "ltp.sqlite3",
            history_url=HistoryUrl(""),
            rate_limit_enabled=False,
            trusted_proxies=1,
            log_level="error",
        )
        self._app = create_app(config)
        self._clock = SystemClock()
        self.hold = ""
        self.held, self.released = Event(), Event()

    def trade(self, price: int) -> None:
        now = self._clock.monotonic()
        made = tick(str(price), BTC, received_at=now, happened_at=now, traded_at=time.time())
        services_of(self._app).prices.store.put(made)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self._wait_if("before")
        answer = list(self._app(environ, start_response))
        self._wait_if("after")
        return answer

    def _wait_if(self, when: str) -> None:
        if self.hold == when:
            self.hold = ""
            self.held.set()
            self.released.wait(DEADLINE)


@pytest.fixture
def folder() -> Iterator[Path]:
    with own_folder() as folder:
        yield folder


@pytest.fixture
def service(folder: Path) -> Iterator[HeldService]:
    service = HeldService(folder)
    with _Server(str(folder / "http.sock"), _Quiet) as server:  # type: ignore[arg-type]
        (folder / "http.sock").chmod(0o777)
        server.set_app(service)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield service
        server.shutdown()
        thread.join()


@pytest.fixture
def nginx(service: HeldService, folder: Path) -> Iterator[Nginx]:
    def with_two_processes(folder: Path, port: int) -> str:
        return shipped(folder, port).replace("worker_processes auto;", "worker_processes 2;")

    with running_nginx(require_program("nginx"), folder, with_two_processes) as nginx:
        yield nginx


@contextmanager
def paused(process: int) -> Iterator[None]:
    """Returns once it has stopped: until then it would take a connection and keep it."""
    os.kill(process, signal.SIGSTOP)
    try:
        end = time.monotonic() + DEADLINE
        while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < end, "it did not stop"
            time.sleep(0.001)
        yield
    finally:
        os.kill(process, signal.SIGCONT)


class Client:
    """One connection to one process of nginx, and the newest price that it was given."""

    def __init__(self, nginx: Nginx, other: int) -> None:
        with paused(other):
            self._connection: http.client.HTTPConnection = nginx.connection()
            ask(self._connection, "/health")
        self.newest = 0

    def ask(self) -> None:
        """Raises AssertionError when the price went back."""
        (item,) = ask(self._connection, QUESTION).json()["ltp"]
        amount = int(item["amount"])
        assert amount >= self.newest, f"{self.newest}, then {amount}"
        self.newest = amount

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def processes(nginx: Nginx) -> tuple[int, int]:
    first, second, *_ = children_of(nginx.master_pid)
    return first, second


@pytest.fixture
def clients(nginx: Nginx, processes: tuple[int, int]) -> Iterator[tuple[Client, Client]]:
    first, second = processes
    both = Client(nginx, second), Client(nginx, first)
    yield both
    for client in both:
        client.close()


def wait_for_a_new_half_second() -> None:
    time.sleep(0.5 - time.time() % 0.5 + 0.01)


def test_a_process_that_pauses_while_it_fills_the_cache_shows_nobody_an_older_price(
    service: HeldService, processes: tuple[int, int], clients: tuple[Client, Client]
) -> None:
    filler, other = clients
    with ThreadPoolExecutor(2) as threads:
        for number in range(1, ROUNDS + 1):
            service.trade(100_000 + 2 * number)
            service.held.clear()
            service.released.clear()
            wait_for_a_new_half_second()
            service.hold = "after"
            filling = threads.submit(filler.ask)
            assert service.held.wait(DEADLINE)
            with paused(processes[0]):
                service.released.set()  # the older price is on its way
                service.trade(100_001 + 2 * number)
                asking = threads.submit(other.ask)
                time.sleep(PAUSE)
            asking.result()
            filling.result()
            other.ask()
            filler.ask()


def test_a_late_answer_is_asked_for_again(service: HeldService, clients: tuple[Client, Client]) -> None:
    late, other = clients
    with ThreadPoolExecutor(1) as threads:
        for number in range(1, ROUNDS + 1):
            service.trade(100_000 + 2 * number)
            service.held.clear()
            service.released.clear()
            wait_for_a_new_half_second()
            service.hold = "before"
            asking = threads.submit(late.ask)
            assert service.held.wait(DEADLINE)
            wait_for_a_new_half_second()
            other.ask()
            service.trade(100_001 + 2 * number)
            service.released.set()
            asking.result()
            late.ask()
            other.ask()


def test_a_pausing_service_refuses_no_answer(service: HeldService, clients: tuple[Client, Client]) -> None:
    service.trade(100_000)
    wait_for_a_new_half_second()
    service.hold = "before"
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(client.ask) for client in clients]
        assert service.held.wait(DEADLINE)
        time.sleep(1.2)
        service.released.set()
        for each in asked:
            each.result()
