"""The history in a database of either kind."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from ltp_service.domain.pairs import Pair
from ltp_service.history import sql
from ltp_service.history.candles import MINUTE, longer, start_of
from ltp_service.history.coverage import SLACK
from ltp_service.history.digits import read_candle
from ltp_service.history.engine import Engine, Row, Transaction
from ltp_service.history.packing import EVER, Asked, Trades, around, drop
from ltp_service.history.rows import Around, Candle, Coverage, News, Observation, RecordedTrade, Run, Written
from ltp_service.history.tapes import Memory

PRUNED_AT_ONCE = 5_000
"""Trades of a pair that are deleted in one transaction, and those of the same minute."""


class SqlHistory:
    """A HistoryStore.

    No read needs a transaction: coverage is always read before trades. What it claims stays true while trades are added,
    and where trades are deleted meanwhile, they are missing from the answer, which is then no proof.
    """

    def __init__(self, engine: Engine, rest: Callable[[], None] = lambda: None) -> None:
        """`rest` is called now and then while it writes much, so that others have their turns."""
        self._engine = engine
        self._stored = Trades(engine.read, engine.block)
        self._memory = Memory(rest)
        self.origin, self.size, self.close = engine.origin, engine.size, engine.close

    def write(self, news: Sequence[News]) -> Written:
        def change(transaction: Transaction) -> Written:
            token = self._memory.take_turn(transaction)
            written = self._memory.record(transaction, news)
            self._memory.keep(token)
            return written

        return self._engine.write(change)

    def prune(self, before: int) -> int:
        def change(transaction: Transaction) -> int:
            self._memory.take_turn(transaction)  # and keeps nothing of what was known
            pairs = [pair for (pair,) in transaction.rows(sql.PAIRS)]
            return sum(_prune(transaction, pair, before) for pair in pairs)

        return self._engine.write(change)

    def around(self, pair: Pair, moment: int) -> Around:
        name = str(pair)
        before, after, runs = around(self._engine.read, self._engine.block, name, moment)
        if after is None:  # it is the first one of the next series
            later = (row[1] for row in runs if row[4] > moment)
            after = next((trade for tape in later for trade in self._stored.first(Asked(tape), 1)), None)
        if before is not None and after is not None:
            return Around(before, after, _coverage(runs), None)
        observed = self._engine.read(sql.OBSERVED, (name, moment))
        return Around(before, after, _coverage(runs), _observation(observed[0]) if observed else None)

    def coverage(self, pair: Pair) -> Coverage:
        return _coverage(self._engine.read(sql.COVERAGE, (str(pair),)))

    def trades(self, pair: Pair, start: int, end: int, limit: int) -> list[RecordedTrade]:
        found: list[RecordedTrade] = []
        for (tape,) in self._engine.read(sql.TAPES_WITHIN, (str(pair), end, start)):
            found += self._stored.first(Asked(tape, start, end - 1), limit - len(found))
        return found

    def trades_after(self, pair: Pair, trade_id: int, end: int, limit: int) -> list[RecordedTrade]:
        for (tape,) in self._engine.read(sql.NEWEST_TAPE, (str(pair),)):
            starts = self._engine.read(sql.MINUTE_OF_ID, (tape, trade_id))
            start = starts[0][0] - SLACK if starts else 0  # a later id may have an earlier time
            return self._stored.first(Asked(tape, start, end - 1, min(trade_id, EVER) + 1), limit)
        return []

    def candles(self, pair: Pair, minutes: int, start: int, end: int) -> list[Candle]:
        rows = self._engine.read(sql.CANDLES, (str(pair), minutes, start, end))
        return longer(map(read_candle, rows), minutes)  # one candle where two series share its time


def _coverage(rows: Iterable[Row]) -> Coverage:
    """Of the columns series, tape, first and last id, first and last moment, evidence_until, kept_from; in order."""
    evidence_until = kept_from = None
    runs = []
    for series, _, first_id, last_id, first_at, last_at, evidence_until, kept_from in rows:  # noqa: B007 - the last row's are the pair's
        runs.append(Run(series, first_id, last_id, first_at, last_at))
    return Coverage(tuple(runs), evidence_until, kept_from)


def _observation(row: Row) -> Observation:
    price, observed_at, evidence_until, traded_at, source = row
    return Observation(Decimal(price), observed_at, evidence_until, traded_at, source)


def _prune(transaction: Transaction, pair: str, before: int) -> int:
    """Deletes the pair's oldest trades and observations, but for the last ones at or before a moment. Whole minutes, so
    that a candle can be made anew as long as one of its trades is there."""
    tapes = [key for key, *_ in transaction.rows(sql.TAPES, (pair,))]
    trades = Trades.within(transaction)
    last = [trade.traded_at for tape in tapes if (trade := trades.last(Asked(tape, until=before)))]
    end = start_of(max(last, default=0), 1)
    deleted = 0
    for tape in tapes:
        deleted = _drop(transaction, tape, end)
        if deleted:
            break
    if deleted:
        kept = (trades.nth_moment(tape, 0) for tape in tapes)
        transaction.rows(sql.PUT_KEPT_FROM, (next(moment for moment in kept if moment is not None), pair))
    return deleted + _drop_observations(transaction, pair, before)


def _drop(transaction: Transaction, tape: int, end: int) -> int:
    """Deletes the first minutes of a tape."""
    trades = Trades.within(transaction)
    first = trades.nth_moment(tape, 0)
    if first is None or first >= end:
        return 0
    nth = trades.nth_moment(tape, PRUNED_AT_ONCE, end)
    if nth is not None:
        end = min(end, max(start_of(nth, 1), start_of(first, 1) + MINUTE))
    return drop(transaction, tape, end)


def _drop_observations(transaction: Transaction, pair: str, before: int) -> int:
    end = _one(transaction, sql.LAST_OBSERVED, (pair, before))
    if end is None:
        return 0
    nth = _one(transaction, sql.NTH_OBSERVED, (pair, PRUNED_AT_ONCE))
    end = end if nth is None else min(end, nth)
    [(count,)] = transaction.rows(sql.COUNT_OBSERVED, (pair, end))
    transaction.rows(sql.DROP_OBSERVED, (pair, end))
    return int(count)


def _one(transaction: Transaction, statement: str, parameters: Sequence[object]) -> int | None:
    """The one value of the one row, if there is any."""
    rows = transaction.rows(statement, parameters)
    return rows[0][0] if rows else None
