"""What the service says when it is started in a way that cannot work, or not yet."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.ended import ended
from tests.process.service import FED, Service, command, environment
from tests.simulator.client import PROJECT, Simulator


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A loopback port that refuses connections for as long as the test runs."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def start(simulator: Simulator | None, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """How a service ended that could not begin."""
    return ended(command(), env=environment(simulator, settings))


def test_impossible_settings_are_all_named_before_anything_is_bound() -> None:
    settings = {"PORT": "99999", "CACHE_TTL": "soon", "SUPPORTED_PAIRS": "BTC"}
    ended = start(None, settings)
    assert ended.returncode == 1
    assert ended.stdout == ""
    first, *problems = ended.stderr.splitlines()
    assert first == "configuration refused, 3 problem(s):"
    assert [problem.split(" refused: ")[0] for problem in problems] == [
        "  PORT: '99999'",
        "  CACHE_TTL: 'soon'",
        "  SUPPORTED_PAIRS: 'BTC'",
    ]


def test_without_an_exchange_the_service_stays_up_and_says_what_to_do(closed_port: int) -> None:
    nowhere = {
        "KRAKEN_WEBSOCKET_URL": f"ws://127.0.0.1:{closed_port}/v2",
        "KRAKEN_REST_URL": f"http://127.0.0.1:{closed_port}/0/public",
        "KRAKEN_RECONNECT_DELAY": "10ms",
    }
    with Service.start(None, fed=False, **nowhere) as service:
        service.wait_for_line("next connection attempt", count=4)
        answer = service.get("/api/v1/ltp")
        assert (answer.status, answer.json()["code"]) == (503, "ALL_PRICES_FAILED")
        assert int(answer.headers["retry-after"]) > 0
        assert (service.get("/health").status, service.get("/ready").status) == (200, 503)
        (said,) = [line for line in service.log_lines() if "make demo" in line["message"]]
        assert said["level"] == "warn"
        assert said["message"].startswith("kraken: cannot be reached (")
        assert "Connection refused" in said["message"]


def test_it_says_once_where_it_listens_and_where_to_read(simulator: Simulator, tmp_path: Path) -> None:
    socket_path = tmp_path / "http.sock"
    binds = f"--bind 127.0.0.1:0 --bind unix:{socket_path}"
    with Service.start(simulator, GUNICORN_CMD_ARGS=binds, WEB_CONCURRENCY="2") as service:
        root = f"http://127.0.0.1:{service.port}"
        service.signal(signal.SIGHUP)
        service.wait_for_line(FED, count=4)
        (said,) = [line for line in service.log_lines() if line["message"].startswith("serving at")]
        assert service.get("/docs").status == 200
    assert said["message"] == f"serving at {root}, unix:{socket_path}; the API is described at {root}/docs"


def test_a_second_instance_on_one_unix_socket_is_refused(simulator: Simulator, tmp_path: Path) -> None:
    socket_path = tmp_path / "http.sock"
    binds = f"--bind 127.0.0.1:0 --bind unix:{socket_path}"
    with Service.start(simulator, GUNICORN_CMD_ARGS=binds) as first:
        second = start(simulator, {"HOST": f"unix:{socket_path}"})
        assert second.returncode == 1
        told = json.loads(second.stdout.splitlines()[-1])
        assert (told["level"], told["message"].partition(":")[0]) == ("error", "unix")
        assert "another instance listens there" in told["message"]
        with closing(socket.socket(socket.AF_UNIX)) as asking:
            asking.connect(str(socket_path))
        assert first.get("/health").status == 200


def test_a_port_in_use_is_told_with_what_to_do(simulator: Simulator) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        second = start(simulator, {"HOST": "127.0.0.1", "PORT": str(port)})
    assert second.returncode == 1
    told = [json.loads(line)["message"] for line in second.stdout.splitlines()]
    remedy = f"127.0.0.1:{port} is in use by another program: end that one, or set PORT or HOST"
    assert [line.startswith(remedy) for line in told].count(True) == 1


def test_a_socket_that_a_killed_instance_left_behind_is_taken(simulator: Simulator, tmp_path: Path) -> None:
    socket_path = tmp_path / "http.sock"
    with closing(socket.socket(socket.AF_UNIX)) as left_behind:
        left_behind.bind(str(socket_path))
    binds = f"--bind 127.0.0.1:0 --bind unix:{socket_path}"
    with Service.start(simulator, GUNICORN_CMD_ARGS=binds) as service:
        assert service.get("/health").status == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_bad_folder_for_metrics_is_named_before_anything_is_bound(tmp_path: Path, workers: str) -> None:
    file = tmp_path / "file"
    file.touch()
    ended = start(None, {"PROMETHEUS_MULTIPROC_DIR": str(file), "WEB_CONCURRENCY": workers})
    assert ended.returncode == 1
    said = [json.loads(line)["message"] for line in ended.stdout.splitlines()]
    assert said[-1].startswith(f"PROMETHEUS_MULTIPROC_DIR: {file} cannot be used (File exists)")
    assert ended.stderr == ""


def test_an_empty_name_of_a_folder_for_metrics_is_none(simulator: Simulator) -> None:
    before = set(PROJECT.glob("*.db"))
    with Service.start(simulator, PROMETHEUS_MULTIPROC_DIR="") as service:
        assert service.get("/metrics").status == 200
    assert set(PROJECT.glob("*.db")) == before
