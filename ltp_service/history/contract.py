"""What a store of the history does. Two exist: a SQLite file, and PostgreSQL for a fleet."""

from collections.abc import Sequence
from typing import Protocol

from ltp_service.domain.pairs import Pair
from ltp_service.history.rows import Around, Candle, Coverage, News, RecordedTrade, Written

CANDLE_MINUTES = (1, 60, 1440)
"""Lengths of the candles that are made while writing. Longer and other ones are put together from these."""

READ_SECONDS = 3.0
"""Seconds that one question of a reader may last."""


class HistoryStore(Protocol):
    """Every method may raise StoreUnavailable. `write` and `prune` are called by one thread at a time, the others by
    another one, so each side has its own connection. Nothing here may be called on the hub. Ask for the coverage before
    the trades or candles that it is to prove: more may be written between the two questions."""

    def write(self, news: Sequence[News]) -> Written:
        """Records all of it in one transaction, or nothing: trades, runs, candles, evidence."""

    def prune(self, before: int) -> int:
        """Deletes at most some thousand trades before a moment, and returns how many; 0 when none is left."""

    def around(self, pair: Pair, moment: int) -> Around:
        """What is known around a moment."""

    def coverage(self, pair: Pair) -> Coverage:
        """What is known of a pair."""

    def trades(self, pair: Pair, start: int, end: int, limit: int) -> list[RecordedTrade]:
        """At most `limit` trades from `start` to before `end`, in the order of time and id."""

    def trades_after(self, pair: Pair, trade_id: int, end: int, limit: int) -> list[RecordedTrade]:
        """The same, those that follow an id in the newest series, whether that trade is known or not."""

    def candles(self, pair: Pair, minutes: int, start: int, end: int) -> list[Candle]:
        """Those of a length in CANDLE_MINUTES whose start lies from `start` to before `end`; none without a trade."""

    def origin(self) -> object:
        """Another object once what was read may be of another history than what was read before."""

    def size(self) -> int:
        """Bytes on the disk."""

    def close(self) -> None:
        """Ends its connections."""


class WriterLock(Protocol):
    """Of several processes that could write the same history, one does. The thread that writes uses it, no other."""

    def take(self) -> bool:
        """Takes the lock unless another process has it; True while this one has it. It never waits for the other one.

        Called again and again, so that a lost lock is noticed. Raises StoreUnavailable.
        """

    def release(self) -> None:
        """Lets another process take it."""

    def place(self) -> object:
        """Tells the history that is written now from another one that came in its place: a file that was put there, or a
        server that took over. None where there is none."""
