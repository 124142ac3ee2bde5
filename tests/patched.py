"""Runs a piece of code in a process of its own where gevent has patched everything, as in gunicorn's workers."""

import sys
from textwrap import dedent

from tests.ended import ended


def run_patched(code: str, *arguments: str) -> str:
    """What the code prints. Fails the test when it fails."""
    program = f"from gevent import monkey\nmonkey.patch_all()\n{dedent(code)}"
    done = ended([sys.executable, "-W", "error", "-c", program, *arguments])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
