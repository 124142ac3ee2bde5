"""A collector of last trades on scripted connections, and what is looked at while it runs."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ltp_service.domain.errors import Unreachable
from ltp_service.domain.pairs import Pair
from ltp_service.feed.contract import Newest
from ltp_service.feed.last_trades import LastTradeCollector
from tests import fakes
from tests.exchanges.feeds import records
from tests.fakes import BTC, Script, memory_store

Step = str | list[str] | float | Callable[["LastTrades"], object]
"""As of any scripted connection; what acts is given the feed."""


def with_pauses(file: Path) -> Iterator[Step]:
    """What the client of a recorded session received, each frame at its time."""
    before: float | None = None
    for record in records(file):
        if record["dir"] == "in":
            yield record["t"] - (before or record["t"])
            before = record["t"]
            yield record["raw"]


class LastTrades:
    """The collector, its store, and what was seen on the way. `answers`: REST's, in order."""

    def __init__(
        self,
        kind: type[LastTradeCollector],
        *connections: Iterable[Step],
        pairs: Iterable[Pair] = (BTC,),
        answers: Iterable[Newest | Exception] = (),
    ) -> None:
        self.script = Script(*(map(self._step, connection) for connection in connections))
        self.store = memory_store(self.script.clock)
        self.seen: list[Any] = []
        self.asked: list[str] = []
        self._answers: Iterator[Newest | Exception] = iter(tuple(answers))
        equipment = msgspec.structs.replace(self.script.equipment, newest=self._ask)
        self.collector = kind(pairs, self.store, equipment)
        self.script.play(self.collector)

    def price(self, pair: Pair = BTC) -> str | None:
        held = self.store.all().get(pair)
        return None if held is None else held.tick.price

    def evidence_age(self, pair: Pair = BTC) -> float:
        """Seconds."""
        return round(self.script.clock.monotonic() - self.store.all()[pair].confirmed_at, 3)

    def _ask(self, symbol: str) -> Newest:
        self.asked.append(symbol)
        answer = next(self._answers, Unreachable("no further answer is planned", reason="script_over"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _step(self, step: Step) -> fakes.Step:
        return partial(_act, step, self) if callable(step) else step


def _act(step: Callable[[LastTrades], object], feed: LastTrades) -> None:
    step(feed)


# What is looked at; what is seen is kept in `seen`.


def look(feed: LastTrades) -> None:
    """At the price of BTC/USD, and the age of its evidence."""
    feed.seen.append((feed.price(), feed.evidence_age() if feed.price() else None))


def labels(feed: LastTrades) -> None:
    feed.seen.append(feed.collector.link().subscriptions)


def problem(feed: LastTrades) -> None:
    feed.seen.append(feed.collector.link().problem)
