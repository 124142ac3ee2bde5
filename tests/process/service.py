"""Runs the service as it is run for real, gunicorn and gunicorn.conf.py, in a process of its own."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Any, Self

from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.process.answer import Answer, ask
from tests.simulator.client import PROJECT, Simulator

FED = "WebSocket connection established and subscribed to ticker data"
"""The line that a worker logs when its feed has begun."""

_PACE = 0.02
"""Seconds between looks at what is not in the log."""


class ServiceError(Exception):
    """The service did not do what it was waited for; the message ends with its last lines."""


def command(app: str = "wsgi:app") -> list[str]:
    """How the service is started; its settings come from gunicorn.conf.py in the project's root."""
    return [sys.executable, "-m", "gunicorn", app]


_ONE_AT_A_TIME = Lock()


@cache
def _made() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ltp-tests-")


def _scratch() -> str:
    """A folder that goes away with this process: one, even where two threads ask for it at the same time."""
    with _ONE_AT_A_TIME:
        return _made().name


def environment(simulator: Simulator | None, settings: Mapping[str, str]) -> dict[str, str]:
    """Ours without any setting that happens to be in it, then the test's: a free loopback port, no rate limit, no file
    in the project."""
    names = {field.upper() for field in Config.model_fields} | {"GUNICORN_CMD_ARGS"}
    ours = {name: value for name, value in os.environ.items() if name.upper() not in names}
    at = (
        {"KRAKEN_WEBSOCKET_URL": simulator.v2_url, "KRAKEN_REST_URL": simulator.rest_url} if simulator else {}
    )
    return (
        ours
        | {"HOST": "127.0.0.1", "PORT": "0", "RATE_LIMIT_ENABLED": "false", "COLLECTORS": ""}
        | {"DATABASE_PATH": f"{_scratch()}/ltp.sqlite3", "HISTORY_URL": ""}
        | at
        | dict(settings)
    )


class Service:
    """A running service. Use `with Service.start(simulator, CACHE_TTL="5s") as service:`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._news = Condition()
        self._lines: list[str] = []
        self._silent = False
        self._reader = Thread(target=self._read, name="log reader", daemon=True)
        self._reader.start()
        self.port = 0

    @classmethod
    def start(
        cls, simulator: Simulator | None, app: str = "wsgi:app", *, fed: bool = True, **settings: str
    ) -> Self:
        """Returns when every worker has begun to be fed; with `fed=False` as soon as one answers.

        Raises ServiceError when that does not happen."""
        process = subprocess.Popen(
            command(app),
            cwd=PROJECT,
            env=environment(simulator, settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return cls.begun(process, int(settings.get("WEB_CONCURRENCY", 1)) if fed else 0)

    @classmethod
    def begun(cls, process: subprocess.Popen[str], feeds: int) -> Self:
        """Of a process that was started in another way. Returns when that many of its workers have begun to be fed,
        and one answers.

        Raises ServiceError when that does not happen."""
        service = cls(process)
        try:
            service._begin(feeds)
        except BaseException:
            service.stop()
            raise
        return service

    def _begin(self, feeds: int) -> None:
        line = self.wait_for_line("Listening at: ")
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line["message"])
        assert found is not None, line
        self.port = int(found[1])
        if feeds:
            self.wait_for_line(FED, count=feeds)
        self.get("/health")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # The process.

    @property
    def master_pid(self) -> int:
        return self._process.pid

    def worker_pids(self) -> list[int]:
        """The master's children, oldest first."""
        return children_of(self.master_pid)

    def signal(self, number: signal.Signals) -> None:
        """To the master."""
        self._process.send_signal(number)

    def wait_for_exit(self, within: float = DEADLINE) -> int:
        """The exit code. Raises ServiceError when it still runs."""
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            raise self._failed(f"it did not end within {within} s") from None
        self._reader.join()
        return code

    def stop(self) -> None:
        """Ends the service the usual way, and by force where that does not work."""
        workers = self.worker_pids()
        self._process.terminate()
        try:
            self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            for pid in workers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    # HTTP.

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """On a connection of its own."""
        return self.send("GET", path, headers)

    def send(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Any other method; the body is empty."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            return ask(connection, path, headers, method)
        finally:
            connection.close()

    def ltp(self) -> dict[str, str]:
        """Pair → served amount, as the very digits of the answer; empty when no price is served."""
        items = self.get("/api/v1/ltp").json().get("ltp", [])
        return {item["pair"]: item["amount"] for item in items}

    def wait_until_served(self, pair: str, amount: str, within: float = DEADLINE) -> None:
        """Returns when the pair is served at that amount. Raises ServiceError."""
        self.until(lambda: self.ltp().get(pair) == amount, within, f"{pair} at {amount}")

    # The log.

    def log_lines(self) -> list[dict[str, Any]]:
        """What was logged so far. Raises ServiceError for a line that is not one JSON object."""
        with self._news:
            lines = list(self._lines)
        return [self._object(line) for line in lines]

    def messages(self) -> list[str]:
        return [line["message"] for line in self.log_lines()]

    def wait_for_line(self, text: str, *, count: int = 1) -> dict[str, Any]:
        """The line that completes `count` lines with that text in the message. Raises ServiceError."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.log_lines() if text in line["message"]]

        self.until(lambda: len(found()) >= count or self._silent, what=f"{count} x {text!r} in the log")
        lines = found()
        if len(lines) < count:
            raise self._failed(f"it ended without {count} x {text!r} in its log")
        return lines[count - 1]

    def until(
        self, condition: Callable[[], bool], within: float = DEADLINE, what: str = "what was waited for"
    ) -> None:
        """Returns when the condition holds; looks again at each new log line. Raises ServiceError."""
        end = time.monotonic() + within
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                raise self._failed(f"not within {within} s: {what}")
            with self._news:
                self._news.wait(min(left, _PACE))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard(line.rstrip("\n"))
        self._heard(None)

    def _heard(self, line: str | None) -> None:
        with self._news:
            if line is None:
                self._silent = True
            else:
                self._lines.append(line)
            self._news.notify_all()

    def _object(self, line: str) -> dict[str, Any]:
        try:
            entry: Any = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise self._failed(f"a log line that is not a JSON object: {line!r}")
        return entry

    def _failed(self, what: str) -> ServiceError:
        with self._news:
            last = "\n  ".join(self._lines[-20:])
        return ServiceError(f"{what}; its last lines:\n  {last}")


def children_of(pid: int) -> list[int]:
    """The processes it started that have not ended, oldest first."""
    return sorted(int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(path) == pid)


def _parent(process: Path) -> int | None:
    """The parent's process id; None when the process is gone."""
    try:
        stat = (process / "stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])
