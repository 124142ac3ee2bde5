"""Dockerfile and .dockerignore as they are written; tests/process/test_image.py takes the steps."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath
from threading import Thread

import pytest

from tests.conftest import ROOT
from tests.dockerfile import STEPS, copied_sources, environment, files_of, final, health_check, is_let_through


@pytest.mark.parametrize("source", copied_sources())
def test_what_is_copied_exists_and_is_let_through(source: str) -> None:
    assert (ROOT / source).exists()
    assert files_of(source)


@pytest.mark.parametrize(
    "name", [".git/config", ".venv/pyvenv.cfg", "tests/conftest.py", "data/ltp.sqlite3", "README.md", ".env"]
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
    assert [step.text for step in STEPS[:at] if step.name == "COPY"] == ["requirements.txt ."]
    assert "--require-hashes" in install.text


def test_the_folder_of_the_database_outlives_the_container() -> None:
    folder = PurePosixPath(environment(final("ENV"))["DATABASE_PATH"]).parent
    assert str(folder) in final("VOLUME").split()


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
    return subprocess.run(
        command, env={"PATH": path} | environ, capture_output=True, text=True, timeout=30, check=False
    )


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


def test_the_health_check_fails_where_nothing_listens() -> None:
    with HTTPServer(("127.0.0.1", 0), _Health) as gone:
        port = gone.server_port
    assert run(*health_check(), PORT=str(port)).returncode != 0
