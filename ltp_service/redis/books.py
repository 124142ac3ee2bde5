"""Order books that a fleet shares: the owner of the feeds sends them to the other processes."""

from collections.abc import Iterable
from threading import Lock

import msgspec

from ltp_service.collected.books import BookStore
from ltp_service.domain.book import Applied, BookChange, BookSnapshot, Level
from ltp_service.redis.topic import Fields, FleetLine, Topic

SHARED_LEVELS = 50
"""Levels of each side that are shared: the most that /collectors/books shows."""


class _Shared(msgspec.Struct, array_like=True, frozen=True):
    """A book as it is sent; without levels when it is out of sync or not collected."""

    update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    changed_at: float | None
    received_at: float | None
    """Unix seconds of the Redis server; None when the book is out of sync."""
    epoch: int = 0
    """The tenure of the owner that told it."""


_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(_Shared).decode


class SharedBooks(Topic):
    """A sink that keeps each book in this process and shares its best levels with each bulletin."""

    def __init__(self, local: BookStore, line: FleetLine) -> None:
        super().__init__("books", line)
        self._local = local
        self._changed: set[str] = set()
        self._told_of: set[str] = set()
        self._unproven: dict[str, _Shared] = {}
        """What Redis held at the beginning. A book stands still where its owner is gone, so none is believed until a bulletin
        shows that its owner is there."""
        self._lock = Lock()

    # As every BookSink.

    def replace(self, exchange: str, snapshot: BookSnapshot, received_at: float) -> None:
        self._local.replace(exchange, snapshot, received_at)
        self._note(exchange, snapshot.symbol)

    def change(self, exchange: str, change: BookChange, received_at: float) -> Applied:
        applied = self._local.change(exchange, change, received_at)
        self._note(exchange, change.symbol)
        return applied

    def lose(self, exchange: str, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            self._local.lose(exchange, (symbol,))
            self._note(exchange, symbol)

    def forget(self, exchange: str, symbol: str) -> None:
        self._local.forget(exchange, symbol)
        self._note(exchange, symbol)

    # As a Topic.

    def restart(self) -> None:
        self.lost()
        for state in self._local.states():
            self._note(state.exchange, state.symbol)
        with self._lock:  # others may have heard of them
            self._changed.update(self._unproven)
        self._unproven = {}

    def load(self) -> None:
        self._unproven = {}  # their owner may have told other levels meanwhile
        super().load()

    def take_news(self) -> Fields:
        with self._lock:
            changed, self._changed = self._changed, set()
        return {name: _encode(self._shared(name)) for name in changed}

    def give_back(self, fields: Fields) -> None:
        with self._lock:
            self._changed.update(fields)

    def recall(self, fields: Fields) -> None:
        self._unproven = {name: _decode(text) for name, text in fields.items()}

    def owner_lives(self, epoch: int) -> None:
        unproven, self._unproven = self._unproven, {}
        for name, told in unproven.items():
            if told.epoch == epoch:
                self._follow(name, told)

    def learn(self, fields: Fields) -> None:
        for name, text in fields.items():
            self._unproven.pop(name, None)
            self._follow(name, _decode(text))

    def lost(self) -> None:
        for name in self._told_of:
            exchange, _, symbol = name.partition("/")
            self._local.lose(exchange, (symbol,))
        self._told_of.clear()

    def _follow(self, name: str, told: _Shared) -> None:
        self._told_of.add(name)
        exchange, _, symbol = name.partition("/")
        if told.received_at is None:
            self._local.lose(exchange, (symbol,))
        else:
            snapshot = BookSnapshot(symbol, told.update_id, told.bids, told.asks, told.changed_at)
            self._local.replace(exchange, snapshot, self._clock.own(told.received_at))

    def _note(self, exchange: str, symbol: str) -> None:
        with self._lock:
            self._changed.add(f"{exchange}/{symbol}")

    def _shared(self, name: str) -> _Shared:
        exchange, _, symbol = name.partition("/")
        epoch = self._own_epoch or 0
        view = self._local.view(symbol, exchange, SHARED_LEVELS)
        if view is None or not view.in_sync or view.received_at is None:
            return _Shared(0, (), (), None, None, epoch)
        received_at = self._clock.shared(view.received_at)
        return _Shared(view.update_id, view.bids, view.asks, view.changed_at, received_at, epoch)
