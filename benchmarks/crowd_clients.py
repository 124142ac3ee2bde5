"""python -m benchmarks.crowd_clients PORT CLIENTS MUTE: many clients of the stream, in one process.

Prints {"open": N} when all are served. Then it takes orders on standard input, one a line: `begin` starts to count and
prints {}, `end` prints one line of JSON about what arrived since. Ends when standard input does.
"""

import json
import os
import select
import socket
import sys
import time
from datetime import datetime
from typing import Any, NamedTuple

from benchmarks.crowd import PAIRS, expected_pairs, question_of

PATIENCE = 30.0
"""Seconds without any client being answered after which the server counts as dead."""

_UNANSWERED = 64
"""Clients at most that wait for their first bytes: the listener's queue is short."""

_PER_ADDRESS = 20
"""Clients of one address, as many as the service takes with its default settings."""

_SAMPLED = 50
"""Clients at most whose delays are read: reading them costs ten times what counting costs."""

_MUTE_BUFFER = 4096
"""Bytes that the system takes in for a client that reads nothing."""

_READ_SIZE = 65_536
_EVENT, _TRADED_AT = b"event: price", b'"traded_at":"'


class Refused(Exception):
    """The server answered something else than a stream."""


class Client(NamedTuple):
    """One connection."""

    socket: socket.socket
    pairs: int
    """How many it asked for."""
    is_sampled: bool


class Clients:
    """All of them. Those that are mute read nothing, not even the head of the answer."""

    def __init__(self, port: int, number: int, mute: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._reading: dict[int, Client] = {}
        self._mute: list[socket.socket] = []
        self._buffer = bytearray(_READ_SIZE)
        self._every = max(1, number // _SAMPLED)
        self.open(number, mute)
        self.begin()

    def open(self, number: int, mute: int) -> None:
        """Returns when each has its first bytes. Raises Refused or TimeoutError."""
        unanswered: set[int] = set()
        # The first that ask for all pairs are the mute ones, for whom most is sent.
        for place in range(number):
            if mute and expected_pairs(place) == len(PAIRS):
                mute -= 1
                self._mute.append(self._connected(place, _MUTE_BUFFER))
                continue
            opened = Client(
                self._connected(place), expected_pairs(place), is_sampled=place % self._every == 0
            )
            opened.socket.setblocking(False)
            handle = opened.socket.fileno()
            self._reading[handle] = opened
            self._epoll.register(handle, select.EPOLLIN)
            unanswered.add(handle)
            while len(unanswered) >= _UNANSWERED:
                self._await_first(unanswered)
        while unanswered:
            self._await_first(unanswered)

    def _connected(self, place: int, buffer: int = 0) -> socket.socket:
        opened = socket.socket()
        opened.settimeout(PATIENCE)
        if buffer:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        address = place // _PER_ADDRESS
        opened.bind((f"127.0.{1 + address // 250}.{1 + address % 250}", 0))
        opened.connect(("127.0.0.1", self._port))
        opened.sendall(f"GET {question_of(place)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return opened

    def _await_first(self, unanswered: set[int]) -> None:
        ready = self._epoll.poll(PATIENCE)
        if not ready:
            raise TimeoutError(f"{len(unanswered)} clients got no answer within {PATIENCE:g} s")
        for handle, _ in ready:
            client = self._reading[handle]
            read = client.socket.recv_into(self._buffer)
            if handle in unanswered and not self._buffer.startswith(b"HTTP/1.1 200"):
                raise Refused(bytes(self._buffer[:read]).decode("latin-1")[:500])
            unanswered.discard(handle)

    def begin(self) -> None:
        """Counts from here."""
        self._begun = time.monotonic()
        self._events = dict.fromkeys(range(1, len(PAIRS) + 1), 0)
        self._bytes = self._closed = 0
        self._delays: list[float] = []
        self._cpu = time.process_time()

    def report(self) -> dict[str, Any]:
        """What arrived. A frame has one event for each pair that its client asked for."""
        return {
            "seconds": time.monotonic() - self._begun,
            "events": sum(self._events.values()),
            "frames": sum(events / pairs for pairs, events in self._events.items()),
            "bytes": self._bytes,
            "closed": self._closed,
            "delays": self._delays,
            "cpu": time.process_time() - self._cpu,
        }

    def obey(self) -> None:
        """Until standard input ends."""
        orders = sys.stdin.fileno()
        self._epoll.register(orders, select.EPOLLIN)
        while True:
            for handle, _ in self._epoll.poll():
                if handle != orders:
                    self._read(handle)
                    continue
                order = os.read(orders, 100)
                if not order:
                    return
                if order == b"begin\n":
                    self.begin()
                    answer: dict[str, Any] = {}
                else:
                    answer = self.report()
                print(json.dumps(answer), flush=True)

    def _read(self, handle: int) -> None:
        client, buffer = self._reading[handle], self._buffer
        try:
            read = client.socket.recv_into(buffer)
        except OSError:
            read = 0
        if not read:
            self._closed += 1
            self._epoll.unregister(handle)
            client.socket.close()
            del self._reading[handle]
            return
        self._bytes += read
        self._events[client.pairs] += buffer.count(_EVENT, 0, read)
        if client.is_sampled:
            at = buffer.rfind(_TRADED_AT, 0, read)
            end = buffer.find(b'"', at + len(_TRADED_AT), read)
            if at >= 0 and end >= 0:
                traded_at = bytes(buffer[at + len(_TRADED_AT) : end]).decode()
                self._delays.append(time.time() - datetime.fromisoformat(traded_at).timestamp())

    def close(self) -> None:
        """Hangs up."""
        for each in (*(client.socket for client in self._reading.values()), *self._mute):
            each.close()


def main(port: int, number: int, mute: int) -> None:
    """Serves the orders of the program that measures."""
    clients = Clients(port, number, mute)
    print(json.dumps({"open": number}), flush=True)
    clients.obey()
    clients.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
