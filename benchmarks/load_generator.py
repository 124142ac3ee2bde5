"""python -m benchmarks.load_generator: GET requests from many connections, one JSON line of results."""

import argparse
import json
import selectors
import socket
import time
from collections import deque
from dataclasses import dataclass

from benchmarks.bench import percentile
from benchmarks.keep_alive import answer_length, request

_READ_SIZE = 65_536
_PATIENCE = 20.0
"""Seconds without any answer after which the server counts as dead."""


@dataclass(eq=False)
class Connection:
    """One socket and the question it waits for."""

    socket: socket.socket
    due: float = 0.0
    received: bytes = b""


class Generator:
    """Closed loop (each connection asks again when it is answered), or open loop (`rate` questions per second)."""

    def __init__(
        self, port: int, connections: int, question: bytes, seconds: float, rate: float | None
    ) -> None:
        self._seconds = seconds
        self._started = 0.0
        self._question = question
        self._rate = rate
        # The others round their timeouts up to a millisecond, which an open loop would count as latency.
        self._selector = selectors.SelectSelector()
        self._idle: deque[Connection] = deque()
        self._latencies: list[float] = []
        self._sent = 0
        self.failed = 0
        for _ in range(connections):
            connection = Connection(socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE))
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            self._idle.append(connection)

    def run(self) -> list[float]:
        """The latency of each answer in seconds. Raises TimeoutError when the server stops answering."""
        self._started = time.perf_counter()
        while self._asking() or self._busy():
            if time.perf_counter() - self._started > self._seconds + _PATIENCE:
                raise TimeoutError(f"{self._busy()} requests were never answered")
            self._ask()
            self._listen()
        return self._latencies

    def _asking(self) -> bool:
        """An open loop asks all that is due, even when it is late."""
        if self._rate:
            return self._sent < self._rate * self._seconds
        return time.perf_counter() - self._started < self._seconds

    def _busy(self) -> int:
        return len(self._selector.get_map()) - len(self._idle)

    def _ask(self) -> None:
        while self._idle and self._asking() and (due := self._due()) <= time.perf_counter():
            connection = self._idle.popleft()
            connection.due, connection.received = due, b""
            connection.socket.sendall(self._question)
            self._sent += 1

    def _due(self) -> float:
        """When the next question is to be asked; an open loop counts from then, however late it gets asked."""
        return self._started + self._sent / self._rate if self._rate else time.perf_counter()

    def _listen(self) -> None:
        timeout = 0.05
        if self._idle and self._asking():
            timeout = max(0.0, min(timeout, self._due() - time.perf_counter()))
        for key, _ in self._selector.select(timeout):
            self._read(key.data)

    def _read(self, connection: Connection) -> None:
        piece = connection.socket.recv(_READ_SIZE)
        connection.received += piece
        if not piece:
            self.failed += 1
            self._selector.unregister(connection.socket)
            return
        length = answer_length(connection.received)
        if length is not None and len(connection.received) >= length:
            self._latencies.append(time.perf_counter() - connection.due)
            self.failed += connection.received[9:12] >= b"400"
            self._idle.append(connection)


def main() -> None:
    """Runs one load and prints what it met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load_generator", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/")
    parser.add_argument("--headers", type=json.loads, default={}, help="a JSON object")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rate", type=float, help="requests per second; without it as many as are answered")
    options = parser.parse_args()
    question = request(options.path, options.headers)
    generator = Generator(options.port, options.connections, question, options.seconds, options.rate)
    started = time.perf_counter()
    latencies = generator.run()
    report = {
        "requests": len(latencies),
        "per_second": len(latencies) / (time.perf_counter() - started),
        "p50": percentile(latencies, 50),
        "p99": percentile(latencies, 99),
        "failed": generator.failed,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
