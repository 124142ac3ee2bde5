"""Prices for programs on asyncio."""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from ltp_service.client.ask import Ask
from ltp_service.client.blocking import PIECE, checked_kind
from ltp_service.client.events import Candle, Event, Interval, Kind, PastPrice, Price
from ltp_service.client.past import AskPast, checked_interval
from ltp_service.client.settings import Settings, checked_pair, checked_pairs
from ltp_service.client.steps import NOTHING, Close, Open, Outcome, Receive, Result, Send, Sleep, Step, resume
from ltp_service.client.stream import SLICE, Stream

Answer = TypeVar("Answer")

TURNS = 4
"""Turns of the event loop after which what the system holds for a connection is read: it is noticed in the first, read and,
with TLS, decrypted in the second, and the reader wakes in the third."""


class AsyncPrices:
    """Prices of a service, and a stream of them: Prices for asyncio."""

    def __init__(
        self, url: str | Sequence[str], *, api_key: str | None = None, max_age: float | None = None
    ) -> None:
        """As of Prices."""
        self._settings = Settings.read(url, api_key, max_age)
        self._ask = Ask(self._settings)
        self._past = AskPast(self._settings)
        self._is_closed = False

    async def get(self, pair: str) -> Price:
        """The last price. Raises PricesError where there is none that the policy allows."""
        return await self._run(self._ask.one(checked_pair(pair)))

    async def get_many(self, pairs: Iterable[str] | None = None) -> dict[str, Price]:
        """The last prices by pair, of all pairs unless some are named. Raises SomeUnavailable where one has none."""
        return await self._run(self._ask.many(checked_pairs(pairs)))

    async def at(self, pair: str, moment: datetime | float) -> PastPrice:
        """The last price at a moment: a time with its zone, or unix seconds. Raises HistoryGap or HistoryUnknown where it
        cannot be told."""
        return await self._run(self._past.at(checked_pair(pair), moment))

    async def candles(
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
        return await self._run(self._past.candles(checked_pair(pair), interval, start, end, limit))

    def stream(
        self, pairs: Iterable[str] | None = None, events: Kind = "prices"
    ) -> AsyncGenerator[Event, None]:
        """What happens, from now on and for ever; it connects again by itself."""
        self._check_open()
        return self._stream(Stream(self._settings, checked_pairs(pairs), checked_kind(events)))

    async def close(self) -> None:
        """Ends the streams within a quarter of a second."""
        self._is_closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, core: Generator[Step, Result, Answer]) -> Answer:
        self._check_open()
        line = Line()
        try:
            return await line.run(core)
        finally:
            line.close()

    async def _stream(self, stream: Stream) -> AsyncGenerator[Event, None]:
        core, outcome = stream.run(), NOTHING
        line = Line()
        try:
            while not self._is_closed:
                item = resume(core, outcome)
                outcome = NOTHING
                if isinstance(item, Sleep):
                    await self._sleep(item.seconds)
                elif isinstance(item, Step):
                    outcome = await line.do(item)
                else:
                    yield item
        finally:
            line.close()

    async def _sleep(self, seconds: float) -> None:
        """Until then, or until the end."""
        clock = self._settings.clock
        until = clock() + seconds
        while not self._is_closed and (left := until - clock()) > 0:
            await asyncio.sleep(min(left, SLICE))

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError("these AsyncPrices are closed; make new ones")


class Line:
    """One connection at a time."""

    def __init__(self) -> None:
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[bytes] | None = None
        self._pid = os.getpid()

    async def run(self, core: Generator[Step, Result, Answer]) -> Answer:
        """Does the steps of a core to its end. Raises what the core raises."""
        outcome = NOTHING
        while True:
            try:
                step = resume(core, outcome)
            except StopIteration as end:
                answer: Answer = end.value
                return answer
            outcome = await self.do(step)

    async def do(self, step: Step) -> Outcome:
        try:
            match step:
                case Open():
                    await self._open(step)
                case Close():
                    self.close()
                case Send(content, seconds):
                    await self._send(content, seconds)
                case Receive(seconds):
                    return await self._receive(seconds), None
                case Sleep(seconds):
                    await asyncio.sleep(seconds)
        except OSError as error:
            return None, error
        return None, None

    def close(self) -> None:
        reading, self._reading = self._reading, None
        writer, self._writer, self._reader = self._writer, None, None
        if reading is not None and not reading.cancel() and not reading.cancelled():
            reading.exception()  # it has been looked at
        if writer is not None:
            with suppress(RuntimeError):  # the loop may be closed already
                writer.transport.abort()

    async def _open(self, step: Open) -> None:
        self.close()
        base = step.base
        context = ssl.create_default_context() if base.tls else None
        connecting = asyncio.open_connection(base.host, base.port, ssl=context)
        self._reader, self._writer = await asyncio.wait_for(connecting, step.seconds)
        self._pid = os.getpid()

    async def _send(self, content: bytes, seconds: float) -> None:
        self._check()
        if self._writer is not None:
            self._writer.write(content)
            await asyncio.wait_for(self._writer.drain(), seconds)

    async def _receive(self, seconds: float) -> Result:
        self._check()
        if self._reader is None:
            raise ConnectionAbortedError("not connected")
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._reader.read(PIECE))
        if seconds:
            await asyncio.wait({self._reading}, timeout=seconds)
        for _ in range(TURNS):
            if not self._reading.done():
                await asyncio.sleep(0)
        if not self._reading.done():
            return None
        reading, self._reading = self._reading, None
        return reading.result()

    def _check(self) -> None:
        if self._pid != os.getpid():
            self._leave_to_parent()
            raise ConnectionAbortedError("this process was forked, and makes a connection of its own")

    def _leave_to_parent(self) -> None:
        """Closes this process's end alone. The loop and the connection stay untouched, because the parent uses both."""
        if self._writer is not None:
            with Path(os.devnull).open() as nothing:
                os.dup2(nothing.fileno(), self._writer.get_extra_info("socket").fileno())
        self._reader = self._writer = self._reading = None
