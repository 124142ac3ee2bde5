"""ltp doctor on the port and on open files: each fault is named in its line."""

import socket
from pathlib import Path
from typing import Any

from ltp_service.cli.checks import machine
from ltp_service.cli.checks.surroundings import Surroundings
from ltp_service.client.testing import FakeService
from ltp_service.settings.config import Config
from ltp_service.version import VERSION
from tests.cli.doctor_page import names
from tests.cli.hostile import hostile


def at_port(port: int, host: str = "127.0.0.1", **settings: Any) -> Surroundings:
    return Surroundings(Config.model_validate({"port": port, "host": host, **settings}), {})


def test_a_free_port_is_ok_and_stays_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert [each.seen for each in machine.port(at_port(port))] == [f"127.0.0.1:{port} is free"]
    socket.create_server(("127.0.0.1", port)).close()


def test_this_service_at_its_port_is_no_fault() -> None:
    with FakeService() as service:
        service.answer("/", {"name": "ltp_service", "version": VERSION})
        port = int(service.url.rpartition(":")[2])
        [found] = machine.port(at_port(port))
    assert found.level == "ok"
    assert found.seen == f"this service answers at 127.0.0.1:{port} (ltp_service {VERSION})"


def test_another_program_at_the_port() -> None:
    def page(client: socket.socket) -> None:
        client.recv(65_536)
        client.sendall(b"HTTP/1.1 200 OK\r\nServer: another/1.0\r\nContent-Length: 2\r\n\r\nhi")

    with hostile(page) as server:
        names("another program listens at the port", machine.port(at_port(server.getsockname()[1])))
    with hostile(lambda client: client.sendall(b"220 ready\r\n")) as server:
        names("another program listens at the port", machine.port(at_port(server.getsockname()[1])))


def test_a_host_that_is_none_of_this_machine() -> None:
    names("HOST is no address of this machine", machine.port(at_port(8080, "192.0.2.1")))


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    assert [each.level for each in machine.port(at_port(0, f"unix:{path}"))] == ["ok"]
    names(
        "the folder of the unix socket is not there",
        machine.port(at_port(0, f"unix:{tmp_path}/no/http.sock")),
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert [each.level for each in machine.port(at_port(0, f"unix:{path}"))] == ["ok"]  # nothing listens


def test_a_limit_of_open_files_that_is_too_low() -> None:
    names("the limit of open files is too low", [machine.judge_files(4096, 6200, 5000)])
    [found] = machine.open_files(at_port(0, stream_max=1))
    assert (found.level, found.seen) == ("ok", "a worker may open the 1201 files that STREAM_MAX=1 needs")
