"""A collector whose product are order books."""

import logging
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from ltp_service.domain.book import BookChange, BookSnapshot
from ltp_service.domain.errors import BadFrame
from ltp_service.feed.contract import Dialect, Equipment
from ltp_service.feed.loop import ASIDE_BURST_FRAMES, ASIDE_TURN_SECONDS, Collector, Handler
from ltp_service.feed.subscriptions import PROOF_WITHIN_SECONDS, Subscriptions
from ltp_service.meters import DEAF_BOOKS
from ltp_service.prices.store import BookSink

log = logging.getLogger(__name__)

OUT_OF_SYNC_SECONDS = 10.0
"""Seconds without a usable book after which that is a problem to be told."""

SHORTEST_PATIENCE_SECONDS, LONGEST_PATIENCE_SECONDS = 5.0, 120.0
"""Seconds between which lies how long a book may be silent before it is doubted."""

PAUSES_OF_PATIENCE = 3.0
"""Times the longest pause of the last while that a book may be silent."""

PAUSE_FADES_IN_SECONDS = 600.0
"""Seconds in which a long pause fades."""

HABIT_AFTER_SECONDS = 30.0
"""Seconds of watching a book before its pauses are a habit."""

DEAF_AGAIN_WITHIN_SECONDS = 60.0
"""Seconds within which a second deafness of the same book condemns the connection."""

STOOD_STILL_SECONDS = 1.0
"""Seconds between two looks from which on it was this process that was silent, and not the exchange."""

REPAIRS_APART_SECONDS = 1.0
"""Seconds between two repairs of the same book."""

SUBSCRIPTIONS_OF_A_DEAF_BOOK = 2
"""Subscriptions of a deaf book before the connection is replaced."""


class Repair(msgspec.Struct):
    """A book that is out of sync. Moments are monotonic seconds."""

    since: float
    due_at: float
    """When to do something about it."""
    tries: int = 0
    doubted: bool = False
    """True when nothing is known to be missing: the book was silent for too long."""


class Pulse(msgspec.Struct):
    """How often a book changes. Moments are monotonic seconds."""

    began_at: float
    silent_since: float
    update_id: int
    """Of the newest state that is known."""
    longest: float = HABIT_AFTER_SECONDS / PAUSES_OF_PATIENCE
    """The longest pause of late, in seconds."""
    changes: int = 0
    deaf_at: float | None = None
    repaired_at: float = 0.0

    def beat(self, update_id: int, now: float) -> None:
        """A change arrived."""
        pause = now - self.silent_since
        if not self.changes:
            self.began_at, self.longest = now, 0.0
        else:
            self.longest = max(pause, self.longest * (1.0 - min(1.0, pause / PAUSE_FADES_IN_SECONDS)))
        self.changes += 1
        self.silent_since = now
        self.update_id = max(update_id, self.update_id)

    def is_suspicious(self, now: float) -> bool:
        """Whether it is silent for longer than is its habit."""
        silence = now - self.silent_since
        if silence < SHORTEST_PATIENCE_SECONDS:
            return False
        habit = max(
            PAUSES_OF_PATIENCE * self.longest, HABIT_AFTER_SECONDS - (self.silent_since - self.began_at)
        )
        return silence >= min(LONGEST_PATIENCE_SECONDS, habit)


class BookCollector(Collector):
    """Keeps one exchange's order books in the sink it was built with."""

    exchange: str
    """As the sink knows it."""
    url: str
    """The exchange's public endpoint."""
    dialect: Dialect
    channel: str
    patience = PROOF_WITHIN_SECONDS
    """Seconds to wait for what the exchange sends unasked before a repair."""
    longest_turn, burst = ASIDE_TURN_SECONDS, ASIDE_BURST_FRAMES

    def __init__(self, symbols: Sequence[str], sink: BookSink, equipment: Equipment) -> None:
        if not callable(getattr(sink, "replace", None)):
            raise TypeError(f"{self.name} needs a sink for its order books, not {sink!r}")
        handlers: dict[type, Handler] = {BookSnapshot: self.book_replaced, BookChange: self.book_changed}
        super().__init__(self.dialect, Subscriptions(symbols, [self.channel], "either"), equipment, handlers)
        self._sink = sink
        self._repairs: dict[str, Repair] = {}
        self._pulses: dict[str, Pulse] = {}
        self._looked_at = 0.0
        self._to_renew: list[str] = []
        """Symbols to be subscribed anew at the end of this look."""

    # What a subclass may add.

    def repair(self, symbol: str, repair: Repair, now: float) -> None:
        """Gets a new snapshot of one book, and sets `due_at` for the case that this fails.

        Here a new subscription brings it. One that never came about is asked for in any case, and not here.
        """
        state = self._subscriptions.states.get(symbol)
        if state is not None and state.proven:
            self._to_renew.append(symbol)
        repair.due_at = now + PROOF_WITHIN_SECONDS
        repair.tries += 1
        if repair.doubted and repair.tries > SUBSCRIPTIONS_OF_A_DEAF_BOOK:
            self.leave()  # it brought this book before, and brings it no more

    # What arrives.

    def book_replaced(self, snapshot: BookSnapshot, received_at: float) -> None:
        self._expect(snapshot.symbol)
        self._sink.replace(self.exchange, snapshot, received_at)
        self._settle(snapshot, self._repairs.pop(snapshot.symbol, None), received_at)
        self._subscriptions.hear(snapshot.symbol)

    def book_changed(self, change: BookChange, received_at: float) -> None:
        self._expect(change.symbol)
        self._subscriptions.hear(change.symbol)
        pulse = self._pulses.get(change.symbol)
        if pulse is not None:
            pulse.beat(change.last_id, received_at)
        if repair := self._repairs.get(change.symbol):
            repair.doubted = False  # it is heard; what it missed is a gap like any other
        applied = self._sink.change(self.exchange, change, received_at)
        if applied in {"gap", "mismatch"}:
            self.out_of_sync(change.symbol, received_at)
        if applied == "mismatch":
            self.mismatched(change.symbol)

    def mismatched(self, symbol: str) -> NoReturn:
        """The book is not the one of which the exchange told the checksum. Raises BadFrame."""
        self._last_error = f"{symbol}: the order book did not match its checksum"
        raise BadFrame(self._last_error, reason="checksum")

    def symbol_unusable(self, symbol: str, now: float) -> None:
        self.symbol_cut_off(symbol, now)

    def symbol_cut_off(self, symbol: str, now: float) -> None:
        if symbol in self._subscriptions.states:
            self._sink.lose(self.exchange, [symbol])
            self.out_of_sync(symbol, now)

    def out_of_sync(self, symbol: str, now: float) -> None:
        """Something was missed: the book is repaired at the next look, unless that is under way."""
        if symbol not in self._repairs:
            pulse = self._pulses.get(symbol)
            due_at = max(now, pulse.repaired_at + REPAIRS_APART_SECONDS) if pulse else now
            self._repairs[symbol] = Repair(now, due_at)

    # A subscription may be deaf while the others are not.

    def _settle(self, snapshot: BookSnapshot, repair: Repair | None, now: float) -> None:
        symbol = snapshot.symbol
        pulse = self._pulses.get(symbol)
        if pulse is None:
            self._pulses[symbol] = Pulse(now, now, snapshot.update_id)
            return
        if repair is not None and repair.doubted:
            if snapshot.update_id != pulse.update_id:
                self.was_deaf(symbol, now)
            # Silent or deaf, the same silence is not worth another question so soon.
            pulse.longest = max(pulse.longest, now - pulse.silent_since)
        pulse.update_id = snapshot.update_id
        pulse.silent_since = pulse.repaired_at = now

    def was_deaf(self, symbol: str, now: float) -> None:
        """The exchange has changes of this book that the connection kept silent about."""
        log.warning(
            "%s: %s was deaf and is subscribed anew",
            self.name,
            symbol,
            extra={"once_a_minute": (self.name, "deaf", symbol)},
        )
        self._meters.count(DEAF_BOOKS, self.exchange)
        pulse = self._pulses[symbol]
        if pulse.deaf_at is not None and now - pulse.deaf_at <= DEAF_AGAIN_WITHIN_SECONDS:
            self.leave()
        pulse.deaf_at = now

    def _doubt(self, now: float) -> None:
        """Books that are silent for too long are out of sync until a snapshot settles it."""
        stood_still = now - self._looked_at > STOOD_STILL_SECONDS
        for symbol, pulse in self._pulses.items():
            if stood_still:
                pulse.silent_since = max(pulse.silent_since, now)
            elif symbol not in self._repairs and pulse.is_suspicious(now):
                self._sink.lose(self.exchange, [symbol])
                self._repairs[symbol] = Repair(now, now, doubted=True)
        self._looked_at = now

    # The life of a connection.

    def connected(self, now: float) -> None:
        self._pulses = {}
        self._repairs = {symbol: Repair(now, now + self.patience) for symbol in self._subscriptions.symbols}

    def disconnected(self, now: float) -> None:
        self._sink.lose(self.exchange, self._subscriptions.symbols)
        self._repairs = {}

    def symbols_changed(self, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        for symbol in removed:
            self._sink.forget(self.exchange, symbol)
            self._repairs.pop(symbol, None)
            self._pulses.pop(symbol, None)
        self._repairs.update({symbol: Repair(now, now + self.patience) for symbol in added})

    def tended(self, now: float) -> None:
        self._subscriptions.mark_silent(now)
        self._doubt(now)
        for symbol, repair in list(self._repairs.items()):
            if now >= repair.due_at:
                self.repair(symbol, repair, now)
        if self._to_renew:  # together, because very many books may be silent for equally long
            self._requests.unsubscribe(self._to_renew)
            self._requests.subscribe(self._to_renew)
            self._to_renew = []

    def problem(self, now: float) -> str | None:
        repairs = list(self._repairs.items())  # asked from another thread than the one that repairs
        lost = [symbol for symbol, repair in repairs if now - repair.since >= OUT_OF_SYNC_SECONDS]
        if lost:
            return (
                f"{len(lost)} order book(s) out of sync for {OUT_OF_SYNC_SECONDS:g} s: {', '.join(lost[:5])}"
            )
        return super().problem(now)

    def _expect(self, symbol: str) -> None:
        if symbol not in self._subscriptions.states:
            raise BadFrame(f"{symbol[:40]!r} was not asked for", reason="unknown_symbol")
