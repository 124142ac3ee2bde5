"""Stand-ins for what the service is given from outside: time, a socket, meters."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from ltp_service import meters
from ltp_service.domain.errors import ExchangeError, Unreachable
from ltp_service.domain.exchange_clock import ExchangeClock
from ltp_service.domain.market import MarketStatus
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import WEBSOCKET, Source, Tick
from ltp_service.exchanges.kraken import KrakenCollector
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.connection import Connection
from ltp_service.feed.contract import Equipment
from ltp_service.feed.loop import Collector
from ltp_service.meters import (
    CONNECTION_ERRORS,
    DEAF_BOOKS,
    FRAMES,
    FRAMES_REFUSED,
    TRADES_MISSED,
    Histogram,
    Labels,
    Meters,
    Row,
)
from ltp_service.prices.changes import Changes
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.memory import Journal, MemoryStore
from ltp_service.prices.quarantine import Quarantine
from ltp_service.prices.store import Store
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE

BTC, ETH, XRP = Pair("BTC", "USD"), Pair("ETH", "USD"), Pair("XRP", "USD")

NOON = 1_790_000_000.0
"""Unix seconds that the fake clock shows at its beginning: 2026-09-21."""


class FakeClock:
    """Both clocks stand still until told to go on."""

    def __init__(self, monotonic: float = 1000.0, wall: float = NOON) -> None:
        self._monotonic, self._wall = monotonic, wall

    def monotonic(self) -> float:
        return self._monotonic

    def wall(self) -> float:
        return self._wall

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._monotonic += seconds
        self._wall += seconds

    def sleep(self, seconds: float) -> None:
        """Takes no time and moves the clock."""
        self.advance(seconds)

    def set_wall(self, unix_seconds: float) -> None:
        """The machine's clock is set; no time passes."""
        self._wall = unix_seconds


def runtime(clock: FakeClock | None = None, meters: Meters | None = None, **more: Any) -> Runtime:
    """A world that a test steers: by default no server listens, and chance gives its highest number."""
    clock = clock or FakeClock()
    given = {"sleep": clock.sleep, "random": lambda: 1.0, **more}
    return Runtime(clock, meters or Meters(), **given)


class RecordingMeters(Meters):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.reports: list[tuple[object, ...]] = []
        """Meter and labels of each report."""
        self.counted: defaultdict[object, Counter[str]] = defaultdict(Counter)
        """By meter and the last of its labels."""
        self.observed: defaultdict[object, list[float]] = defaultdict(list)
        self.frames, self.refused = self.counted[FRAMES], self.counted[FRAMES_REFUSED]
        self.missed, self.deaf = self.counted[TRADES_MISSED], self.counted[DEAF_BOOKS]

    def count(self, counter: meters.Counter[*Labels], *labels: *Labels, amount: int = 1) -> None:
        self.reports.append((counter, *labels))
        *_, last = "", *labels
        self.counted[counter][str(last)] += amount

    def observe(self, histogram: Histogram[*Labels], amounts: Sequence[float], *labels: *Labels) -> None:
        self.reports.append((histogram, *labels))
        self.observed[histogram] += amounts

    def later(self, report: Callable[[Meters, list[Row]], None], row: Row) -> None:
        report(self, [row])

    def told(self, meter: object) -> list[tuple[object, ...]]:
        """The labels of each report of one meter."""
        return [tuple(labels) for told, *labels in self.reports if told is meter]

    @property
    def failures(self) -> list[object]:
        """Why connections failed."""
        return [reason for _, reason in self.told(CONNECTION_ERRORS)]


Step = str | list[str] | float | None | Exception | Callable[[], None]
"""What a scripted connection does at one read: give a frame or several in one piece, let seconds pass, give nothing,
fail, or act."""


class ScriptedConnection:
    """Plays its steps; then the other side closes it."""

    def __init__(self, clock: FakeClock, steps: Iterable[Step] = ()) -> None:
        self._clock = clock
        self._steps = iter(tuple(steps))
        self._received: list[str] = []
        self.sent: list[str] = []
        self.closed = False

    def send(self, text: str) -> None:
        self.sent.append(text)

    def receive(self, at_most: int) -> list[str]:
        if self._received:
            return self._rest(at_most)
        for step in self._steps:
            if step is None:
                return []
            if isinstance(step, str):
                return [step]
            if isinstance(step, list):
                self._received = step
                return self._rest(at_most)
            if isinstance(step, Exception):
                raise step
            if callable(step):
                step()
                return []
            self._clock.advance(step)
            return []
        raise Unreachable("the script is over", reason="closed")

    def _rest(self, at_most: int) -> list[str]:
        received, self._received = self._received[:at_most], self._received[at_most:]
        return received

    def close(self) -> None:
        self.closed = True

    def abandon(self) -> None:
        self.closed = True


class ScriptedStop(threading.Event):
    """An order to stop whose waits take no time: they are remembered, and the clock goes on."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.waits: list[float] = []
        self.meanwhile: Callable[[], object] = list
        """What happens during each wait."""

    def wait(self, timeout: float | None = None) -> bool:
        self.meanwhile()
        self.waits.append(timeout or 0.0)
        self._clock.advance(timeout or 0.0)
        return self.is_set()


class Script:
    """Everything a collector is given: one scripted connection or connection error after the other, then the end."""

    def __init__(self, *connections: Iterable[Step] | Exception, idle_timeout: float = 10.0) -> None:
        self.clock = FakeClock()
        self.meters = RecordingMeters()
        self.stop = ScriptedStop(self.clock)
        self.sleeps: list[float] = []
        self.made: list[ScriptedConnection] = []
        self._planned = list(connections)
        self._idle_timeout = idle_timeout

    @property
    def equipment(self) -> Equipment:
        given = runtime(self.clock, self.meters, sleep=self.sleeps.append)
        return Equipment(self._connect, Backoff(1.0, 5, given), given, self._idle_timeout)

    @property
    def sent(self) -> list[str]:
        """All requests over all connections."""
        return [text for connection in self.made for text in connection.sent]

    def play(self, collector: Collector) -> None:
        """Runs the collector until the script is over."""
        collector.run(self.stop)

    def _connect(self, _stop: threading.Event) -> Connection:
        if not self._planned:
            self.stop.set()
            raise Unreachable("no further connection is planned", reason="script_over")
        planned = self._planned.pop(0)
        if isinstance(planned, Exception):
            raise planned
        self.made.append(ScriptedConnection(self.clock, planned))
        return self.made[-1]


def memory_store(clock: Clock, changes: Changes | None = None) -> MemoryStore:
    """An empty store."""
    return MemoryStore(clock, changes or Changes(), Journal())


def online(*pairs: Pair) -> dict[Pair, MarketStatus]:
    """A list of the exchange that has these pairs."""
    return dict.fromkeys(pairs, "online")


def tick(
    price: str = "100.0",
    pair: Pair = BTC,
    *,
    source: Source = WEBSOCKET,
    traded_at: float | None = None,
    trade_id: int | None = None,
    received_at: float = 1000.0,
    happened_at: float | None = None,
) -> Tick:
    """A tick of which only what matters has to be said."""
    return Tick(pair, price, Decimal(price), source, traded_at, trade_id, received_at, happened_at)


def eventually(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Waits until another thread or process made `condition` true; fails after `seconds`."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError(f"not within {seconds:g} s: {condition}")


@contextmanager
def fails(
    reason: str, *, kind: type[ExchangeError] = Unreachable, match: str | None = None
) -> Iterator[None]:
    """What is done meanwhile ends with an error of that reason."""
    with pytest.raises(kind, match=match) as caught:
        yield
    assert caught.value.reason == reason


@contextmanager
def in_threads(count: int, target: Callable[[], object]) -> Iterator[None]:
    """So many threads do it meanwhile; all have ended afterwards."""
    threads = [threading.Thread(target=target, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()


def open_quarantine() -> Quarantine:
    """One that holds nothing back."""
    return Quarantine(1e9)


def kraken_collector(
    url: str,
    pairs: Iterable[Pair],
    store: Store,
    equipment: Equipment,
    quarantine: Quarantine | None = None,
    doubts: Doubts | None = None,
) -> KrakenCollector:
    """One that holds nothing back unless a quarantine is given."""
    return KrakenCollector(
        Config(kraken_websocket_url=url),
        tuple(pairs),
        store,
        quarantine or open_quarantine(),
        equipment,
        doubts or Doubts(),
        ExchangeClock(),
    )
