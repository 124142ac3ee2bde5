"""A program on a pseudo-terminal of its own, and what it wrote there."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Self

from tests.deadline import DEADLINE
from tests.ended import PROJECT

_TAKE_THE_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


class Screen:
    """Runs the command at a terminal of 110 columns, in a session of its own, so that a typed Ctrl-C reaches it."""

    def __init__(self, command: Sequence[str], term: str = "xterm-256color") -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_THE_TERMINAL, *command],
            cwd=PROJECT,
            env={**os.environ, "TERM": term, "COLUMNS": "110", "LINES": "40"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.written = ""
        self._seen = 0
        """Up to which character of it the test has looked."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str) -> None:
        """Returns when the text was written after the one that was waited for last."""
        end = time.monotonic() + DEADLINE
        while (place := self.written.find(text, self._seen)) < 0:
            assert time.monotonic() < end, f"not on the screen: {text!r}; it has {self.written[-2000:]!r}"
            assert self._read(end), f"ended without {text!r}; it wrote {self.written[-2000:]!r}"
        self._seen = place + len(text)

    def wait_for_exit(self) -> int:
        """The exit code; all that was written is in `written`."""
        end = time.monotonic() + DEADLINE
        while self._read(end):
            assert time.monotonic() < end, "it does not end"
        return self.process.wait(DEADLINE)

    def _read(self, end: float) -> bool:
        """Waits for a piece. False at the end of the program."""
        readable, _, _ = select.select([self._ours], [], [], max(0.0, end - time.monotonic()))
        try:
            piece = os.read(self._ours, 65536) if readable else b"\0"
        except OSError:  # Linux says so when the last program at the terminal is gone
            piece = b""
        self.written += piece.decode(errors="replace")
        return bool(piece)
