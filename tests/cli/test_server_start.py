"""How gunicorn is started: told to end while it is still being loaded, it ends without a traceback."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ltp_service.cli import server_start
from tests.deadline import DEADLINE

LOADING = "import signal, sys; print(*sys.argv[1:], flush=True); signal.pause()"


@pytest.mark.parametrize("number", server_start.ENDING)
def test_a_server_that_is_being_loaded_ends_with_0(number: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "gunicorn"
    script.write_text(LOADING)
    command = [sys.executable, "-P", server_start.__file__, str(script), "--reload"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "--reload\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, errors) == (0, "")
