"""A log whose reader stops reading, before a real gunicorn: `gunicorn wsgi:app | sleep 1000`."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import pytest

from tests.deadline import DEADLINE
from tests.process import chatty
from tests.process.answer import Answer, ask
from tests.process.service import children_of, command, environment
from tests.runtime.test_line_writer import a_pipe, a_socket, a_terminal
from tests.scrape import Scrape
from tests.simulator.client import PROJECT, Simulator

REQUESTS = 100
"""Each leaves two long lines."""

Ends = tuple[int, int]

TEXT, JSON = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+Z [A-Z]+ "), re.compile(rb"\{.*\}$")
"""How a line looks to a person, and to a program."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket, because the port cannot be read from the log."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=DEADLINE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(self._path))


class Unread:
    """A running service with two workers, whose log is not read until `read` is called."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], reader: int) -> None:
        self._socket = folder / "http.sock"
        self._reader = reader
        self._text = bytearray()
        self.process = process

    def get(self, path: str) -> Answer:
        with closing(UnixConnection(self._socket)) as connection:
            return ask(connection, path)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        end = monotonic() + DEADLINE
        while not condition():
            assert monotonic() < end, f"not within {DEADLINE} s: {what}"
            sleep(0.02)  # nothing tells

    def answers(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self.get("/health").status == 200
        return False

    def overflow(self) -> None:
        """Asks until a line more is dropped and counted."""
        before = self.dropped()

        def is_dropped() -> bool:
            assert {self.get("/health").status for _ in range(REQUESTS)} == {200}
            return self.dropped() > before

        self.until(is_dropped, "a line that is dropped and counted")

    def dropped(self) -> float:
        return Scrape(self.get("/metrics").body.decode()).value("log_lines_dropped_total") or 0.0

    def read(self) -> Thread:
        """The reader reads again, to the end."""

        def follow() -> None:
            with suppress(OSError):  # how a terminal ends
                while piece := os.read(self._reader, 1 << 16):
                    self._text += piece

        thread = Thread(target=follow)
        thread.start()
        return thread

    def lines(self) -> list[bytes]:
        return bytes(self._text).replace(b"\r\n", b"\n").splitlines()

    def told(self, text: str) -> bool:
        return text.encode() in self._text


@contextmanager
def unread(simulator: Simulator, folder: Path, ends: Ends, log_format: str = "json") -> Iterator[Unread]:
    reader, log = ends
    settings = {"WEB_CONCURRENCY": "2", "HOST": f"unix:{folder}/http.sock", "PORT": ""}
    settings["LOG_FORMAT"] = log_format
    process = subprocess.Popen(
        command("tests.process.chatty:app"),
        cwd=PROJECT,
        env=environment(simulator, settings),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    os.close(log)
    service = Unread(folder, process, reader)
    try:
        service.until(service.answers, "an answer")
        yield service
    finally:
        workers = children_of(process.pid)
        process.kill()
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        process.wait()
        os.close(reader)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("ends", [a_pipe, a_terminal, a_socket])
def test_a_stuck_reader_costs_nothing(simulator: Simulator, tmp_path: Path, ends: Callable[[], Ends]) -> None:
    with unread(simulator, tmp_path, ends()) as service:
        service.overflow()
        (victim, *_) = old = children_of(service.process.pid)
        os.kill(victim, signal.SIGKILL)
        service.until(lambda: bool(set(children_of(service.process.pid)) - set(old)), "a new worker")
        service.overflow()  # the dead one cannot tell what it dropped

        reading = service.read()
        if (
            ends is not a_terminal
        ):  # it takes parts of lines, so another process's line may stand within the word
            service.until(lambda: service.told("log line(s) were dropped"), "a word about what was dropped")
        service.process.terminate()
        assert service.process.wait(DEADLINE) == 0
        reading.join()
        assert service.told("Shutting down: Master")
        for line in service.lines() if ends is not a_terminal else ():
            assert line == chatty.LINE.encode() or isinstance(json.loads(line), dict), line


@pytest.mark.timeout(180)
def test_term_is_obeyed_while_nobody_reads_the_log(simulator: Simulator, tmp_path: Path) -> None:
    with unread(simulator, tmp_path, a_pipe()) as service:
        service.overflow()
        service.process.terminate()
        assert service.process.wait(DEADLINE) == 0


@pytest.mark.parametrize(
    ("ends", "begins"), [(a_terminal, TEXT), (a_pipe, JSON)], ids=["a terminal", "a pipe"]
)
def test_a_terminal_reads_text_and_a_pipe_json_unless_told_otherwise(
    simulator: Simulator, tmp_path: Path, ends: Callable[[], Ends], begins: re.Pattern[bytes]
) -> None:
    with unread(simulator, tmp_path, ends(), log_format="") as service:
        reading = service.read()
        assert service.get("/docs").status == 200
        service.process.terminate()
        assert service.process.wait(DEADLINE) == 0
        reading.join()
    lines = [line for line in service.lines() if line != chatty.LINE.encode()]
    assert any(b"serving at" in line for line in lines)
    assert any(b"/docs" in line and b"200" in line for line in lines)
    assert [line for line in lines if not begins.match(line)] == []
