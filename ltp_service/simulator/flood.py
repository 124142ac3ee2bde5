"""Floods: ticker frames of Kraken's, encoded ahead and sent in batches; trades and book updates of the others."""

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from ltp_service.simulator.connection import Connection
from ltp_service.simulator.dialect import KrakenDialect
from ltp_service.simulator.exchange import Exchange
from ltp_service.simulator.kraken import Client, Kraken, topic_of
from ltp_service.simulator.market import KrakenTape, Pair, SpotTape, Trade
from ltp_service.simulator.questions import Kind, Outgoing, passes
from ltp_service.simulator.spot import Spot
from ltp_service.simulator.wire import rfc3339, text_frame

BATCH = 500
TICK_SECONDS = 0.002
YIELD_SECONDS = 0.0001  # long enough for another thread to get the exchange's lock, which is not fair
MOST_TRADES = 10  # of one match event, as recorded
MOST_LEVELS = 4  # of one book update
_PACE = 50  # book updates between two looks at the clients
_PRICES = 16
_RECORDED = 200
_BACKLOG = 1024 * 1024
_PATIENCE = 0.1
_SECOND = 1_000_000
_MARK = b"1970-01-01T00:00:00.000000Z"


class Flood(ABC):
    """Runs until it is over or stopped."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    @abstractmethod
    def run(self) -> int:
        """Returns how many frames, trades or updates there were."""

    def stop(self) -> None:
        self._stop.set()

    def _wait_for(self, clients: Iterable[Connection[Any]]) -> None:
        """Until each has little before it."""
        for client in clients:
            while not client.outbox.wait_until_below(_BACKLOG, _PATIENCE) and not self._stop.is_set():
                pass


@dataclass(frozen=True, slots=True)
class Form:
    """A ticker frame cut where its time goes; the frame of a dialect without a time has no tail."""

    head: bytes
    tail: bytes | None

    def frame(self, moment: bytes) -> bytes:
        return self.head if self.tail is None else self.head + moment + self.tail


class TickerFlood(Flood):
    """Ticker frames of one pair to its subscribers, each one a trade of the market as well.

    They are cut out of ready-made forms: over 150,000/s."""

    def __init__(self, exchange: Kraken, pair: Pair, rate: float, seconds: float) -> None:
        """`rate` frames per second for that long; 0: as fast as the clients read."""
        super().__init__()
        self._exchange = exchange
        self._pair = pair
        self._rate = rate
        self._seconds = seconds
        self._forms: dict[str, list[Form]] = {}
        with exchange.lock:
            self._prices = self._make_prices(exchange.market.tapes[pair.name])

    def run(self) -> int:
        started = time.monotonic()
        sent = 0
        while not self._stop.is_set() and (elapsed := time.monotonic() - started) < self._seconds:
            due = min(int(elapsed * self._rate) - sent, BATCH) if self._rate else BATCH
            if due > 0:
                self._send(due)
                sent += due
            if not self._rate:
                self._stop.wait(YIELD_SECONDS if self._receivers() else TICK_SECONDS)
                self._wait_for(self._receivers())
            elif due < BATCH:
                self._stop.wait(TICK_SECONDS)
        return sent

    def _receivers(self) -> list[Client]:
        return self._exchange.subscribers(topic_of("ticker", self._pair.name).name)

    def _send(self, count: int) -> None:
        exchange = self._exchange
        with exchange.lock:
            tape = exchange.market.tapes[self._pair.name]
            start = _moment(exchange.market.now(), tape.last.micros, count)
            self._record(tape, start, count)
            if not exchange.faults.all(passes, Outgoing(Kind.TICKER, self._pair.name)):
                return
            batches: dict[str, bytes] = {}
            for connection in self._receivers():
                name = connection.dialect.name
                if name not in batches:
                    batches[name] = self._batch(connection.dialect, start, count)
                connection.send(batches[name], count)

    def _make_prices(self, tape: KrakenTape) -> list[Trade]:
        base = Decimal(tape.last.price)
        return [
            replace(tape.last, price=f"{base + self._pair.increment * number:f}", side="buy")
            for number in range(_PRICES)
        ]

    def _record(self, tape: KrakenTape, start: int, count: int) -> None:
        """The trades of this batch onto the tape, on which the last 200 stand for all."""
        first_id = tape.next_id
        for number in range(max(0, count - _RECORDED), count):
            trade = self._prices[number % _PRICES]
            tape.add([replace(trade, micros=start + number, trade_id=first_id + number)])

    def _batch(self, dialect: KrakenDialect, start: int, count: int) -> bytes:
        forms = self._forms_for(dialect)
        if forms[0].tail is None:
            return b"".join([forms[number % _PRICES].head for number in range(count)])
        second, micros = divmod(start, _SECOND)
        stamp = rfc3339(second * _SECOND)[:-7].encode()
        return b"".join(
            [forms[number % _PRICES].frame(b"%b%06dZ" % (stamp, micros + number)) for number in range(count)]
        )

    def _forms_for(self, dialect: KrakenDialect) -> list[Form]:
        if dialect.name not in self._forms:
            tape = self._exchange.market.tapes[self._pair.name]
            self._forms[dialect.name] = [_form(dialect, tape, trade) for trade in self._prices]
        return self._forms[dialect.name]


def _form(dialect: KrakenDialect, tape: KrakenTape, trade: Trade) -> Form:
    text = dialect.ticker(tape.ticker(replace(trade, micros=0)), snapshot=False)
    head, mark, tail = text_frame(text).partition(_MARK)
    return Form(head, tail if mark else None)


def _moment(now: int, last: int, count: int) -> int:
    """The first of `count` successive microseconds within one second, after `last`."""
    start = max(now, last + 1)
    return start if start % _SECOND + count <= _SECOND else (start // _SECOND + 1) * _SECOND


class TradeFlood(Flood):
    """Match events of one to ten trades, one pair after the other."""

    def __init__(
        self, exchange: Spot, tapes: Sequence[SpotTape], seed: int, rate: float, seconds: float
    ) -> None:
        """`rate` trades per second for that long, all pairs together."""
        super().__init__()
        self._exchange = exchange
        self._tapes = tapes
        self._choice = random.Random(seed)
        self._rate = rate
        self._total = int(rate * seconds)

    def run(self) -> int:
        started = time.monotonic()
        sent = turn = 0
        while sent < self._total and not self._stop.is_set():
            due = min(int((time.monotonic() - started) * self._rate), self._total) - sent
            burst = min(due, BATCH)
            while burst > 0:
                trades = min(burst, self._choice.randint(1, MOST_TRADES))
                self._exchange.trade(self._tapes[turn % len(self._tapes)], trades)
                turn += 1
                burst -= trades
                sent += trades
            if due < BATCH:
                self._stop.wait(TICK_SECONDS)
        return sent


class BookChurn(Flood):
    """Random changes of one book, the same ones for the same seed."""

    def __init__(
        self,
        exchange: Exchange[Any],
        change: Callable[[int, bool], None],
        seed: int,
        updates: int,
        gaps: int = 0,
        rate: float = 0,
    ) -> None:
        """`change` makes one of so many levels, which gets lost or not. That many updates of one to four levels, of which `gaps` get lost on their way; `rate` per second, 0: as fast
        as the clients read."""
        super().__init__()
        self._exchange = exchange
        self._change = change
        self._choice = random.Random(seed)
        self._updates = updates
        self._lost = set(self._choice.sample(range(updates), gaps))
        self._rate = rate

    def run(self) -> int:
        started = time.monotonic()
        for number in range(self._updates):
            if self._stop.is_set():
                return number
            levels = self._choice.randint(1, MOST_LEVELS)
            self._change(levels, number in self._lost)
            if self._rate:
                self._stop.wait(max(0.0, started + (number + 1) / self._rate - time.monotonic()))
            elif number % _PACE == _PACE - 1:
                self._wait_for(self._exchange.connections())
        return self._updates
