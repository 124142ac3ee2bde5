"""Dockerfile and .dockerignore as they are written; tests/process/test_image.py takes the steps."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath
from socketserver import TCPServer
from threading import Thread

import pytest

from ltp_service.cli import health_check as health_check_program
from ltp_service.settings.config import files_folder
from tests.conftest import ROOT
from tests.dockerfile import STEPS, copied_sources, environment, files_of, final, health_check, is_let_through
from tests.ended import ended


@pytest.mark.parametrize("source", copied_sources())
def test_what_is_copied_exists_and_is_let_through(source: str) -> None:
    assert (ROOT / source).exists()
    assert files_of(source)


@pytest.mark.parametrize(
    "name",
    (
        ".git/config .venv/pyvenv.cfg tests/conftest.py data/ltp.sqlite3 README.md .env"
        " ltp_service/simulator/wire.py"
    ).split(),
)
def test_nothing_else_reaches_the_builder(name: str) -> None:
    assert not is_let_through(ROOT / name)
    assert not is_let_through(ROOT / "ltp_service" / "web" / "__pycache__" / "ltp.cpython-313.pyc")


# The image.


def test_the_packages_come_from_the_lock_with_hashes_before_the_source() -> None:
    ((at, install),) = (
        (number, step)
        for number, step in enumerate(STEPS)
        if "--requirement" in step.text and step.name == "RUN"
    )
    assert [step.text for step in STEPS[:at] if step.name == "COPY"] == ["requirements.postgres.txt ."]
    assert "--require-hashes" in install.text


def test_the_images_lock_is_the_services_with_postgresql_added() -> None:
    service, image = (pinned(ROOT / name) for name in ("requirements.txt", "requirements.postgres.txt"))
    assert service < image
    assert {line.partition("==")[0] for line in image - service} >= {"psycopg", "psycopg-binary"}


def pinned(lock: Path) -> set[str]:
    """Each package with its version, without what it depends on."""
    return {line.split()[0] for line in lock.read_text().splitlines() if "==" in line and line[0] != " "}


def test_the_folder_of_the_database_and_of_the_history_outlives_the_container() -> None:
    given = environment(final("ENV"))
    for file in (given["DATABASE_PATH"], given["HISTORY_URL"].removeprefix("sqlite:")):
        assert str(PurePosixPath(file).parent) in final("VOLUME").split()


def test_logs_are_not_held_back_and_term_stops_it() -> None:
    assert environment(final("ENV"))["PYTHONUNBUFFERED"] == "1"
    assert final("STOPSIGNAL") == "SIGTERM"


def test_both_stages_begin_from_one_python_that_cannot_change() -> None:
    begun = [step.text.split()[0] for step in STEPS if step.name == "FROM"]
    assert begun == ["${PYTHON}", "${PYTHON}"]
    (argument,) = (step.text for step in STEPS if step.name == "ARG")
    assert re.fullmatch(r"PYTHON=python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", argument)


# The health check.


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    return ended(command, env={"PATH": path} | environ)


class _Health(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def health() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Health) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_asks_the_service_past_any_proxy(
    health: HTTPServer, status: int, healthy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Health, "status", status)
    checked = run(*health_check(), PORT=str(health.server_port), http_proxy="http://127.0.0.1:9")
    assert (checked.returncode == 0) is healthy, checked.stderr


def test_the_health_check_follows_the_address_that_the_service_binds(health: HTTPServer) -> None:
    port = str(health.server_port)
    for host, healthy in (
        ("0.0.0.0", True),  # noqa: S104 - asked, not bound
        ("127.0.0.1", True),
        ("localhost", True),
        ("127.0.0.2", False),
        ("[::1]", False),
    ):
        assert (run(*health_check(), HOST=host, PORT=port).returncode == 0) is healthy, host


class _UnixServer(HTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        return super().get_request()[0], ("127.0.0.1", 0)


def test_the_health_check_follows_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "http.sock")
    with _UnixServer(path, _Health) as server:  # type: ignore[arg-type]
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        checked = run(*health_check(), HOST=f"unix:{path}")
        server.shutdown()
        thread.join()
    assert checked.returncode == 0, checked.stderr
    assert run(*health_check(), HOST=f"unix:{path}").returncode == 1


def test_the_health_check_reads_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "config.yaml").write_text("port: 1234\nhost: example.org")
    (configs / "config.production.yaml").write_text("port: '4321'")
    monkeypatch.chdir(tmp_path)
    assert health_check_program.files_folder() == files_folder()
    for name in ("HOST", "PORT", "ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    seen = []
    for environment_name, port in (("", ""), ("production", ""), ("production", "99")):
        monkeypatch.setenv("ENVIRONMENT", environment_name)
        monkeypatch.setenv("PORT", port)
        asked = health_check_program.connection()
        seen.append((asked.host, asked.port))
    assert seen == [("example.org", 1234), ("example.org", 4321), ("example.org", 99)]


def test_the_health_check_looks_for_the_files_where_the_settings_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another folder, those that the package comes with."""
    monkeypatch.chdir(tmp_path)
    assert health_check_program.files_folder() == files_folder() == ROOT / "configs"


@pytest.mark.parametrize("content", [b"port: [", b"- 1\n", b"\xff", b"port: null\nhost: ~\n", b"port:\n"])
def test_the_health_check_ignores_empty_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """A mistake in a file that is reloaded leaves the service as it was, so it must not make it seem dead."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "config.yaml").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    for name in ("HOST", "PORT", "ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    asked = health_check_program.connection()
    assert (asked.host, asked.port) == ("127.0.0.1", 8080)


def test_the_health_check_fails_where_nothing_listens() -> None:
    with HTTPServer(("127.0.0.1", 0), _Health) as gone:
        port = gone.server_port
    assert run(*health_check(), PORT=str(port)).returncode != 0
