"""Prices for programs that wait: threads, and greenlets where gevent has patched the standard library."""

import os
import socket
import ssl
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

from ltp_service.client.ask import Ask
from ltp_service.client.events import Candle, Event, Interval, Kind, PastPrice, Price
from ltp_service.client.past import AskPast, checked_interval
from ltp_service.client.settings import Settings, checked_pair, checked_pairs
from ltp_service.client.steps import NOTHING, Close, Open, Outcome, Receive, Result, Send, Sleep, Step, resume
from ltp_service.client.stream import SLICE, Stream

Answer = TypeVar("Answer")

PIECE = 65_536
"""Most bytes that are read at once."""


class Prices:
    """Prices of a service, and a stream of them.

    Threads may share one: each question and each stream has a connection of its own. So has a child after a fork.
    """

    def __init__(
        self, url: str | Sequence[str], *, api_key: str | None = None, max_age: float | None = None
    ) -> None:
        """`url` is the base URL of the service, or several that are tried in turn. `max_age`: the most seconds since the
        last evidence for a price; None leaves that to the service."""
        self._settings = Settings.read(url, api_key, max_age)
        self._ask = Ask(self._settings)
        self._past = AskPast(self._settings)
        self._is_closed = False

    def get(self, pair: str) -> Price:
        """The last price. Raises PricesError where there is none that the policy allows."""
        return self._run(self._ask.one(checked_pair(pair)))

    def get_many(self, pairs: Iterable[str] | None = None) -> dict[str, Price]:
        """The last prices by pair, of all pairs unless some are named. Raises SomeUnavailable where one has none."""
        return self._run(self._ask.many(checked_pairs(pairs)))

    def at(self, pair: str, moment: datetime | float) -> PastPrice:
        """The last price at a moment: a time with its zone, or unix seconds. Raises HistoryGap or HistoryUnknown where it
        cannot be told."""
        return self._run(self._past.at(checked_pair(pair), moment))

    def candles(
        self,
        pair: str,
        interval: Interval = "1m",
        *,
        start: datetime | float | None = None,
        end: datetime | float | None = None,
        limit: int | None = None,
    ) -> list[Candle]:
        """Every candle that begins from `start` to before `end` (now), oldest first and at most `limit`; without `start` the
        last ones, 60 unless `limit` says otherwise."""
        interval = checked_interval(interval)
        return self._run(self._past.candles(checked_pair(pair), interval, start, end, limit))

    def stream(
        self, pairs: Iterable[str] | None = None, events: Kind = "prices"
    ) -> Generator[Event, None, None]:
        """What happens, from now on and for ever; it connects again by itself. Use each in one thread."""
        self._check_open()
        return self._stream(Stream(self._settings, checked_pairs(pairs), checked_kind(events)))

    def close(self) -> None:
        """Ends the streams within a quarter of a second."""
        self._is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, core: Generator[Step, Result, Answer]) -> Answer:
        self._check_open()
        with Line() as line:
            return line.run(core)

    def _stream(self, stream: Stream) -> Generator[Event, None, None]:
        core, outcome = stream.run(), NOTHING
        with Line() as line:
            while not self._is_closed:
                item = resume(core, outcome)
                outcome = NOTHING
                if isinstance(item, Sleep):
                    self._sleep(item.seconds)
                elif isinstance(item, Step):
                    outcome = line.do(item)
                else:
                    yield item

    def _sleep(self, seconds: float) -> None:
        """Until then, or until the end."""
        clock = self._settings.clock
        until = clock() + seconds
        while not self._is_closed and (left := until - clock()) > 0:
            time.sleep(min(left, SLICE))

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError("these Prices are closed; make new ones")


class Line:
    """One connection at a time."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._pid = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def run(self, core: Generator[Step, Result, Answer]) -> Answer:
        """Does the steps of a core to its end. Raises what the core raises."""
        outcome = NOTHING
        while True:
            try:
                step = resume(core, outcome)
            except StopIteration as end:
                answer: Answer = end.value
                return answer
            outcome = self.do(step)

    def do(self, step: Step) -> Outcome:
        try:
            match step:
                case Open():
                    self._open(step)
                case Close():
                    self._close()
                case Send(content, seconds):
                    connection = self._connection()
                    connection.settimeout(seconds)
                    connection.sendall(content)
                case Receive(seconds):
                    return self._receive(seconds), None
                case Sleep(seconds):
                    time.sleep(seconds)
        except OSError as error:
            return None, error
        return None, None

    def _open(self, step: Open) -> None:
        self._close()
        base, until = step.base, time.monotonic() + step.seconds
        failure: OSError = OSError(f"{base.host} has no address")
        addresses = socket.getaddrinfo(base.host, base.port, type=socket.SOCK_STREAM)
        for place, (family, kind, protocol, _, address) in enumerate(addresses):
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(max(0.1, (until - time.monotonic()) / (len(addresses) - place)))
                connection.connect(address)
                if base.tls:
                    connection = ssl.create_default_context().wrap_socket(
                        connection, server_hostname=base.host
                    )
            except OSError as error:
                connection.close()
                failure = error
            else:
                self._socket, self._pid = connection, os.getpid()
                return
        raise failure

    def _receive(self, seconds: float) -> Result:
        connection = self._connection()
        connection.settimeout(seconds)
        try:
            return connection.recv(PIECE)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return None

    def _connection(self) -> socket.socket:
        if self._pid != os.getpid():
            self._close()
            raise ConnectionAbortedError("this process was forked, and makes a connection of its own")
        if self._socket is None:
            raise ConnectionAbortedError("not connected")
        return self._socket

    def _close(self) -> None:
        """Closes this process's end. The parent's, after a fork, goes on, for nothing is said on the line."""
        connection, self._socket = self._socket, None
        if connection is not None:
            with suppress(OSError):
                connection.close()


def checked_kind(events: str) -> Kind:
    """Raises ValueError for a word that is none."""
    if events not in ("prices", "trades", "all"):
        raise ValueError(f"events is {events!r}; write prices, trades or all")
    return events  # type: ignore[return-value]
