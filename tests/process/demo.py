"""Runs `ltp demo` as a person does."""

import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

from tests.deadline import DEADLINE
from tests.ended import PROJECT
from tests.process.service import FED, children_of, environment

LTP = [sys.executable, "-m", "ltp_service"]


class Demo:
    """A running `ltp demo`."""

    def __init__(self, folder: Path, ltp: Sequence[str] = LTP, directory: Path = PROJECT) -> None:
        """`folder` is for its temporary files; `directory` is the working directory."""
        self.folder = folder
        settings = {"HOST": "127.0.0.1", "TMPDIR": str(folder)}
        environ = environment(None, settings)
        del environ["DATABASE_PATH"], environ["HISTORY_URL"]
        self.process = subprocess.Popen(
            [*ltp, "demo", "--port", "0"], cwd=directory, env=environ, stdout=subprocess.PIPE, text=True
        )
        self.url = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"serving at (http://127.0.0.1:\d+)", line):
                self.url = found[1]
            if FED in line:  # the worker runs
                break
        self._reader = Thread(target=self.process.stdout.read)  # so that it never waits for one
        self._reader.start()

    @property
    def rest_url(self) -> str:
        """The simulated exchange's, as the service was told."""
        service = children_of(self.process.pid)[0]
        variables = Path(f"/proc/{service}/environ").read_text().split("\0")
        return next(each.partition("=")[2] for each in variables if each.startswith("KRAKEN_REST_URL="))

    def interrupt(self) -> int:
        """Ctrl-C, and the exit code. Does nothing more the second time."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(DEADLINE)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def everything(self) -> list[int]:
        """The processes of it: the exchange, gunicorn, its worker."""
        found = [self.process.pid]
        for pid in found:
            found += children_of(pid)
        return found
