"""One client of the stream in a process of its own: `python -m tests.drill.listener PORT PATH FILE`.

It connects again after each end, with the id of the last event it got. Obeys `cut` on standard input, which ends its
connection, and ends when standard input does. Then it writes one line of JSON for each thing that it was told.
"""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, Self

from tests.simulator.client import PROJECT

PATH = "/api/v1/stream"
OPENED, REFUSED, CLOSED = "(opened)", "(refused)", "(closed)"
"""What a connection tells by itself, in place of an event's name."""

PATIENCE = 20.0
"""Seconds without a byte after which it hangs up."""

AGAIN = 0.2
"""Seconds before it connects again, unless it was told how long to wait."""


class Told(NamedTuple):
    """One event, or what became of a connection."""

    moment: float
    """Monotonic seconds."""
    connection: int
    """How many came before it."""
    name: str
    id: str
    data: dict[str, Any]
    """Numbers are texts."""


class Listener:
    """Starts it; `stop` ends it and returns what it was told."""

    def __init__(self, process: subprocess.Popen[str], file: Path) -> None:
        self._process = process
        self._file = file

    @classmethod
    def start(cls, port: int, file: Path, path: str = PATH) -> Self:
        command = [sys.executable, "-m", "tests.drill.listener", str(port), path, str(file)]
        process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        return cls(process, file)

    def cut(self) -> None:
        """Its connection breaks."""
        assert self._process.stdin is not None
        self._process.stdin.write("cut\n")
        self._process.stdin.flush()

    def stop(self) -> list[Told]:
        self._process.communicate()
        with self._file.open() as lines:
            return [Told(*json.loads(line)) for line in lines]

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


class _Ear:
    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._path = path
        self._connection = -1
        self._last_id = ""
        self._wait = AGAIN
        self._socket: socket.socket | None = None
        self.told: list[Told] = []

    def run(self) -> None:
        while True:
            self._connection += 1
            self._wait = AGAIN
            try:
                self._converse()
            except (OSError, http.client.HTTPException) as error:
                self._note(CLOSED, {"error": type(error).__name__})
            time.sleep(self._wait)  # as any client that was cut off

    def cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _converse(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request(
                "GET", self._path, headers={"Last-Event-ID": self._last_id} if self._last_id else {}
            )
            self._socket = connection.sock
            response = connection.getresponse()
            if response.status != 200:
                self._note(REFUSED, {"status": str(response.status)})
                return
            self._note(OPENED, {"resumes": self._last_id})
            self._read(response)
            self._note(CLOSED, {})
        finally:
            connection.close()

    def _read(self, response: http.client.HTTPResponse) -> None:
        left = b""
        while piece := response.read1():
            *events, left = (left + piece).split(b"\n\n")
            for event in events:
                self._take(event.decode())

    def _take(self, event: str) -> None:
        """Notes it; a comment is no event."""
        fields = {name: value.lstrip(" ") for name, _, value in (line.partition(":") for line in event.split("\n"))}  # fmt: skip
        self._wait = int(fields.get("retry", 1000 * self._wait)) / 1000
        if "event" not in fields:
            return
        self._last_id = fields.get("id", self._last_id)
        self._note(fields["event"], json.loads(fields["data"], parse_float=str, parse_int=str))

    def _note(self, name: str, data: dict[str, Any]) -> None:
        self.told.append(Told(time.monotonic(), self._connection, name, self._last_id, data))


def main(port: int, path: str, file: Path) -> None:
    ear = _Ear(port, path)
    Thread(target=ear.run, name="ear", daemon=True).start()
    print("started", flush=True)
    for _ in sys.stdin:
        ear.cut()
    with file.open("w") as out:
        out.writelines(f"{json.dumps(told)}\n" for told in list(ear.told))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
