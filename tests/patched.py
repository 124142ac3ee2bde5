"""Runs a piece of code in a process of its own where gevent has patched everything, as in gunicorn's workers."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from tests.deadline import DEADLINE

PROJECT = Path(__file__).resolve().parent.parent


def run_patched(code: str, *arguments: str) -> str:
    """What the code prints. Fails the test when it fails."""
    program = f"from gevent import monkey\nmonkey.patch_all()\n{dedent(code)}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
