"""The Python client's stream in a process of its own: `python -m tests.drill.subscriber URL FILE [MAX_AGE]`.

It writes each event as it takes it, one line of JSON, in the shape of what a listener is told. At SIGUSR1 it forks after the
next event: the parent goes on, and so does the child, which writes into FILE.child. It ends at SIGTERM.
"""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self, TextIO

from ltp_service.client import Disconnected, Event, Gap, Price, Prices, Trade, Unavailable
from tests.drill.listener import CLOSED, OPENED, Told
from tests.simulator.client import PROJECT


class Subscriber:
    """Starts it; `stop` ends it and returns what each process was told: its own, and its child's after a fork."""

    def __init__(self, process: subprocess.Popen[str], file: Path) -> None:
        self._process = process
        self._file = file

    @classmethod
    def start(cls, port: int, file: Path, max_age: float | None = None) -> Self:
        url = f"http://127.0.0.1:{port}"
        policy = [] if max_age is None else [str(max_age)]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.drill.subscriber", url, str(file), *policy],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that a child is ended with it
        )
        assert process.stdout is not None
        process.stdout.readline()
        return cls(process, file)

    def fork(self) -> None:
        self._process.send_signal(signal.SIGUSR1)

    def told(self) -> list[Told]:
        """So far, of the first process."""
        return _read(self._file)

    def stop(self) -> list[list[Told]]:
        self.kill()
        return [_read(file) for file in (self._file, _childs(self._file)) if file.exists()]

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        with self._process:  # waits for it
            pass


def _childs(file: Path) -> Path:
    return file.with_name(f"{file.name}.child")


def _read(file: Path) -> list[Told]:
    """The last line may be half written."""
    whole = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [Told(*json.loads(line)) for line in whole]


class _Book:
    """Writes events as a connection's: from the first one to Disconnected."""

    def __init__(self, file: Path) -> None:
        self._out = _opened(file)
        self._file = file
        self._connection = 0
        self._is_open = False

    def take(self, event: Event) -> None:
        if isinstance(event, Disconnected):
            self._write(CLOSED, {"reason": event.reason})
            self._connection += 1
            self._is_open = False
            return
        if not self._is_open:
            self._is_open = True
            self._write(OPENED, {})
        self._write(*_shape(event))

    def begin_child(self) -> None:
        """All that is written so far is in the parent's file. What was read before the fork is still told, to both."""
        self._out = _opened(_childs(self._file))
        self._is_open = False

    def _write(self, name: str, data: dict[str, Any]) -> None:
        self._out.write(f"{json.dumps(Told(time.monotonic(), self._connection, name, '', data))}\n")


def _opened(file: Path) -> TextIO:
    return file.open("w", buffering=1)


def _shape(event: Price | Unavailable | Trade | Gap) -> tuple[str, dict[str, Any]]:
    """As the event of a stream: numbers are texts. What the client does not hand out is a price without an amount."""
    match event:
        case Price():
            return "price", {
                "pair": event.pair,
                "amount": str(event.amount),
                "price": event.price,
                "state": event.state,
                "source": event.source,
                "age_ms": str(math.ceil(1000 * event.age)),
                "trade_id": _text(event.trade_id),
            }
        case Unavailable():
            nothing = {"amount": None, "price": None, "source": None, "age_ms": None, "trade_id": None}
            return "price", {"pair": event.pair, "state": "stale", **nothing}
        case Trade():
            return "trade", {
                "pair": event.pair,
                "price": str(event.price),
                "trade_id": _text(event.trade_id),
            }
        case Gap():
            ends = {"after_trade_id": event.after_trade_id, "before_trade_id": event.before_trade_id}
            return "gap", {"pair": event.pair, **{name: _text(each) for name, each in ends.items()}}


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def main(url: str, file: Path, max_age: float | None) -> None:
    asked: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: asked.append(number))
    parent, book = os.getppid(), _Book(file)
    events = Prices(url, max_age=max_age).stream(events="all")
    print("started", flush=True)
    for event in events:
        book.take(event)
        if os.getppid() != parent:  # the process that started it is gone
            return
        if asked:
            asked.clear()
            parent = os.getpid()
            if os.fork():
                parent = os.getppid()
            else:
                book.begin_child()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]) if sys.argv[3:] else None)
