"""What the service said about Kraken's best bids and asks, held against the true ones of the same moments."""

import http.client
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from threading import Event, Thread
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.drill.listener import Told
from tests.drill.truth import Waited, Wrong
from tests.process.answer import ask
from tests.process.service import Service

EVERY = 0.02
"""Seconds between two questions."""

Level = tuple[Decimal, Decimal]
"""Price and size."""


class BookReading(NamedTuple):
    """One book of an answer; moments are monotonic seconds."""

    asked_at: float
    answered_at: float
    pair: str
    bid: Level | None
    ask: Level | None
    problem: str | None
    age: float


class BookWatch:
    """Asks one worker for the books of all pairs, many times a second, on a connection of its own. Use as a context manager."""

    def __init__(self, service: Service) -> None:
        self._port = service.port
        self._end = Event()
        self._thread = Thread(target=self._run, name="book watch", daemon=True)
        self.readings: list[BookReading] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def of(self, pair: str, since: float, until: float = float("inf")) -> list[BookReading]:
        """What was said about the pair in answers to questions of that time."""
        return [each for each in list(self.readings) if each.pair == pair and since <= each.asked_at < until]

    def first(self, pair: str, since: float, *, in_sync: bool) -> float | None:
        """When an answer came first in which the book is in sync, or is not."""
        found = (each.answered_at for each in self.of(pair, since) if (each.problem is None) == in_sync)
        return next(found, None)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10.0)
        while not self._end.wait(EVERY):
            asked_at = time.monotonic()
            items = ask(connection, "/api/v1/ltp?detail=true").json().get("ltp", [])
            answered_at = time.monotonic()
            self.readings += [_read(asked_at, answered_at, item["pair"], item["book"]) for item in items]
        connection.close()


def _read(asked_at: float, answered_at: float, pair: str, book: Mapping[str, Any]) -> BookReading:
    age = int(book.get("age_ms") or 0) / 1000
    return BookReading(
        asked_at, answered_at, pair, _level(book["bid"]), _level(book["ask"]), book["problem"], age
    )


def _level(told: Mapping[str, str] | None) -> Level | None:
    return None if told is None else (Decimal(told["price"]), Decimal(told["size"]))


def streamed(told: Iterable[Told]) -> Iterator[BookReading]:
    """Each book of a stream as an answer of its moment."""
    for each in told:
        if each.name == "book":
            yield _read(each.moment, each.moment, each.data["pair"], each.data)


class Tops:
    """The true best bids and asks of one pair."""

    def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
        """`rows` as the simulator tells them: unix seconds, bid, ask."""
        unix = time.time() - time.monotonic()
        self._since = [float(row[0]) - unix for row in rows]
        self._levels = [(_pair(row[1]), _pair(row[2])) for row in rows]

    def was(self, levels: tuple[Level | None, Level | None], earliest: float, latest: float) -> bool:
        """Whether these were the best at some moment between those two, in monotonic seconds."""
        first = max(0, bisect_right(self._since, earliest) - 1)
        return levels in self._levels[first : bisect_right(self._since, latest)]


def _pair(row: Sequence[str]) -> Level:
    price, size = row
    return Decimal(price), Decimal(size)


def wrong_books(
    readings: Iterable[BookReading],
    tops: Mapping[str, Tops],
    transport: float,
    unnoticed: Mapping[str, float],
    waited: Waited,
) -> list[Wrong]:
    """Each book without a problem whose best prices were not the exchange's between the question, less what the answer
    admits to, and the answer. A book that gets no updates may be behind for the seconds in `unnoticed`."""
    return [
        Wrong(each.answered_at, f"book of {each.pair}: {each.bid} {each.ask} of {each.age:.3f} s")
        for each in readings
        if each.problem is None and not _is_right(each, tops[each.pair], transport, unnoticed, waited)
    ]


def _is_right(
    each: BookReading, tops: Tops, transport: float, unnoticed: Mapping[str, float], waited: Waited
) -> bool:
    earliest = each.asked_at - max(each.age, unnoticed.get(each.pair, 0.0)) - transport
    earliest -= waited(earliest, each.answered_at)
    return tops.was((each.bid, each.ask), earliest, each.answered_at)
