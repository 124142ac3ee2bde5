"""What the writer knows of each pair, and how news changes it: trades, runs, evidence, candles."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import inf

from ltp_service.domain.pairs import Pair
from ltp_service.history import sql
from ltp_service.history.candles import MINUTE, fold, join, longer, of_minutes, start_of
from ltp_service.history.contract import CANDLE_MINUTES
from ltp_service.history.coverage import SLACK, Runs
from ltp_service.history.digits import candle_columns, plain_text, read_candle, read_trade, trade_columns
from ltp_service.history.engine import Transaction
from ltp_service.history.rows import Candle, News, Observation, RecordedTrade, Run

MOST_ID = 2**62
"""A trade with such an id or a higher one is not taken: databases have integers of 63 bits and a sign."""


class Tape:
    """One series of a pair, as it is stored once the present transaction is committed."""

    def __init__(
        self, key: int, series: int, runs: Iterable[Run] = (), evidence_until: int | None = None
    ) -> None:
        self.key = key
        self.series = series
        self.runs = Runs(runs)
        self.evidence_until = evidence_until
        self.latest = max(((run.last_traded_at, run.last_trade_id) for run in self.runs), default=(-1, -1))
        """Moment and id of the trade that is the last in the order of both."""
        self.candles: dict[int, Candle] = {}
        """The newest one of each length."""


class _Change:
    """What one piece of news changes on one tape."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.latest = tape.latest
        """As it was before."""
        self.trades: list[RecordedTrade] = []
        self.runs: dict[int, Run | None] = {}
        """By the first id; None for one that became part of another."""


class PairTapes:
    """All series of a pair, oldest first."""

    def __init__(self, pair: Pair, tapes: Iterable[Tape], kept_from: int | None) -> None:
        self.pair = pair
        self.tapes = list(tapes)
        self.kept_from = kept_from

    @classmethod
    def load(cls, transaction: Transaction, pair: Pair) -> "PairTapes":
        """Reads what is stored."""
        rows = transaction.rows(sql.TAPES, (str(pair),))
        tapes = [_load(transaction, key, series, evidence) for key, series, evidence, _ in rows]
        return cls(pair, tapes, rows[-1][3] if rows else None)

    def record(self, transaction: Transaction, news: Sequence[News]) -> int:
        """Writes news of this pair; returns the number of new trades. All trades come first: evidence counts only for what is
        the newest then."""
        changes: dict[int, _Change] = {}
        had = {tape.key: tape.evidence_until for tape in self.tapes[-1:]}
        trades = _in_order((trade for each in news for trade in each.trades), self.kept_from or 0)
        for tape, stretch in self._stretches(transaction, trades):
            _take(changes.setdefault(tape.key, _Change(tape)), stretch)
        for change in changes.values():
            _write(transaction, change)
        if self.tapes:
            newest = self.tapes[-1]
            for each in news:
                _take_evidence(newest, each)
            if newest.evidence_until != had.get(newest.key):
                transaction.rows(sql.PUT_EVIDENCE, (newest.evidence_until, newest.key))
        return sum(len(change.trades) for change in changes.values())

    def _stretches(
        self, transaction: Transaction, trades: Sequence[RecordedTrade]
    ) -> Iterator[tuple[Tape, list[RecordedTrade]]]:
        """Cuts trades in the order of time into stretches of consecutive ids that are not known. Each has to be taken before
        the next one is asked for."""
        place = 0
        while place < len(trades):
            trade = trades[place]
            place += 1
            tape = self._home(transaction, trade)
            if tape is None or tape.runs.knows(trade.trade_id):
                continue
            stretch = [trade]
            before_id, until = self._room(tape, trade.trade_id)
            while place < len(trades):
                following = trades[place]
                if following.trade_id != stretch[-1].trade_id + 1 or following.trade_id >= before_id:
                    break
                if following.traded_at > until:
                    break
                stretch.append(following)
                place += 1
            yield tape, stretch

    def _home(self, transaction: Transaction, trade: RecordedTrade) -> Tape | None:
        """The tape on which a trade lies, or would lie. A new one when the exchange has begun to number its trades anew.
        None for a trade that contradicts all tapes."""
        for slack in (0, SLACK):
            for place in range(len(self.tapes) - 1, -1, -1):
                if self._is_within(place, trade.traded_at) and self.tapes[place].runs.fits(
                    trade.trade_id, trade.traded_at, slack
                ):
                    return self.tapes[place]
        if self.tapes and trade.traded_at <= self.tapes[-1].latest[0] + SLACK:
            return None
        series = self.tapes[-1].series + 1 if self.tapes else 0
        [(key,)] = transaction.rows(sql.NEW_TAPE, (str(self.pair), series, self.kept_from))
        self.tapes.append(Tape(key, series))
        return self.tapes[-1]

    def _is_within(self, place: int, moment: int) -> bool:
        """Whether a moment lies between the tape before and the one after a tape."""
        return (place == 0 or moment >= self.tapes[place - 1].latest[0]) and moment <= self._end(place)

    def _end(self, place: int) -> float:
        is_last = place + 1 == len(self.tapes)
        return inf if is_last else self.tapes[place + 1].runs.first.first_traded_at

    def _room(self, tape: Tape, trade_id: int) -> tuple[float, float]:
        """The next known id and the latest moment for trades that follow an unknown one."""
        after = tape.runs.next_known(trade_id)
        if after is not None:
            return after.first_trade_id, after.first_traded_at + SLACK
        return inf, self._end(self.tapes.index(tape))


class Memory:
    """The tapes that are loaded. All are dropped whenever they may differ from the database: after an error, and when
    another writer was there. A token tells: each transaction replaces it by a random one."""

    def __init__(self) -> None:
        self._pairs: dict[Pair, PairTapes] = {}
        self._token: int | None = None

    def take_turn(self, transaction: Transaction) -> int:
        """Begins the work of a transaction. Returns the token to `keep` at its end; without that all tapes are dropped."""
        token = secrets.randbits(62)
        [(previous,)] = transaction.rows(sql.TAKE_TURN, (token,))
        if previous != self._token:
            self._pairs.clear()
        self._token = None  # until the end, the tapes are ahead of the database
        return token

    def keep(self, token: int) -> None:
        """Ends it. When it is not committed all the same, the next one will find another token."""
        self._token = token

    def record(self, transaction: Transaction, news: Sequence[News]) -> int:
        """Writes news; returns the number of new trades."""
        by_pair: dict[Pair, list[News]] = {}
        for each in news:
            if each.observation is not None:
                _put_observation(transaction, each.pair, each.observation)
            if each.trades or each.evidence_until is not None:
                by_pair.setdefault(each.pair, []).append(each)
        for pair in by_pair.keys() - self._pairs.keys():
            self._pairs[pair] = PairTapes.load(transaction, pair)
        return sum(self._pairs[pair].record(transaction, told) for pair, told in by_pair.items())


def _load(transaction: Transaction, key: int, series: int, evidence_until: int | None) -> Tape:
    runs = [Run(series, *row) for row in transaction.rows(sql.RUNS_OF_TAPE, (key,))]
    tape = Tape(key, series, runs, evidence_until)
    for minutes in CANDLE_MINUTES:
        for row in transaction.rows(sql.NEWEST_CANDLE, (key, minutes)):
            tape.candles[minutes] = read_candle(row)
    return tape


def _in_order(trades: Iterable[RecordedTrade], kept_from: int) -> list[RecordedTrade]:
    """Trades in the order of time and id, but for those that would be deleted at once. Of several with one id and about
    the same time the first that came stays."""
    seen: dict[int, int] = {}
    kept = []
    for trade in trades:
        told_at = seen.get(trade.trade_id)
        is_told_again = told_at is not None and abs(told_at - trade.traded_at) <= SLACK
        if not is_told_again and trade.traded_at >= kept_from and 0 <= trade.trade_id < MOST_ID:
            seen[trade.trade_id] = trade.traded_at
            kept.append(trade)
    return sorted(kept, key=lambda trade: (trade.traded_at, trade.trade_id))


def _take(change: _Change, stretch: list[RecordedTrade]) -> None:
    """Adds consecutive trades to a tape."""
    tape, first, last = change.tape, stretch[0], stretch[-1]
    if tape.evidence_until is not None:
        # It is of the newest run, and says that nothing followed that for a while.
        end = tape.runs.last.last_trade_id
        if first.trade_id > end + 1 or (first.trade_id > end and first.traded_at <= tape.evidence_until):
            tape.evidence_until = None
    new = Run(tape.series, first.trade_id, last.trade_id, first.traded_at, last.traded_at)
    joined, replaced = tape.runs.record(new)
    change.runs.update({run.first_trade_id: None for run in replaced})
    change.runs[joined.first_trade_id] = joined
    change.trades += stretch
    tape.latest = max(tape.latest, (last.traded_at, last.trade_id))


def _take_evidence(tape: Tape, news: News) -> None:
    if news.evidence_until is not None and news.evidence_for == tape.runs.last.last_trade_id:
        tape.evidence_until = max(tape.evidence_until or 0, news.evidence_until)


def _write(transaction: Transaction, change: _Change) -> None:
    tape = change.tape
    transaction.many(
        sql.ADD_TRADE,
        [(tape.key, trade.traded_at, trade.trade_id, *trade_columns(trade)) for trade in change.trades],
    )
    gone = [(tape.key, first) for first, run in change.runs.items() if run is None]
    if gone:
        transaction.many(sql.DROP_RUN, gone)
    transaction.many(sql.PUT_RUN, [(tape.key, *run[1:]) for run in change.runs.values() if run is not None])
    _write_candles(transaction, change)


def _write_candles(transaction: Transaction, change: _Change) -> None:
    """A candle goes on from what it was when all its new trades come after it; else it is made anew."""
    tape = change.tape
    new = list(of_minutes(sorted(change.trades, key=lambda trade: (trade.traded_at, trade.trade_id))))
    going_on = {
        candle.start: (members[0].traded_at, members[0].trade_id) > change.latest for candle, members in new
    }
    parts = [candle for candle, _ in new]
    minutes = [
        _going_on(tape, 1, candle) if going_on[candle.start] else _minute(transaction, tape, candle.start)
        for candle in parts
    ]
    _put_candles(transaction, tape, 1, minutes)
    shorter = 1
    for length in CANDLE_MINUTES[1:]:
        made = []
        for start, group in groupby(parts, lambda candle: start_of(candle.start, length)):  # noqa: B023 - used at once
            members = list(group)
            if going_on[members[0].start]:
                made.append(_going_on(tape, length, longer(members, length)[0]))
            else:
                rows = transaction.rows(
                    sql.CANDLES_OF_TAPE, (tape.key, shorter, start, start + length * MINUTE)
                )
                made += longer(map(read_candle, rows), length)
        _put_candles(transaction, tape, length, made)
        shorter = length


def _going_on(tape: Tape, minutes: int, candle: Candle) -> Candle:
    newest = tape.candles.get(minutes)
    return join(newest, candle) if newest is not None and newest.start == candle.start else candle


def _minute(transaction: Transaction, tape: Tape, start: int) -> Candle:
    rows = transaction.rows(sql.ALL_TRADES, (tape.key, start, start + MINUTE))
    return fold([read_trade(row) for row in rows], start)


def _put_candles(transaction: Transaction, tape: Tape, minutes: int, candles: list[Candle]) -> None:
    transaction.many(sql.PUT_CANDLE, [(tape.key, minutes, *candle_columns(candle)) for candle in candles])
    newest = tape.candles.get(minutes)
    if newest is None or candles[-1].start >= newest.start:
        tape.candles[minutes] = candles[-1]


def _put_observation(transaction: Transaction, pair: Pair, seen: Observation) -> None:
    transaction.rows(
        sql.PUT_OBSERVATION,
        (
            str(pair),
            seen.observed_at,
            seen.evidence_until,
            plain_text(seen.price),
            seen.traded_at,
            seen.source,
        ),
    )
