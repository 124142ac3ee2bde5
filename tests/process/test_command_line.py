"""ltp demo, and the commands that ask it: as a person runs them, in processes of their own."""

import re
import signal
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.ended import PROJECT, ended
from tests.process.answer import ask
from tests.process.demo import LTP, Demo


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


def test_watch_prints_a_line_for_each_change_in_the_demo(demo: Demo) -> None:
    command = [*LTP, "watch", "BTC/USD", "--url", demo.url]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        lines = [watch.stdout.readline() for _ in range(3)]
        watch.send_signal(signal.SIGINT)
        assert watch.wait(DEADLINE) == 130
    assert all(re.fullmatch(r"[0-9T:.-]+Z BTC/USD [0-9]+\.[0-9]+ live\n", line) for line in lines)
    assert len(set(lines)) == 3


def test_verify_finds_nothing_wrong_with_the_demo(demo: Demo) -> None:
    asked = ["verify", demo.url, "--seconds", "3", "--pairs", "BTC/USD", "--rest-url", demo.rest_url]
    verified = ended([*LTP, *asked, "--rest-lag", "1", "--late", f"{DEADLINE:g}"])
    assert (verified.returncode, verified.stderr) == (0, "")
    assert re.fullmatch(
        r"0 findings in [1-9][0-9]* prices and [0-9]+ trades? of 1 pair; 0 .*\n", verified.stdout
    )


def test_ctrl_c_ends_every_process_of_the_demo_and_leaves_no_file(demo: Demo) -> None:
    pids = demo.everything()
    assert demo.interrupt() == 0
    assert len(pids) == 3
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert list(demo.folder.iterdir()) == []
