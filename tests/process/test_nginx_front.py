"""deploy/nginx-front.conf before a real nginx and two machines that say which of them answered."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.process.nginx import Nginx, own_folder, running_nginx
from tests.process.nginx_front import MACHINES, in_front
from tests.programs import require_program

QUESTIONS = 20


class Machine:
    """Answers with its name."""

    def __init__(self, name: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = f"{name} {self.headers['X-Forwarded-For']} {self.headers['X-Asked-At']}".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.name = name
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def fronted() -> Iterator[tuple[Nginx, dict[str, Machine]]]:
    with ExitStack() as stack:
        machines = {name: stack.enter_context(closing(Machine(name))) for name in MACHINES}
        folder = stack.enter_context(own_folder())
        configured = partial(in_front, {name: machine.address for name, machine in machines.items()})
        yield (
            stack.enter_context(running_nginx(require_program("nginx"), folder, configured)),
            machines,
        )


@pytest.fixture(scope="module")
def front() -> Iterator[tuple[Nginx, dict[str, Machine]]]:
    with fronted() as running:
        yield running


def test_metrics_are_not_served_to_the_outside(front: tuple[Nginx, dict[str, Machine]]) -> None:
    assert front[0].get("/metrics").status == 403


def test_a_client_stays_at_one_machine_and_goes_to_another_when_that_one_is_gone(
    front: tuple[Nginx, dict[str, Machine]],
) -> None:
    nginx, machines = front

    def answered() -> set[str]:
        claim = {"X-Forwarded-For": "9.9.9.9", "X-Asked-At": "1.0 2.0 +"}
        answers = [nginx.get("/api/v1/ltp", claim) for _ in range(QUESTIONS)]
        answers.append(nginx.get("/api/v1/ltp", {"Prefer": "wait=30"}))
        assert {answer.status for answer in answers} == {200}
        told = {tuple(answer.body.decode().split()[1:]) for answer in answers}
        assert told == {("127.0.0.1", "None")}  # never what a client claims
        return {answer.body.decode().split()[0] for answer in answers}

    (asked,) = answered()
    machines[asked].close()
    (other,) = answered()
    assert other != asked
