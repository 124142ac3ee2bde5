"""A collector whose product are order books."""

from collections.abc import Sequence

import msgspec

from ltp_service.book import BookChange, BookSnapshot
from ltp_service.collectors.base import Collector
from ltp_service.collectors.contract import Dialect, Equipment
from ltp_service.collectors.subscriptions import Subscriptions
from ltp_service.errors import BadFrame
from ltp_service.stores.base import BookSink

OUT_OF_SYNC = 10.0
"""Seconds without a usable book after which that is a problem to be told."""


class Repair(msgspec.Struct):
    """A book that is out of sync. Moments are monotonic seconds."""

    since: float
    due_at: float
    """When to do something about it."""
    tries: int = 0


class BookCollector(Collector):
    """Keeps one exchange's order books in the sink it was built with."""

    exchange: str
    """As the sink knows it."""
    url: str
    """The exchange's public endpoint."""
    dialect: Dialect
    channel: str
    patience: float
    """Seconds to wait for what the exchange sends unasked before a repair."""

    def __init__(self, symbols: Sequence[str], sink: BookSink, equipment: Equipment) -> None:
        if not callable(getattr(sink, "replace", None)):
            raise TypeError(f"{self.name} needs a sink for its order books, not {sink!r}")
        super().__init__(self.dialect, Subscriptions(symbols, [self.channel], "either"), equipment)
        self._sink = sink
        self._repairs: dict[str, Repair] = {}

    # What a subclass adds.

    def repair(self, symbol: str, repair: Repair, now: float) -> None:
        """Gets a new snapshot of one book, and sets `due_at` for the case that this fails."""
        raise NotImplementedError

    # What arrives.

    def book_replaced(self, snapshot: BookSnapshot, received_at: float) -> None:
        self._expect(snapshot.symbol)
        self._sink.replace(self.exchange, snapshot, received_at)
        self._repairs.pop(snapshot.symbol, None)
        self._subscriptions.hear(snapshot.symbol)

    def book_changed(self, change: BookChange, received_at: float) -> None:
        self._expect(change.symbol)
        self._subscriptions.hear(change.symbol)
        if self._sink.change(self.exchange, change, received_at) == "gap":
            self.out_of_sync(change.symbol, received_at)

    def out_of_sync(self, symbol: str, now: float) -> None:
        """Something was missed: the book is repaired at the next look, unless that is under way."""
        if symbol not in self._repairs:
            self._repairs[symbol] = Repair(now, now)

    # The life of a connection.

    def connected(self, now: float) -> None:
        self._repairs = {symbol: Repair(now, now + self.patience) for symbol in self._subscriptions.symbols}

    def disconnected(self, now: float) -> None:
        self._sink.lose(self.exchange, self._subscriptions.symbols)
        self._repairs = {}

    def symbols_changed(self, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        for symbol in removed:
            self._sink.forget(self.exchange, symbol)
            self._repairs.pop(symbol, None)
        self._repairs.update({symbol: Repair(now, now + self.patience) for symbol in added})

    def tended(self, now: float) -> None:
        self._subscriptions.mark_silent(now)
        for symbol, repair in list(self._repairs.items()):
            if now >= repair.due_at:
                self.repair(symbol, repair, now)

    def problem(self, now: float) -> str | None:
        repairs = list(self._repairs.items())  # asked from another thread than the one that repairs
        lost = [symbol for symbol, repair in repairs if now - repair.since >= OUT_OF_SYNC]
        if lost:
            return f"{len(lost)} order book(s) out of sync for {OUT_OF_SYNC:g} s: {', '.join(lost[:5])}"
        return super().problem(now)

    def _expect(self, symbol: str) -> None:
        if self._subscriptions.state(symbol) is None:
            raise BadFrame(f"{symbol[:40]!r} was not asked for", reason="unknown_symbol")
