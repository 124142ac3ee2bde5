"""Asks a store what a question needs, and answers it. Runs in a thread for readers, never on the hub."""

from typing import NamedTuple

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
from ltp_service.history.contract import HistoryStore
from ltp_service.history.rows import RecordedTrade

OF_ONE_MOMENT = 64
"""Trades that one order can make in a microsecond, usually: as many more are read where a page may begin amid them."""


class Page(NamedTuple):
    """A page of trades."""

    rows: list[RecordedTrade | Gap]
    last: RecordedTrade | None
    """The trade after which the next page begins; None for the last page."""
    evidence_until: int | None
    """Until when nothing followed the newest known trade."""


def ask_price(store: HistoryStore, pair: Pair, moment: int, patience: int) -> PriceThen | Hole | Unknown:
    """The last price at a moment. Raises StoreUnavailable."""
    return price_then(moment, store.around(pair, moment), patience)


def ask_candles(
    store: HistoryStore, pair: Pair, minutes: int, start: int | None, end: int | None, limit: int, now: int
) -> Series:
    """At most `limit` intervals; `now` by this machine's clock, which may be wrong. Raises StoreUnavailable."""
    # The coverage first: it must claim nothing that came after the candles were read.
    coverage = store.coverage(pair)
    newest = [run.last_traded_at for run in coverage.runs[-1:]]
    now = max(now, coverage.evidence_until or 0, *newest)
    asked, more = span(minutes, start, min(now + 1, now + 1 if end is None else end), limit)
    stored = store.candles(pair, asked.stored_minutes, asked.start, asked.end)
    return Series(candles(asked, stored, coverage, now), more)


def ask_trades(store: HistoryStore, pair: Pair, asked: Window, limit: int) -> Page:
    """A page of at most `limit` trades, and the gaps between them. Raises StoreUnavailable."""
    coverage = store.coverage(pair)  # first, as for candles
    found = _trades(store, pair, asked, limit + 1)
    if coverage.kept_from is not None or found:
        # What was deleted between the two questions is missing in the page.
        coverage = coverage._replace(kept_from=store.coverage(pair).kept_from)
    trades, more = found[:limit], len(found) > limit
    rows = page(asked, trades, coverage, more=more)
    return Page(rows, trades[-1] if more else None, coverage.evidence_until)


def _trades(store: HistoryStore, pair: Pair, asked: Window, count: int) -> list[RecordedTrade]:
    start, after, end = asked.start, asked.after_trade_id, asked.end
    if after is None:
        return store.trades(pair, start or 0, end, count)
    if start is None:
        return store.trades_after(pair, after, end, count)
    read = count + OF_ONE_MOMENT
    while True:
        found = store.trades(pair, start, end, read)
        if _comes_later(found, start, after, full=len(found) == read):
            return store.trades_after(pair, after, end, count)
        rest = [t for t in found if t.traded_at > start or t.trade_id > after]
        if len(rest) >= count or len(found) < read:
            return rest[:count]
        read *= 2


def _comes_later(found: list[RecordedTrade], start: int, after: int, *, full: bool) -> bool:
    """Whether the trade with the id `after` was made later than `start`."""
    if any(trade.trade_id == after and trade.traded_at == start for trade in found):
        return False
    later = [trade.trade_id for trade in found if trade.traded_at > start]
    return after in later or (full and max(later, default=after) < after)
