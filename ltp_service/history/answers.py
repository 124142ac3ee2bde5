"""What the history answers, and what it admits not to know. Pure: the moment that counts as now is given.

Ids are consecutive per pair, so a run of ids proves that no trade is missing between its first and its last one. Times
alone prove nothing. They may even be out of order by SLACK, so the proof begins that much later than the run, and ends that
much earlier.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from decimal import Context, Decimal
from operator import attrgetter
from typing import Literal, NamedTuple

from ltp_service.history.candles import MINUTE, longer, start_of
from ltp_service.history.contract import CANDLE_MINUTES
from ltp_service.history.coverage import is_covered, place_of, proof
from ltp_service.history.rows import Around, Candle, Coverage, RecordedTrade, Run

Proof = Literal["exact", "observed"]
Covered = Literal["complete", "partial", "empty", "unknown"]
Interval = Literal["1m", "5m", "15m", "1h", "4h", "1d"]

MINUTES: dict[Interval, int] = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}
"""The intervals of candles, in minutes."""

VWAP_MORE_DIGITS = 2
"""Decimal places of a vwap beyond those of the candle's prices. It is a quotient, so it has to end somewhere."""

_AMPLE = Context(prec=100)
"""More digits than a vwap can have."""

_first, _last = attrgetter("first_traded_at"), attrgetter("last_traded_at")


# The price at a moment.


class PriceThen(NamedTuple):
    """The last traded price at a moment."""

    price: Decimal
    proof: Proof
    traded_at: int | None
    trade_id: int | None
    next_trade_id: int | None
    """The trade that ended it, where that is known. Then the answer can never change."""
    evidence_until: int
    """Until when it is known to have been the last price: the next trade, or the newest evidence."""


class Hole(NamedTuple):
    """Trades are missing between these two, or may be."""

    before: RecordedTrade
    after: RecordedTrade | None
    """None while the hole lasts."""


class Unknown(NamedTuple):
    """Nothing is known at that moment or before it."""

    kept_from: int | None
    """The trades before this moment were deleted; None where that is not the reason."""


def price_then(moment: int, around: Around, patience: int) -> PriceThen | Hole | Unknown:
    """What is known about the last price at `moment`. An observation holds for `patience` microseconds after its last
    evidence."""
    before, after, coverage, observation = around
    if coverage.kept_from is not None and moment < coverage.kept_from:
        return Unknown(coverage.kept_from)
    if before is not None:
        if proof(around, moment) is not None:
            next_trade_id, until = _end_of(after, coverage)
            return PriceThen(before.price, "exact", before.traded_at, before.trade_id, next_trade_id, until)
        if after is not None:
            return Hole(before, after)
    if (
        observation is not None
        and observation.observed_at <= moment <= observation.evidence_until + patience
        and (
            before is None
            or observation.observed_at >= before.traded_at
            # It began before that trade, and says nothing against it.
            or (observation.price == before.price and observation.evidence_until >= before.traded_at)
        )
    ):
        return PriceThen(
            observation.price, "observed", observation.traded_at, None, None, observation.evidence_until
        )
    return Unknown(coverage.kept_from) if before is None else Hole(before, None)


def _end_of(after: RecordedTrade | None, coverage: Coverage) -> tuple[int | None, int]:
    """Which trade ended a proven price, and until when it is known to have been the last one."""
    if after is not None:
        return after.trade_id, after.traded_at
    return None, coverage.evidence_until or 0


# Candles.


class Told(NamedTuple):
    """One interval, with or without a trade."""

    start: int
    candle: Candle | None
    """Of the known trades; None without one."""
    covered: Covered
    open_ended: bool
    """It is not over yet."""


class Span(NamedTuple):
    """Intervals of one length that follow one another: those that begin from `start` to before `end`."""

    minutes: int
    start: int
    end: int

    @property
    def length(self) -> int:
        """Microseconds of one interval."""
        return self.minutes * MINUTE

    @property
    def stored_minutes(self) -> int:
        """The length of the stored candles that its candles are put together from."""
        return max(each for each in CANDLE_MINUTES if self.minutes % each == 0)


class Series(NamedTuple):
    """Candles that follow one another."""

    candles: list[Told]
    more: bool
    """Whether others follow before the end that was asked for."""
    settled: bool
    """Nothing that is told later can change them."""


def span(minutes: int, start: int | None, end: int, limit: int) -> tuple[Span, bool]:
    """At most `limit` intervals before `end`: the first ones, from the one that has `start`, or the last ones without it.
    True when more follow."""
    length = minutes * MINUTE
    stop = -(-end // length) * length
    if start is None:
        return Span(minutes, max(0, stop - limit * length), stop), False
    begin = start_of(start, minutes)
    most = begin + limit * length
    return Span(minutes, begin, max(begin, min(stop, most))), most < stop


def candles(asked: Span, stored: Sequence[Candle], coverage: Coverage, now: int) -> list[Told]:
    """Every interval of the span. `stored` are the candles of `asked.stored_minutes` in it."""
    found = {candle.start: candle for candle in longer(stored, asked.minutes)}
    starts = range(asked.start, asked.end, asked.length)
    return [_told(start, start + asked.length, found.get(start), coverage, now) for start in starts]


def _told(start: int, end: int, candle: Candle | None, coverage: Coverage, now: int) -> Told:
    covered: Covered = "partial" if candle else "unknown"
    if is_covered(coverage, start, end):
        covered = "complete" if candle else "empty"
    return Told(start, candle, covered, start <= now < end)


def vwap(candle: Candle) -> Decimal:
    """The average price, weighted by volume: VWAP_MORE_DIGITS places more than the prices have."""
    prices = (candle.open, candle.high, candle.low, candle.close)
    places = max(-_exponent(price) for price in prices) + VWAP_MORE_DIGITS
    average = _AMPLE.divide(candle.turnover, candle.volume)
    return average.quantize(Decimal(1).scaleb(-places), context=_AMPLE)


def _exponent(price: Decimal) -> int:
    exponent = price.as_tuple().exponent
    return min(0, exponent) if isinstance(exponent, int) else 0


# Pages of trades.


class Gap(NamedTuple):
    """Trades are missing between two ids, or may be."""

    after_trade_id: int | None
    """None where no known trade came before them."""
    before_trade_id: int | None
    """None where no known trade came after them."""
    since: int | None
    until: int | None


class Window(NamedTuple):
    """Which trades were asked for."""

    start: int | None
    """Those made from this moment on; None for the first known one."""
    after_trade_id: int | None
    """Those that follow this id: in the newest series, or in that of `start`."""
    end: int
    """Those made before this moment."""
    expected_until: int
    """The moment up to which what is missing at the end is told as a gap."""


def page(
    asked: Window, trades: Sequence[RecordedTrade], coverage: Coverage, *, more: bool
) -> list[RecordedTrade | Gap]:
    """The trades of a page with the gaps between them, before the first one, and after the last one unless more follow."""
    kept_from = coverage.kept_from
    if not trades and kept_from is not None and asked.expected_until <= kept_from:
        return [Gap(asked.after_trade_id, None, asked.start, kept_from)]
    coverage = _kept(coverage, trades)
    runs = coverage.runs
    if not runs:
        return [*trades, Gap(asked.after_trade_id, None, asked.start, None)]
    holes = _Holes(coverage)
    following, is_after_id = _opening(asked, runs)
    if not trades and asked.start is None and asked.after_trade_id is None:
        following = 0  # all that is asked for was before the record
    rows: list[RecordedTrade | Gap] = []

    def tell(up_to: int) -> None:
        nonlocal following, is_after_id
        while following <= up_to:
            hole = holes.at(following)
            rows.append(hole._replace(after_trade_id=asked.after_trade_id) if is_after_id else hole)
            following, is_after_id = following + 1, False

    for trade in trades:
        place = place_of(runs, trade)
        if place is not None:
            tell(place)
        elif gap := _gap_before(trade, rows, holes):
            rows.append(gap)
        rows.append(trade)
    if not more:
        tell(holes.last_before(asked.expected_until))
    return rows


def _gap_before(trade: RecordedTrade, rows: Sequence[RecordedTrade | Gap], holes: "_Holes") -> Gap | None:
    """What may be missing before a trade that was written after the coverage was read."""
    told = rows[-1] if rows else None
    if isinstance(told, RecordedTrade):
        last = Gap(told.trade_id, None, told.traded_at, None)
    else:
        last = holes.trailing()
    is_next = trade.trade_id - 1 == last.after_trade_id
    return None if is_next else last._replace(before_trade_id=trade.trade_id, until=trade.traded_at)


class _Holes:
    """The holes between runs by their place: 0 before the first run, one before each other run, and the last one after
    the newest evidence."""

    def __init__(self, coverage: Coverage) -> None:
        self._runs = coverage.runs
        self._kept_from = coverage.kept_from or 0
        self._known_until = max(coverage.evidence_until or 0, coverage.runs[-1].last_traded_at)

    def trailing(self) -> Gap:
        """The one after the newest evidence."""
        return self.at(len(self._runs))

    def at(self, place: int) -> Gap:
        """The hole at a place."""
        left = self._runs[place - 1] if place else None
        right = self._runs[place] if place < len(self._runs) else None
        if right is None:
            return Gap(left.last_trade_id if left else None, None, self._known_until, None)
        return Gap(
            left.last_trade_id if left else None,
            right.first_trade_id,
            left.last_traded_at if left else None,
            max(right.first_traded_at, self._kept_from),
        )

    def last_before(self, moment: int) -> int:
        """The last hole that begins before `moment`."""
        place = bisect_left(self._runs, moment, key=_last)
        return place - (place == len(self._runs) and self._known_until >= moment)


def _kept(coverage: Coverage, trades: Sequence[RecordedTrade]) -> Coverage:
    """The coverage of what was not deleted. The first run may have lost its beginning; what is left of it begins with its
    first trade of the page, if it has one there."""
    kept_from = coverage.kept_from
    if kept_from is None:
        return coverage
    runs = [run for run in coverage.runs if run.last_traded_at >= kept_from]
    if runs and runs[0].first_traded_at < kept_from:
        run = runs[0]
        left = min((t.trade_id for t in trades if _has(run, t)), default=run.last_trade_id + 1)
        runs[0] = run._replace(first_trade_id=left, first_traded_at=kept_from - 1)
    return coverage._replace(runs=tuple(runs))


def _has(run: Run, trade: RecordedTrade) -> bool:
    is_in_time = trade.traded_at <= run.last_traded_at
    return is_in_time and run.first_trade_id <= trade.trade_id <= run.last_trade_id


def _opening(asked: Window, runs: Sequence[Run]) -> tuple[int, bool]:
    """The first hole that may be told, and whether it begins with the id that was asked for."""
    start, after = asked.start, asked.after_trade_id
    by_time = 0 if start is None else bisect_left(runs, start, key=_first)
    if after is None:
        return (1 if start is None else by_time), False
    newest = len(runs) - 1
    place = newest if start is None else min(newest, max(0, bisect_right(runs, start, key=_first) - 1))
    series = runs[place].series
    of_series = [place for place, run in enumerate(runs) if run.series == series]
    place = next((each for each in of_series if runs[each].last_trade_id >= after), of_series[-1] + 1)
    if place < len(runs) and runs[place].series == series and runs[place].first_trade_id <= after + 1:
        place, is_inside = place + 1, False
    else:
        is_inside = True
    return (by_time, False) if by_time > place else (place, is_inside)
