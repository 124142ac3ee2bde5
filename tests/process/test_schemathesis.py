"""The running service against its own description, asked things that no author of tests would think of."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltp_service.keys.key import make_text
from tests.deadline import IN_FULL
from tests.ended import ended
from tests.process.service import Service
from tests.simulator.client import Simulator

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
KEY = make_text(os.urandom)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Its prices change all the time, so that no request waits long for a change."""
    with (
        Simulator.start("--walk") as simulator,
        Service.start(
            simulator,
            AUTH_API_KEY=KEY,
            DATABASE_PATH=str(tmp_path / "ltp.sqlite3"),
            HISTORY_URL=f"sqlite:{tmp_path / 'history.sqlite3'}",
            RATE_LIMIT_ENABLED="true",
            RATE_LIMIT_CAPACITY="1000000",
        ) as running,
    ):
        yield running


@pytest.mark.timeout(600)
def test_no_question_is_answered_otherwise_than_documented(service: Service, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    options = ["--config-file", str(CONFIGURATION), "run", "--no-color", "--continue-on-failure"]
    options += ["--max-examples", "150"] if IN_FULL else []
    command += [*options, f"http://127.0.0.1:{service.port}/openapi.json"]
    done = ended(command, cwd=tmp_path, env=os.environ | {"API_KEY": KEY}, timeout=None)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
    assert service.get("/health").status == 200
