"""deploy/systemd before systemd's own tools, and its command before a socket such as systemd's."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.deadline import DEADLINE
from tests.process.service import Service
from tests.process.service import environment as environ_of
from tests.programs import require_program
from tests.simulator.client import Simulator
from tests.systemd import SERVICE, UNIT, environment, start_command

EXPOSURE = "20"
"""Of 100, as systemd counts what a unit may do."""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as if this project were in the folder that it names; a unit's paths have no blanks."""
    unit, project = tmp_path / UNIT.name, tmp_path / "project"
    project.symlink_to(ROOT)
    unit.write_text(UNIT.read_text().replace(SERVICE["WorkingDirectory"][0], str(project)))
    return unit


@pytest.mark.parametrize("judge", [["verify"], ["security", "--offline=true", f"--threshold={EXPOSURE}"]])
def test_systemd_finds_nothing_wrong(installed: Path, judge: list[str]) -> None:
    words = [require_program("systemd-analyze"), *judge, str(installed)]
    judged = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert judged.stderr == ""


def test_it_tells_systemd_it_is_ready_and_answers_both_ways(simulator: Simulator, tmp_path: Path) -> None:
    http = tmp_path / "http.sock"
    _, *arguments = start_command()
    places = {
        "--bind=127.0.0.1:8080": "--bind=127.0.0.1:0",
        f"--bind=unix:/run/{SERVICE['RuntimeDirectory'][0]}/http.sock": f"--bind=unix:{http}",
    }
    command = [str(ROOT / ".venv/bin/python"), *(places.get(word, word) for word in arguments)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify.sock"))
        systemd.settimeout(DEADLINE)
        given = environment() | {
            "NOTIFY_SOCKET": systemd.getsockname(),
            "DATABASE_PATH": str(tmp_path / "keys"),
            "HISTORY_URL": "",
        }
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environ_of(simulator, given),
            umask=int(SERVICE["UMask"][0], 8),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with Service.begun(process, feeds=1) as service:
            assert systemd.recv(100).startswith(b"READY=1\n")
            assert http.stat().st_mode & 0o777 == 0o777  # nginx is another user
            assert service.get("/metrics").status == 200
            service.signal(signal.SIGTERM)
            assert service.wait_for_exit() == os.EX_OK
