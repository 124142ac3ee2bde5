"""Who makes the first admin key, and what is for this machine alone: behind proxies that say nothing of themselves."""

import http.client
import os
import shlex
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from ltp_service.keys.first_key import BOOTSTRAP_HEADER
from tests.deadline import DEADLINE
from tests.drill.proxy import Proxy
from tests.process.answer import Answer, ask
from tests.process.nginx import own_folder, running_nginx
from tests.process.raw import answers, request, talk
from tests.process.service import Service
from tests.programs import require_program
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator

MAKE = "/auth/api-keys?name=stranger"
FOR_THIS_MACHINE = {"GET": "/api/v1/ltp/explain?pair=BTC/USD", "POST": "/api/v1/ltp/refresh?pairs=BTC/USD"}
"""What a program on this machine may ask without a key, by method."""
FROM_OUTSIDE = "Host: ltp.example.org"
FROM_WITHIN = "Host: localhost"
BARE = """
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{service}; {more} }}
    }}
}}
"""
"""What a beginner's page shows: it adds no header, and Host is the address of what is behind."""


class Doors(NamedTuple):
    """A service without any key, and what stands before it."""

    service: Service
    database: Path
    forwarder: int
    nginx: int
    modern_nginx: int


@contextmanager
def doors(simulator: Simulator, folder: Path, **settings: str) -> Iterator[Doors]:
    program = require_program("nginx")
    database = folder / "data" / "ltp.sqlite3"
    before = os.umask(0)
    try:
        service = Service.start(simulator, fed=True, DATABASE_PATH=str(database), **settings)
    finally:
        os.umask(before)

    def bare(more: str) -> int:
        place = stack.enter_context(own_folder())
        return stack.enter_context(
            running_nginx(
                program,
                place,
                lambda folder, port: BARE.format(folder=folder, port=port, service=service.port, more=more),
            )
        ).port

    with service, ExitStack() as stack:
        forwarder = stack.enter_context(Proxy(service.port))
        yield Doors(service, database, forwarder.port, bare(""), bare("proxy_http_version 1.1;"))


def told(port: int, target: str, *lines: str, method: str = "POST", host: str = FROM_OUTSIDE) -> Answer:
    (answer,) = answers(talk(port, request(target, *lines, method=method, host=host)))
    return answer


def from_address(source: str, port: int, method: str, target: str, **headers: str) -> Answer:
    """As a client asks that bound this address; the Host is a loopback one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, DEADLINE, source_address=(source, 0))
    with closing(connection):
        return ask(
            connection, target, {name.replace("_", "-"): value for name, value in headers.items()}, method
        )


def asked_token_of(service: Service) -> str:
    """The same where Redis may have been too slow at the start: a request has the line logged, too."""
    service.until(lambda: told(service.port, MAKE, host=FROM_WITHIN).status == 401, what="the keys are known")
    return token_of(service)


def token_of(service: Service) -> str:
    """Out of the line that the log has to copy."""
    arguments = shlex.split(service.wait_for_line("curl -X POST")["message"].partition("curl ")[2])
    return next(each.partition(": ")[2] for each in arguments if each.startswith(f"{BOOTSTRAP_HEADER}: "))


@pytest.mark.parametrize("trusted", ["0", "1"])
def test_no_silent_proxy_makes_its_clients_owner(simulator: Simulator, tmp_path: Path, trusted: str) -> None:
    with doors(simulator, tmp_path, TRUSTED_PROXIES=trusted) as front:
        token = token_of(front.service)
        for port in (front.forwarder, front.nginx, front.modern_nginx, front.service.port):
            for host in (FROM_OUTSIDE, FROM_WITHIN):
                assert told(port, MAKE, host=host).status == 401
                assert told(port, MAKE, f"{BOOTSTRAP_HEADER}: {'x' * 43}", host=host).status == 401
        assert from_address("127.0.0.6", front.service.port, "POST", MAKE).status == 401
        assert (
            from_address("127.0.0.6", front.service.port, "POST", MAKE, X_Bootstrap_Token=token).status == 401
        )


@pytest.mark.parametrize("trusted", ["0", "1"])
@pytest.mark.parametrize("method", FOR_THIS_MACHINE)
def test_no_proxy_however_silent_makes_its_clients_programs_of_this_machine(
    simulator: Simulator, tmp_path: Path, trusted: str, method: str
) -> None:
    target = FOR_THIS_MACHINE[method]
    with doors(simulator, tmp_path, TRUSTED_PROXIES=trusted) as front:
        assert from_address("127.0.0.6", front.service.port, method, target).status == 401
        for port in (front.forwarder, front.nginx, front.service.port):
            assert told(port, target, method=method).status == 401
        assert told(front.nginx, target, method=method, host=FROM_WITHIN).status == 401
        if trusted == "1":  # else nothing tells these from a program of the owner's
            assert told(front.modern_nginx, target, method=method).status == 401
            assert told(front.forwarder, target, method=method, host=FROM_WITHIN).status == 401
        here = told(front.service.port, target, method=method, host=FROM_WITHIN)
        assert here.status == (200 if trusted == "0" else 401)


def test_the_line_of_the_log_makes_the_first_key_once(simulator: Simulator, tmp_path: Path) -> None:
    with doors(simulator, tmp_path, WEB_CONCURRENCY="2") as front:
        service, database = front.service, front.database
        file = database.with_name(f"{database.name}-first-key")
        token = token_of(service)
        assert file.read_text().strip() == token
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (file,)}

        line = service.wait_for_line("curl -X POST")["message"]
        url = next(each for each in shlex.split(line.replace(";", " ")) if each.startswith("http://"))
        assert urlsplit(url).port == service.port
        target = f"{urlsplit(url).path}?{urlsplit(url).query}"
        made = told(service.port, target, f"{BOOTSTRAP_HEADER}: {token}", host=FROM_WITHIN)
        assert made.status == 201
        assert not file.exists()

        assert told(service.port, target, f"{BOOTSTRAP_HEADER}: {token}", host=FROM_WITHIN).status == 401
        key = made.json()["key"]
        service.until(
            lambda: all(
                told(service.port, "/auth/api-keys", f"X-API-Key: {key}", method="GET").status == 200
                for _ in range(8)
            ),
            what="the key in both workers",
        )
        modes |= {each.name: stat.S_IMODE(each.stat().st_mode) for each in database.parent.iterdir()}
        assert {database.name, f"{database.name}-wal", f"{database.name}-shm"} < modes.keys()
        assert set(modes.values()) == {0o600}, modes


def test_an_emptied_redis_opens_no_door(simulator: Simulator, server: RedisServer, tmp_path: Path) -> None:
    settings = {
        "CACHE_BACKEND": "redis",
        "REDIS_ADDR": server.address,
        "DATABASE_PATH": str(tmp_path / "ltp.sqlite3"),
    }
    with Service.start(simulator, fed=True, **settings) as service:
        token = asked_token_of(service)
        key = told(service.port, MAKE, f"{BOOTSTRAP_HEADER}: {token}", host=FROM_WITHIN).json()["key"]
        listed = ("/auth/api-keys", f"X-API-Key: {key}")
        assert told(service.port, *listed, method="GET").status == 200
        server.run("FLUSHALL")
        service.until(lambda: told(service.port, *listed, method="GET").status == 401, what="no key")
        for lines in ((), (f"{BOOTSTRAP_HEADER}: {token}",)):
            assert told(service.port, MAKE, *lines, host=FROM_WITHIN).status == 401
        assert not list(tmp_path.glob("*first-key"))
    with Service.start(simulator, fed=True, **settings) as service:
        assert asked_token_of(service) != token
        for lines in ((), (f"{BOOTSTRAP_HEADER}: {token}",)):
            assert told(service.port, MAKE, *lines, host=FROM_WITHIN).status == 401


def test_with_a_key_no_token_is_made(simulator: Simulator, tmp_path: Path) -> None:
    with Service.start(
        simulator, DATABASE_PATH=str(tmp_path / "ltp.sqlite3"), AUTH_API_KEY="ltp_" + "k" * 43
    ) as service:
        assert not list(tmp_path.iterdir())
        assert not [line for line in service.messages() if "curl" in line]


def test_the_first_key_is_one_key_whoever_asks_at_the_same_time(simulator: Simulator, tmp_path: Path) -> None:
    with Service.start(
        simulator, DATABASE_PATH=str(tmp_path / "ltp.sqlite3"), WEB_CONCURRENCY="2"
    ) as service:
        sent = request(
            "/auth/api-keys?name=x",
            f"{BOOTSTRAP_HEADER}: {token_of(service)}",
            method="POST",
            host=FROM_WITHIN,
        )
        with ExitStack() as stack:
            connections = [
                stack.enter_context(socket.create_connection(("127.0.0.1", service.port), DEADLINE))
                for _ in range(8)
            ]
            for connection in connections:
                connection.sendall(sent)
            received = [b"".join(iter(lambda each=each: each.recv(65536), b"")) for each in connections]  # type: ignore[misc]
        statuses = [answers(each)[0].status for each in received]
        assert sorted(statuses) == [201] + [401] * 7
