"""Asks a store what a question needs, and answers it. Runs in a thread for readers, never on the hub."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import wraps
from math import inf
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.pairs import Pair
from ltp_service.history.answers import (
    Gap,
    Hole,
    PriceThen,
    Series,
    Unknown,
    Window,
    candles,
    page,
    price_then,
    span,
)
from ltp_service.history.candles import MINUTE
from ltp_service.history.contract import HistoryStore
from ltp_service.history.coverage import SLACK, is_settled
from ltp_service.history.rows import Around, Coverage, RecordedTrade, Run

OF_ONE_MOMENT = 64
"""Trades that one order can make in a microsecond, usually: as many more are read where a page may begin amid them."""

_NO_LIMIT = 1 << 31
_AFTER_EACH_ID = 1 << 63


P = ParamSpec("P")
T = TypeVar("T")


class Pending(NamedTuple):
    """It is not known yet whether this trade still was the last one, and nothing shows that any is missing."""

    before: RecordedTrade


class Page(NamedTuple):
    """A page of trades."""

    rows: list[RecordedTrade | Gap]
    last: RecordedTrade | None
    """The trade after which the next page begins; None for the last page."""
    evidence_until: int | None
    """Until when nothing followed the newest known trade."""
    settled: bool
    """Nothing that is told later can change it."""


def _of_one_history(
    ask: Callable[Concatenate[HistoryStore, P], T],
) -> Callable[Concatenate[HistoryStore, P], T]:
    """Asks once more where another history came in the place of the first one meanwhile: the coverage of one proves nothing
    about the trades of the other. Raises StoreUnavailable where that happens again."""

    @wraps(ask)
    def asked(store: HistoryStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(2):
            origin = store.origin()
            found = ask(store, *args, **kwargs)
            if store.origin() is origin:
                return found
        raise StoreUnavailable("another one came in its place while it was read")

    return asked


@_of_one_history
def ask_price(
    store: HistoryStore, pair: Pair, moment: int, patience: int, now: Callable[[], int]
) -> PriceThen | Hole | Pending | Unknown:
    """The last price at a moment. Evidence is on its way for `patience` microseconds; `now` is asked for only where that
    decides. Raises StoreUnavailable."""
    around = store.around(pair, moment)
    found = price_then(moment, around, patience)
    if isinstance(found, Hole) and found.after is None and now() - patience <= _known_until(around):
        return Pending(found.before)
    return found


def _known_until(around: Around) -> int:
    """The last moment of which it is known what was traded."""
    coverage = around.coverage
    return max([coverage.evidence_until or 0, *(run.last_traded_at for run in coverage.runs)])


@_of_one_history
def ask_candles(
    store: HistoryStore, pair: Pair, minutes: int, start: int | None, end: int | None, limit: int, now: int
) -> Series:
    """At most `limit` intervals, up to `now`. Raises StoreUnavailable."""
    # The coverage first: it must claim nothing that came after the candles were read.
    coverage = store.coverage(pair)
    newest = [run.last_traded_at for run in coverage.runs[-1:]]
    now = max(now, coverage.evidence_until or 0, *newest)
    asked, more = span(minutes, start, min(now + 1, now + 1 if end is None else end), limit)
    stored = store.candles(pair, asked.stored_minutes, asked.start, asked.end)
    return Series(candles(asked, stored, coverage, now), more, is_settled(coverage, asked.start, asked.end))


@_of_one_history
def ask_trades(store: HistoryStore, pair: Pair, asked: Window, limit: int) -> Page:
    """A page of at most `limit` trades, and the gaps between them. Raises StoreUnavailable."""
    coverage = store.coverage(pair)  # first, as for candles
    found = _trades(store, pair, asked, limit + 1, coverage.runs)
    if coverage.kept_from is not None or found:
        # What was deleted between the two questions is missing in the page.
        coverage = coverage._replace(kept_from=store.coverage(pair).kept_from)
    trades, more = found[:limit], len(found) > limit
    rows, last = page(asked, trades, coverage, more=more), trades[-1] if more else None
    settled = len(rows) == len(trades) and _is_settled(asked, trades, last, coverage)
    return Page(rows, last, coverage.evidence_until, settled)


def _is_settled(
    asked: Window, trades: Sequence[RecordedTrade], last: RecordedTrade | None, coverage: Coverage
) -> bool:
    """Whether a page without a gap stays as it is. `last` is its last trade where more follow."""
    if not trades or (asked.start is None and asked.after_trade_id is None):
        return False
    start = trades[0].traded_at if asked.start is None else asked.start
    return is_settled(coverage, start, asked.end if last is None else last.traded_at + 1)


def _trades(
    store: HistoryStore, pair: Pair, asked: Window, count: int, runs: Sequence[Run]
) -> list[RecordedTrade]:
    """At most `count` trades of the window; `runs` are those of the pair."""
    start, after, end = asked.start, asked.after_trade_id, asked.end
    if after is None:
        return store.trades(pair, start or 0, end, count)
    if start is None:
        return store.trades_after(pair, after, end, count)
    if any(trade.trade_id == after for trade in store.trades(pair, start, start + 1, _NO_LIMIT)):
        # The order is that of time, so a trade with a lower id may follow.
        return _enough(
            lambda read: store.trades(pair, start, end, read),
            lambda trade: trade.traded_at > start or trade.trade_id > after,
            count,
        )
    # Known or not, it is one of the series of `start`. All of a later series follow it.
    renumbered_at = _end_of_series(runs, start)
    begin = _place_of_id(store, pair, after, start, int(min(renumbered_at, end)))
    return _enough(
        lambda read: store.trades(pair, begin, end, read),
        lambda trade: trade.traded_at >= renumbered_at or trade.trade_id > after,
        count,
    )


def _enough(
    ask: Callable[[int], list[RecordedTrade]], is_asked: Callable[[RecordedTrade], bool], count: int
) -> list[RecordedTrade]:
    """The first `count` trades that were asked for; `ask` gives so many of all."""
    read = count + OF_ONE_MOMENT
    while True:
        found = ask(read)
        asked = [trade for trade in found if is_asked(trade)]
        if len(asked) >= count or len(found) < read:
            return asked[:count]
        read *= 2


def _end_of_series(runs: Sequence[Run], moment: int) -> float:
    """When the exchange began to number anew after the series of a moment."""
    begun = [run.series for run in runs if run.first_traded_at <= moment] or [run.series for run in runs[:1]]
    return min((run.first_traded_at for run in runs if run.series > begun[-1]), default=inf)


def _place_of_id(store: HistoryStore, pair: Pair, trade_id: int, start: int, end: int) -> int:
    """A moment from `start` on before which no trade of its series follows an id: about a minute before the first that
    does. Ids grow with time, so a few looks find it."""

    def first_id(moment: int) -> int:
        found = store.trades(pair, moment, end, 1)
        return found[0].trade_id if found else _AFTER_EACH_ID

    moments = range(start, end, MINUTE)
    place = bisect_right(moments, trade_id, key=first_id)
    return max(start, moments[place - 1] - SLACK) if place else start
