"""What the writer knows of each pair, and how news changes it: trades, runs, evidence, candles."""

import secrets
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, groupby
from math import inf

from ltp_service.domain.pairs import Pair
from ltp_service.history import sql
from ltp_service.history.candles import MINUTE, fold, join, longer, of_minutes, start_of
from ltp_service.history.contract import CANDLE_MINUTES
from ltp_service.history.coverage import SLACK, Runs
from ltp_service.history.digits import candle_columns, plain_text, read_candle
from ltp_service.history.engine import Transaction
from ltp_service.history.packing import Asked, Trades, add
from ltp_service.history.rows import Candle, News, Observation, RecordedTrade, Run, Written

MOST_ID = 2**62
"""A trade with such an id or a higher one is not taken: databases have integers of 63 bits and a sign."""

SAME_MOMENT = 2_000
"""Microseconds by which two sources may round the time of one trade differently."""


class Tape:
    """One series of a pair, as it is stored once the present transaction is committed."""

    def __init__(
        self,
        key: int,
        series: int,
        runs: Iterable[Run] = (),
        evidence_until: int | None = None,
        breaks: Iterable[int] = (),
    ) -> None:
        self.key = key
        self.series = series
        self.runs = Runs(runs)
        self.evidence_until = evidence_until
        self.breaks = sorted(breaks)
        """Moments of trades that contradict the tape. No run goes on from a trade at or before one to a later trade."""
        self.latest = max(((run.last_traded_at, run.last_trade_id) for run in self.runs), default=(-1, -1))
        """Moment and id of the trade that is the last in the order of both."""
        self.candles: dict[int, Candle] = {}
        """The newest one of each length."""

    def is_broken(self, one: int, other: int) -> bool:
        """Whether no run goes on between trades of these moments."""
        place = bisect_left(self.breaks, min(one, other))
        return place < len(self.breaks) and self.breaks[place] < max(one, other)


class _Change:
    """What news of one pair changes on one tape."""

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

    def record(self, transaction: Transaction, news: Sequence[News]) -> Written:
        """Writes news of this pair. All trades come first: evidence counts only for what is the newest then, and not where
        one of them contradicts the others."""
        had = {tape.key: tape.evidence_until for tape in self.tapes[-1:]}
        trades = _in_order((trade for each in news for trade in each.trades), self.kept_from or 0)
        changes, contradicting = self._record(transaction, trades)
        for change in changes.values():
            _write(transaction, change)
        if self.tapes:
            newest = self.tapes[-1]
            for each in news if not contradicting else ():
                _take_evidence(newest, each)
            if newest.evidence_until != had.get(newest.key):
                transaction.rows(sql.PUT_EVIDENCE, (newest.evidence_until, newest.key))
        return Written(
            sum(len(change.trades) for change in changes.values()),
            tuple((self.pair, trade) for trade in contradicting),
        )

    def _record(
        self, transaction: Transaction, trades: Sequence[RecordedTrade]
    ) -> tuple[dict[int, _Change], list[RecordedTrade]]:
        """Takes trades in the order of time. Returns what changes, by the tape's key, and the trades that contradict what is
        recorded."""
        changes: dict[int, _Change] = {}
        contradicting = []
        known = self._known(transaction, trades)
        place = 0
        while place < len(trades):
            trade = trades[place]
            place += 1
            if place - 1 in known:
                continue
            tape = self._home(transaction, trade)
            if tape is None:
                contradicting.append(trade)
                for beside in self._around(trade.traded_at):
                    _contradict(transaction, changes.setdefault(beside.key, _Change(beside)), trade)
                continue
            stretch = [trade]
            before_id, until = tape.runs.room_from(trade.trade_id)
            until = min(until, self._end(self.tapes.index(tape)))
            while place < len(trades) and place not in known and _follows(tape, stretch[-1], trades[place]):
                if trades[place].trade_id >= before_id or trades[place].traded_at > until:
                    break
                stretch.append(trades[place])
                place += 1
            _take(transaction, changes.setdefault(tape.key, _Change(tape)), stretch)
        return changes, contradicting

    def _known(self, transaction: Transaction, trades: Sequence[RecordedTrade]) -> set[int]:
        """The places of those that are recorded as they are told. An id alone does not show it: the exchange may have begun
        to number anew."""
        known: set[int] = set()
        for tape in self.tapes:
            told = [place for place, trade in enumerate(trades) if tape.runs.knows(trade.trade_id)]
            for group in _consecutive(told, trades):
                first, last = trades[group[0]], trades[group[-1]]
                times = first.traded_at - SAME_MOMENT, last.traded_at + SAME_MOMENT
                asked = Asked(tape.key, *times, first.trade_id, last.trade_id)
                recorded = {trade.trade_id: trade for trade in Trades.within(transaction).first(asked)}
                known.update(place for place in group if self._is_known(trades[place], recorded))
        return known

    def _is_known(self, told: RecordedTrade, recorded: dict[int, RecordedTrade]) -> bool:
        found = recorded.get(told.trade_id)
        if found is None:  # the trade was deleted, where its time is rounded another way
            return told.traded_at - SAME_MOMENT < (self.kept_from or 0)
        return _is_same(told, found)

    def _home(self, transaction: Transaction, trade: RecordedTrade) -> Tape | None:
        """The tape on which a trade lies that is not known. A new one when the exchange has begun to number its trades anew.
        None for a trade that contradicts all tapes."""
        around = self._around(trade.traded_at)
        for slack in (0, SLACK):
            for tape in around:
                if tape.runs.fits(trade.trade_id, trade.traded_at, slack):
                    return tape
        if self.tapes and trade.traded_at <= self.tapes[-1].latest[0] + SLACK:
            return None
        series = self.tapes[-1].series + 1 if self.tapes else 0
        [(key,)] = transaction.rows(sql.NEW_TAPE, (str(self.pair), series, self.kept_from))
        self.tapes.append(Tape(key, series))
        return self.tapes[-1]

    def _around(self, moment: int) -> list[Tape]:
        """The tapes of a moment, the newest one first: it lies between the one before and the one after."""
        return [
            tape
            for place, tape in reversed(list(enumerate(self.tapes)))
            if (place == 0 or moment >= self.tapes[place - 1].latest[0]) and moment <= self._end(place)
        ]

    def _end(self, place: int) -> float:
        is_last = place + 1 == len(self.tapes)
        return inf if is_last else self.tapes[place + 1].runs.first.first_traded_at


class Memory:
    """The tapes that are loaded. All are dropped whenever they may differ from the database: after an error, and when
    another writer was there. A token tells: each transaction replaces it by a random one."""

    def __init__(self, rest: Callable[[], None]) -> None:
        """`rest` is called between two pairs: each may take milliseconds."""
        self._rest = rest
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

    def record(self, transaction: Transaction, news: Sequence[News]) -> Written:
        """Writes news."""
        by_pair: dict[Pair, list[News]] = {}
        for each in news:
            if each.observation is not None:
                _put_observation(transaction, each.pair, each.observation)
            if each.trades or each.evidence_until is not None:
                by_pair.setdefault(each.pair, []).append(each)
        for pair in by_pair.keys() - self._pairs.keys():
            self._pairs[pair] = PairTapes.load(transaction, pair)
        written = []
        for pair, told in by_pair.items():
            self._rest()
            written.append(self._pairs[pair].record(transaction, told))
        return Written(
            sum(each.new for each in written), tuple(chain(*(each.contradicting for each in written)))
        )


def _load(transaction: Transaction, key: int, series: int, evidence_until: int | None) -> Tape:
    runs = [Run(series, *row) for row in transaction.rows(sql.RUNS_OF_TAPE, (key,))]
    breaks = [moment for (moment,) in transaction.rows(sql.BREAKS, (key,))]
    tape = Tape(key, series, runs, evidence_until, breaks)
    for minutes in CANDLE_MINUTES:
        for row in transaction.rows(sql.NEWEST_CANDLE, (key, minutes)):
            tape.candles[minutes] = read_candle(row)
    return tape


def _in_order(trades: Iterable[RecordedTrade], kept_from: int) -> list[RecordedTrade]:
    """Trades in the order of time and id, but for those that would be deleted at once. Of one that is told several times what
    came first stays."""
    seen: dict[int, list[RecordedTrade]] = {}
    kept = []
    for trade in trades:
        if trade.traded_at < kept_from or not 0 <= trade.trade_id < MOST_ID:
            continue
        told = seen.setdefault(trade.trade_id, [])
        if not any(_is_same(trade, each) for each in told):
            told.append(trade)
            kept.append(trade)
    return sorted(kept, key=lambda trade: (trade.traded_at, trade.trade_id))


def _is_same(one: RecordedTrade, other: RecordedTrade) -> bool:
    """Whether two tellings of one id are of the same trade."""
    return _is_same_moment(one, other) and _is_same_amount(one, other)


def _is_same_moment(one: RecordedTrade, other: RecordedTrade) -> bool:
    return abs(one.traded_at - other.traded_at) <= SAME_MOMENT


def _is_same_amount(one: RecordedTrade, other: RecordedTrade) -> bool:
    return one.price == other.price and one.quantity == other.quantity


def _consecutive(places: Iterable[int], trades: Sequence[RecordedTrade]) -> list[list[int]]:
    """Places cut into groups of which the ids follow one another."""
    groups: list[list[int]] = []
    for place in places:
        if groups and trades[groups[-1][-1]].trade_id + 1 == trades[place].trade_id:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _follows(tape: Tape, trade: RecordedTrade, following: RecordedTrade) -> bool:
    """Whether a run may go on from one trade to the other."""
    is_next = following.trade_id == trade.trade_id + 1
    return is_next and not tape.is_broken(trade.traded_at, following.traded_at)


def _take(transaction: Transaction, change: _Change, stretch: list[RecordedTrade]) -> None:
    """Adds consecutive trades to a tape."""
    tape, first, last = change.tape, stretch[0], stretch[-1]
    if tape.evidence_until is not None:
        # It is of the newest run, and says that nothing followed that for a while.
        end = tape.runs.last.last_trade_id
        if first.trade_id > end + 1 or (first.trade_id > end and first.traded_at <= tape.evidence_until):
            tape.evidence_until = None
    # At once, for those that come next may contradict them.
    add(transaction, tape.key, stretch)
    new = Run(tape.series, first.trade_id, last.trade_id, first.traded_at, last.traded_at)
    before, after = tape.runs.neighbours(new)
    joins = []
    if before is not None:
        times = before.last_traded_at - SLACK, before.last_traded_at
        if not _is_apart(transaction, tape, before.last_trade_id, times, first.traded_at):
            joins.append(before)
    if after is not None:
        times = after.first_traded_at, after.first_traded_at + SLACK
        if not _is_apart(transaction, tape, after.first_trade_id, times, last.traded_at):
            joins.append(after)
    joined, replaced = tape.runs.record(new, joins)
    change.runs.update({run.first_trade_id: None for run in replaced})
    change.runs[joined.first_trade_id] = joined
    change.trades += stretch
    tape.latest = max(tape.latest, (last.traded_at, last.trade_id))


def _is_apart(
    transaction: Transaction, tape: Tape, trade_id: int, times: tuple[int, int], moment: int
) -> bool:
    """Whether a break lies between the trade at the edge of a run, which has a time in `times`, and another moment."""
    if not tape.is_broken(min(times[0], moment), max(times[1], moment)):
        return False
    edge = _first_moment(transaction, Asked(tape.key, *times, trade_id, trade_id))
    return edge is None or tape.is_broken(edge, moment)


def _contradict(transaction: Transaction, change: _Change, trade: RecordedTrade) -> None:
    """Notes a trade that is not on the tape and cannot lie there. Nothing shows which one is right, so nothing around its
    moment is proven any more."""
    tape = change.tape
    tape.evidence_until = None
    _break(transaction, change, trade.traded_at)
    recorded = _recorded(transaction, tape, trade.trade_id)
    if recorded and (_is_same_moment(trade, recorded) or _is_same_amount(trade, recorded)):
        # It is the same trade. Else it is another one, of another numbering, and the recorded one stays as good as it was.
        _break(transaction, change, recorded.traded_at)


def _recorded(transaction: Transaction, tape: Tape, trade_id: int) -> RecordedTrade | None:
    """The trade with an id; None where it is not recorded, or was deleted."""
    run = tape.runs.holding(trade_id)
    if run is None:
        return None
    begun = transaction.rows(sql.MINUTE_OF_ID, (tape.key, trade_id))
    since = max(run.first_traded_at, begun[0][0] - SLACK) if begun else run.first_traded_at
    found = Trades.within(transaction).first(
        Asked(tape.key, since, run.last_traded_at, trade_id, trade_id), 1
    )
    return found[0] if found else None


def _break(transaction: Transaction, change: _Change, moment: int) -> None:
    """Ends all runs that go on over a moment."""
    tape = change.tape
    if tape.is_broken(moment, moment + 1):
        return
    insort(tape.breaks, moment)
    transaction.rows(sql.ADD_BREAK, (tape.key, moment))
    for run in tape.runs.across(moment):
        parts = _parts(transaction, tape, run, moment)
        tape.runs.replace(run, parts)
        change.runs.update({part.first_trade_id: part for part in parts})


def _parts(transaction: Transaction, tape: Tape, run: Run, moment: int) -> list[Run]:
    """What is left of a run that goes on from a trade at or before a moment to a later one: none of the parts does."""
    trades, ids = Trades.within(transaction), (run.first_trade_id, run.last_trade_id)
    earlier = Asked(tape.key, run.first_traded_at, moment, *ids)
    later = Asked(tape.key, moment + 1, run.last_traded_at, *ids)
    last, first = trades.last(earlier), _first_moment(transaction, later)
    if last is None or first is None:
        return [run]  # those at or before it were deleted
    # Ids and times may be out of order by SLACK, so that the ids on both sides mix.
    low = min(trade.trade_id for trade in trades.first(later._replace(until=first + SLACK)))
    high = max(trade.trade_id for trade in trades.first(earlier._replace(since=last.traded_at - SLACK)))
    high = max(high, low - 1)
    parts = []
    if low > run.first_trade_id:
        left = earlier._replace(last_id=low - 1)
        begin = run.first_traded_at
        if begin >= moment - SLACK:
            begin = _first_moment(transaction, left) or begin
        end = trades.last(left)
        parts.append(Run(run.series, run.first_trade_id, low - 1, begin, end.traded_at if end else begin))
    mixed = trades.first(Asked(tape.key, moment - SLACK, moment + SLACK, low, high)) if low <= high else []
    parts += [Run(run.series, row[0], row[0], row[1], row[1]) for row in sorted(mixed)]
    if high < run.last_trade_id:
        right = later._replace(first_id=high + 1)
        until = run.last_traded_at
        if until <= moment + SLACK and (newest := trades.last(right)):
            until = newest.traded_at
        begin = _first_moment(transaction, right) or until
        parts.append(Run(run.series, high + 1, run.last_trade_id, begin, until))
    return parts


def _first_moment(transaction: Transaction, asked: Asked) -> int | None:
    """The moment of the earliest of some trades; None where there are none."""
    found = Trades.within(transaction).first(asked, 1)
    return found[0].traded_at if found else None


def _take_evidence(tape: Tape, news: News) -> None:
    if tape.breaks and tape.breaks[-1] >= tape.latest[0]:
        return  # it is told that something followed
    if news.evidence_until is not None and news.evidence_for == tape.runs.last.last_trade_id:
        tape.evidence_until = max(tape.evidence_until or 0, news.evidence_until)


def _write(transaction: Transaction, change: _Change) -> None:
    tape = change.tape
    gone = [(tape.key, first) for first, run in change.runs.items() if run is None]
    if gone:
        transaction.many(sql.DROP_RUN, gone)
    transaction.many(sql.PUT_RUN, [(tape.key, *run[1:]) for run in change.runs.values() if run is not None])
    if change.trades:
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
    return fold(Trades.within(transaction).first(Asked(tape.key, start, start + MINUTE - 1)), start)


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
