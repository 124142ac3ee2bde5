"""A collector of trades or books on scripted connections, and what is looked at while it runs."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import msgspec

from ltp_service.collected.books import BookStore
from ltp_service.collected.trades import TradeStore
from ltp_service.domain.book import BookSnapshot, BookView
from ltp_service.feed.books import BookCollector
from ltp_service.feed.trades import TradeCollector
from tests import fakes
from tests.fakes import NOON, Script

Find = Callable[[str], Path]

Step = str | list[str] | float | None | Exception | Callable[["Feed"], None]
"""As of any scripted connection; what acts is given the feed."""


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def frames(file: Path) -> list[str]:
    """What the client received."""
    return [record["raw"] for record in records(file) if record["dir"] == "in"]


def quiet(seconds: float) -> list[Step]:
    """Time that passes in steps of half a second, as reads without a frame do."""
    return [0.5] * int(seconds * 2)


class RecordingBooks(BookStore):
    """Remembers which snapshots were taken."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[int] = []

    def replace(self, exchange: str, snapshot: BookSnapshot, received_at: float) -> None:
        self.taken.append(snapshot.update_id)
        super().replace(exchange, snapshot, received_at)


class Feed:
    """The collector, what it fills, and what was seen on the way. `answers`: to its questions for snapshots."""

    def __init__(
        self,
        kind: type[TradeCollector] | type[BookCollector],
        *connections: Iterable[Step] | Exception,
        symbols: Sequence[str] = ("BTCUSDT",),
        wall: float = NOON,
        answers: Iterable[BookSnapshot | Exception] = (),
    ) -> None:
        self.script = Script(
            *(one if isinstance(one, Exception) else map(self._step, one) for one in connections)
        )
        self.script.clock.set_wall(wall)
        self.trades = TradeStore(self.script.equipment.runtime)
        self.books = RecordingBooks()
        self.asked: list[str] = []
        self.seen: list[Any] = []
        self._answers = list(answers)
        equipment = msgspec.structs.replace(self.script.equipment, depth=self._depth)
        sink: Any = self.trades if issubclass(kind, TradeCollector) else self.books
        self.collector = kind(symbols, sink, equipment)

    def play(self) -> Self:
        self.script.play(self.collector)
        return self

    @property
    def requests(self) -> list[dict[str, Any]]:
        """All that was sent, but for pings."""
        told = [json.loads(text) for text in self.script.sent]
        return [request for request in told if request.get("op") != "ping"]

    def view(self, symbol: str = "BTCUSDT") -> BookView:
        view = self.books.view(symbol, self.collector.exchange, 50)
        assert view is not None
        return view

    def ids(self) -> list[str]:
        """Of the stored trades, the newest first."""
        return [trade.trade_id for trade in self.trades.recent()]

    def in_sync(self, symbol: str = "BTCUSDT") -> bool:
        view = self.books.view(symbol, self.collector.exchange, 1)
        return view is not None and view.in_sync

    def _step(self, step: Step) -> fakes.Step:
        if step is None or isinstance(step, str | list | float | int | Exception):
            return step
        return partial(step, self)

    def _depth(self, symbol: str) -> BookSnapshot:
        self.asked.append(symbol)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


# What is looked at; what is seen is kept in `seen`.


def labels(feed: Feed) -> None:
    feed.seen.append(feed.collector.link().subscriptions)


def problem(feed: Feed) -> None:
    feed.seen.append(feed.collector.link().problem)


def in_sync(feed: Feed) -> None:
    feed.seen.append(feed.in_sync())


def both_in_sync(feed: Feed) -> None:
    feed.seen.append((feed.in_sync(), feed.in_sync("ETHUSDT")))
