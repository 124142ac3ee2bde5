"""Many clients of the stream as a program of their own: 60 % ask for all pairs, 20 % for one, 20 % for two."""

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, NamedTuple, Self

from benchmarks.bench import Bench
from benchmarks.machine import on_cores
from tests.simulator.client import PROJECT

PATH = "/api/v1/stream"
PAIRS = ("BTC/USD", "BTC/EUR", "BTC/CHF", "BTC/CAD", "ETH/USD", "LTC/USD", "XRP/USD")
SETTINGS = {"STREAM_MAX": "6000", "TRUSTED_PROXIES": "1"}
"""Of a service for 5,000 clients and those that come and go beside them. Each address has no more than it may have."""


class Seen(NamedTuple):
    """What arrived in a time."""

    seconds: float
    events: int
    """Of prices."""
    frames: float
    """Sends of the server: one has an event for each pair of the client."""
    bytes: int
    closed: int
    """Connections that the server ended."""
    delays: list[float]
    """Seconds from the trade to some of the clients."""
    cpu: float
    """Seconds that the clients themselves used."""


class Crowd:
    """Use `with Crowd(bench, port, 5000) as crowd:`; each of them is served by then, but for the `mute` ones, that never
    read."""

    def __init__(self, bench: Bench, port: int, clients: int, *, mute: int = 0) -> None:
        self.clients = clients
        self.sent_per_beat = sum(map(expected_pairs, range(clients))) - mute * len(PAIRS)
        """Events to those that read, when each pair changes once."""
        command = [sys.executable, "-m", "benchmarks.crowd_clients", str(port), str(clients), str(mute)]
        with on_cores(bench.cores.driving):
            self._process = subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )

    def __enter__(self) -> Self:
        self._answer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def begin(self) -> None:
        """Counts from here: what is sent after this is counted."""
        self._order("begin")
        self._answer()

    def end(self) -> Seen:
        """What arrived since `begin`. It may be asked again and again."""
        self._order("end")
        return Seen(**self._answer())

    def _order(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        """Raises RuntimeError when the clients gave up."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} exited with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def question_of(place: int) -> str:
    """What the client at that place asks."""
    turn, kind = divmod(place, 5)
    first = turn % len(PAIRS)
    one, other = PAIRS[first], PAIRS[(first + 1) % len(PAIRS)]
    return {3: f"{PATH}?pair={one}", 4: f"{PATH}?pair={one},{other}"}.get(kind, PATH)


def expected_pairs(place: int) -> int:
    """How many pairs that client asks for."""
    return {3: 1, 4: 2}.get(place % 5, len(PAIRS))
