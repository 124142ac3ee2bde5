"""Bybit's order books: a window of the best levels, told by a snapshot and then by what changed in it."""

from collections.abc import Sequence

from ltp_service.simulator.dialect import Topic
from ltp_service.simulator.market import UNIT_DECIMALS, SpotTape
from ltp_service.simulator.wire import compact

DEPTHS = (1, 50, 200, 1000)

Rows = list[list[str]]
View = tuple[dict[int, int], dict[int, int]]


class Window:
    """One topic, orderbook.{depth}.{symbol}. Not thread safe."""

    def __init__(self, tape: SpotTape, depth: int, update: int) -> None:
        """`update`: the number of the state as it is now."""
        channel = f"orderbook.{depth}"
        self.topic = Topic(f"{channel}.{tape.pair.name}", channel, tape.pair.name)
        self._tape = tape
        self._depth = depth
        self._update = update
        self._seen = self._now()

    def snapshot(self, millis: int) -> str:
        bids, asks = self._seen
        return self._message("snapshot", self._rows(bids), self._rows(asks), millis)

    def restart(self, millis: int) -> str:
        """The whole window again, as update 1."""
        self._update = 1
        self._seen = self._now()
        return self.snapshot(millis)

    def update(self, millis: int) -> str | None:
        """What changed in the window since the last call; depth 1 repeats all of it. None: nothing changed."""
        before, self._seen = self._seen, self._now()
        if before == self._seen:
            return None
        self._update += 1
        if self._depth == 1:
            return self.snapshot(millis)
        bids, asks = (self._rows(changed(old, new)) for old, new in zip(before, self._seen, strict=True))
        return self._message("delta", bids, asks, millis)

    def _now(self) -> View:
        book = self._tape.book
        return book.bids.top(self._depth), book.asks.top(self._depth)

    def _rows(self, half: dict[int, int]) -> Rows:
        return [[self._tape.pair.price(ticks), size(units)] for ticks, units in half.items()]

    def _message(self, type_: str, bids: Rows, asks: Rows, millis: int) -> str:
        symbol = self._tape.pair.name
        content = {"s": symbol, "b": bids, "a": asks, "u": self._update, "seq": self._tape.sequence}
        return compact(
            {"topic": self.topic.name, "ts": millis + 1, "type": type_, "data": content, "cts": millis}
        )


def changed(old: dict[int, int], new: dict[int, int]) -> dict[int, int]:
    """New sizes of what came or changed, 0 of what went."""
    changes = {ticks: units for ticks, units in new.items() if old.get(ticks) != units}
    changes.update((ticks, 0) for ticks in old if ticks not in new)
    return changes


def size(units: int) -> str:
    """Plain notation without superfluous zeros, as Bybit writes sizes."""
    whole, rest = divmod(units, 10**UNIT_DECIMALS)
    return f"{whole}.{rest:0{UNIT_DECIMALS}d}".rstrip("0").rstrip(".")


class Windows:
    """The windows that clients asked for."""

    def __init__(self) -> None:
        self._open: dict[str, dict[int, Window]] = {}

    def open(self, tape: SpotTape, depth: int) -> Window:
        """Fresh to the book as it is now; the numbers of a window without subscribers go on."""
        windows = self._open.setdefault(tape.pair.name, {})
        if depth not in windows:
            windows[depth] = Window(tape, depth, tape.sequence % 100_000_000)
        return windows[depth]

    def of(self, symbol: str) -> Sequence[Window]:
        return list(self._open.get(symbol, {}).values())
