"""ltp demo, and the commands that ask it: as a person runs them, in processes of their own."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import pytest

from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.ended import PROJECT, ended
from tests.process.answer import ask
from tests.process.service import FED, children_of, environment

LTP = [sys.executable, "-m", "ltp_service"]


class Demo:
    """A running `ltp demo`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = {"HOST": "127.0.0.1", "TMPDIR": str(folder)}
        environ = environment(None, settings)
        del environ["DATABASE_PATH"], environ["HISTORY_URL"]
        self.process = subprocess.Popen(
            [*LTP, "demo", "--port", "0"], cwd=PROJECT, env=environ, stdout=subprocess.PIPE, text=True
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


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One for this file; its last test ends it."""
    running = Demo(tmp_path_factory.mktemp("demo"))
    yield running
    running.interrupt()


def test_a_demo_has_a_price_for_each_pair(demo: Demo) -> None:
    connection = HTTPConnection(demo.url.removeprefix("http://"), timeout=DEADLINE)
    answer = ask(connection, "/api/v1/ltp")
    connection.close()
    assert answer.status == 200
    assert [item["pair"] for item in answer.json()["ltp"]] == list(map(str, Config().supported_pairs))


def test_price_prints_what_the_demo_serves(demo: Demo) -> None:
    asked = ended([*LTP, "price", "BTC/USD", "ETH/USD", "--url", demo.url], check=True)
    assert re.fullmatch(r"BTC/USD [0-9]+\.[0-9]+\nETH/USD [0-9]+\.[0-9]+\n", asked.stdout)


def test_verify_finds_nothing_wrong_with_the_demo(demo: Demo) -> None:
    asked = ["verify", demo.url, "--seconds", "3", "--pairs", "BTC/USD", "--rest-url", demo.rest_url]
    verified = ended([*LTP, *asked, "--rest-lag", "1", "--late", f"{DEADLINE:g}"])
    assert (verified.returncode, verified.stderr) == (0, "")
    assert re.fullmatch(
        r"0 findings in [1-9][0-9]* prices and [0-9]+ trades of 1 pairs; 0 .*\n", verified.stdout
    )


def test_ctrl_c_ends_every_process_of_the_demo_and_leaves_no_file(demo: Demo) -> None:
    pids = demo.everything()
    assert demo.interrupt() == 0
    assert len(pids) == 3
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert list(demo.folder.iterdir()) == []
