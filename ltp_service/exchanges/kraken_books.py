"""Kraken's order books, each update of which is checked: the feed of bid and ask of the pairs that are served."""

from collections.abc import Sequence

import msgspec

from ltp_service.collected.kraken_tape import EXCHANGE
from ltp_service.domain.book import BookChange, BookSnapshot, checksum_of
from ltp_service.domain.errors import BadFrame
from ltp_service.domain.exchange_clock import ExchangeClock
from ltp_service.exchanges.kraken import TERMS
from ltp_service.exchanges.kraken_book_frames import CHANNEL, DialectV1, DialectV2
from ltp_service.exchanges.kraken_lag import counted
from ltp_service.feed.books import REPAIRS_APART_SECONDS, BookCollector
from ltp_service.feed.contract import Dialect, Equipment, Link
from ltp_service.prices.store import BookSink

LONGEST_BETWEEN_REPAIRS_SECONDS = 60.0
"""Seconds between two repairs of a book that never stays in sync. It begins with one second, and doubles."""

LATE_SECONDS = 5.0
"""Seconds that an update may be under way. Kraken queues for a reader that is too slow, and a new connection begins with
the present books."""

HELD_SECONDS = 60.0
"""Seconds in sync after which the next loss of a book is a new one."""


class _Head(msgspec.Struct):
    """What is known of one book beside its levels."""

    number: int = 0
    """The number of its newest state. It is ours, because Kraken gives none."""
    checksum: int | None = None
    """The exchange's checksum of that state."""


class KrakenBooks(BookCollector):
    """Protocol v2. Symbols are the pairs that are served, in our spelling."""

    name, exchange, url = "kraken_books", EXCHANGE, "wss://ws.kraken.com/v2"
    terms = TERMS
    dialect: Dialect = DialectV2()
    channel = CHANNEL

    def __init__(self, symbols: Sequence[str], sink: BookSink, equipment: Equipment) -> None:
        super().__init__(symbols, sink, equipment)
        self._heads: dict[str, _Head] = {}
        self._exchange_clock = ExchangeClock()
        self._delay = 0.0
        """Seconds by which the newest update was late, whatever its book: a slow reader gets everything late."""
        self._losses: dict[str, int] = {}
        """How often a book was lost of late, beside the last time."""

    def link(self) -> Link:
        return msgspec.structs.replace(super().link(), delay=self._delay)

    def connected(self, now: float) -> None:
        super().connected(now)
        self._delay = 0.0

    def book_replaced(self, snapshot: BookSnapshot, received_at: float) -> None:
        """Numbers the snapshot: the same number as before for the same levels, so that a deaf book is told from a still one."""
        self._expect(snapshot.symbol)
        found = checksum_of(snapshot.bids, snapshot.asks)
        if snapshot.checksum not in {None, found}:
            self._sink.lose(self.exchange, [snapshot.symbol])
            self.out_of_sync(snapshot.symbol, received_at)
            self.mismatched(snapshot.symbol)
        head = self._heads.setdefault(snapshot.symbol, _Head())
        if found != head.checksum:
            head.number, head.checksum = head.number + 1, found
        if snapshot.changed_at is not None and snapshot.symbol not in self._pulses:
            self._estimate_the_lag(snapshot.symbol, snapshot.changed_at, received_at)
        super().book_replaced(msgspec.structs.replace(snapshot, update_id=head.number), received_at)

    def book_changed(self, change: BookChange, received_at: float) -> None:
        self._expect(change.symbol)
        head = self._heads.setdefault(change.symbol, _Head())
        head.number, head.checksum = head.number + 1, change.checksum
        numbered = msgspec.structs.replace(change, first_id=head.number, last_id=head.number)
        super().book_changed(numbered, received_at)
        if change.changed_at is not None:
            self._watch_the_lag(change.changed_at, received_at)

    def _estimate_the_lag(self, symbol: str, changed_at: float, received_at: float) -> None:
        """The first snapshot may be as late as its time is old, until an update shows how late the line is.

        A still book has an old time, too. No snapshot is older than the question that it answers.
        """
        age = self._exchange_clock.age(changed_at, received_at)
        if age is not None:
            asked_at = self._subscriptions.states[symbol].asked_at
            self._delay = max(self._delay, counted(min(age, received_at - asked_at)))

    def _watch_the_lag(self, changed_at: float, received_at: float) -> None:
        """Takes all books out of sync when an update comes too late, because they show the past. Raises BadFrame then."""
        seconds = self._exchange_clock.heard(changed_at, received_at)
        if seconds is None:
            return
        self._delay = counted(seconds)
        if seconds <= LATE_SECONDS:
            return
        self._sink.lose(self.exchange, self._subscriptions.symbols)
        self._last_error = f"an update of an order book came {seconds:.0f} s late; connecting anew"
        self.leave()
        raise BadFrame(self._last_error, reason="late")

    def out_of_sync(self, symbol: str, now: float) -> None:
        """Plans a repair. The pause before it grows with each loss in a row."""
        is_under_way = symbol in self._repairs
        super().out_of_sync(symbol, now)
        pulse = self._pulses.get(symbol)
        if is_under_way or pulse is None:
            return
        is_first = now - pulse.repaired_at > HELD_SECONDS
        losses = self._losses[symbol] = 0 if is_first else self._losses.get(symbol, 0) + 1
        apart = min(LONGEST_BETWEEN_REPAIRS_SECONDS, REPAIRS_APART_SECONDS * 2.0 ** min(losses, 10))
        self._repairs[symbol].due_at = max(now, pulse.repaired_at + apart)

    def symbol_unusable(self, symbol: str, now: float) -> None:
        if symbol in self._subscriptions.states:
            super().symbol_unusable(symbol, now)
        else:
            self.unreadable(symbol, now)

    def unreadable(self, frame: str, now: float) -> None:
        """Takes every book out of sync to which the frame may belong. Only the next checksum would show the missing update."""
        symbols = list(self._subscriptions.states)
        named = [symbol for symbol in symbols if symbol in frame.replace("\\/", "/")]
        for symbol in named or symbols:
            super().symbol_unusable(symbol, now)


class KrakenBooksV1(KrakenBooks):
    """Protocol v1, for an address that does not end in /v2."""

    url = "wss://ws.kraken.com"
    dialect = DialectV1()
