"""The order of REST's answers, which may come from caches of different age; pure.

A Ticker answer has neither time nor id of its last trade, and the next one may come from an older cache. Two things
order them: the day's number of trades and volume, which only grow, and the place of the last trade among the newest
trades, found by its price and volume.
"""

from collections.abc import Sequence as Rows
from decimal import Decimal
from typing import Literal, NamedTuple

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import WEBSOCKET, Price, Tick

LONGEST_CACHE_SECONDS = 20.0
"""Seconds for which a cache may hand out an answer. Recorded: 2."""

DATED_NEWER_SECONDS = 1.0
"""Seconds after which an answer is newer for certain, where its headers tell how old it is at most."""


def surely_at(at: float, *, dated: bool) -> float:
    """The moment that an answer is surely not older than; `at` holds unless a cache that is not known kept it longer."""
    return at if dated else at - LONGEST_CACHE_SECONDS


Order = Literal["newer", "same", "older", "unknown"]


class Progress(NamedTuple):
    """A pair's trades and volume of the day; both only grow until midnight UTC."""

    trades: int
    volume: Decimal
    """Base units."""


class Detail(NamedTuple):
    """What a Ticker answer tells of a pair besides the price."""

    volume: Decimal | None
    """Volume of the last trade in base units; None where it is not told."""
    progress: Progress | None
    dated: bool = False
    """Whether the answer's headers tell how old it is at most."""


class Row(NamedTuple):
    """One trade; volume in base units."""

    price: Decimal
    volume: Decimal


class NewestTrades(NamedTuple):
    """The newest trades of one pair."""

    newest: Tick
    """With exchange time and id."""
    rows: Rows[Row]
    """Oldest first; the last one is `newest`."""
    dated: bool = False
    """Whether the answer's headers tell how old it is at most."""
    is_whole: bool = True
    """False where a row that cannot be read may be newer than `newest`."""


NO_DETAIL = Detail(None, None)


class _Applied(NamedTuple):
    tick: Tick
    told_at: float
    """Monotonic seconds of the answer's arrival; no trade in it is newer."""
    detail: Detail
    """Its progress is the least that the day had with this trade."""


class Sequence:
    """Remembers each pair's last accepted tick and the last one that Ticker told."""

    def __init__(self) -> None:
        self._applied: dict[Pair, _Applied] = {}
        self._told: dict[Pair, _Applied] = {}

    def order(self, held: Price | None, tick: Tick, now: float, detail: Detail) -> Order:
        """Whether Ticker's last trade is newer than the one held; `unknown` where only its time and id can tell."""
        self._told[tick.pair] = _Applied(tick, now, detail)
        if held is None:
            return "newer"
        same_price = tick.amount == held.tick.amount
        applied = self._applied.get(tick.pair)
        order: Order = "unknown"
        if applied is not None and applied.tick == held.tick:
            order = _compare(applied.detail.progress, detail.progress)
        newer_after = DATED_NEWER_SECONDS if detail.dated else LONGEST_CACHE_SECONDS
        if tick.received_at >= held.confirmed_at + newer_after:
            if order != "older":
                return "newer"
            order = "unknown"  # a computer or a cache that lags behind, or midnight: Trades decides
        if order in ("newer", "older") or (order == "same" and same_price):
            return order
        return "same" if same_price else "unknown"

    def apply(self, tick: Tick, now: float, detail: Detail) -> None:
        """The store holds `tick`, which Ticker told."""
        self._applied[tick.pair] = _Applied(tick, now, detail)

    def is_overtaken(self, held: Price | None, trades: NewestTrades) -> bool:
        """Whether `trades` may be older than the price held, which Ticker told without time and id."""
        if held is None or held.tick.source == WEBSOCKET or held.tick.traded_at is not None:
            return False  # exchange time decides
        if trades.newest.received_at >= held.confirmed_at + LONGEST_CACHE_SECONDS:
            return False
        applied = self._applied.get(held.tick.pair)
        if applied is None or applied.tick != held.tick:
            return True
        happened_at = trades.newest.happened_at
        if happened_at is not None and happened_at > applied.told_at:
            return False
        if applied.detail.volume is None:
            return trades.newest.amount != held.tick.amount
        return Row(held.tick.amount, applied.detail.volume) not in trades.rows

    def apply_trades(self, trades: NewestTrades, now: float) -> None:
        """The store holds the newest of `trades`. The last Ticker answer gives its progress of the day, or where that one lags,
        the trade that was held before."""
        tick = trades.newest
        known = self._told.get(tick.pair), self._applied.get(tick.pair)
        progress = next(filter(None, (_progress(each, trades.rows) for each in known)), None)
        volume = trades.rows[-1].volume if trades.rows else None
        self._applied[tick.pair] = _Applied(tick, now, Detail(volume, progress))


def _progress(known: _Applied | None, rows: Rows[Row]) -> Progress | None:
    """That of the last of `rows`, counted from a trade among them whose progress is known."""
    if known is None or known.detail.progress is None or known.detail.volume is None:
        return None
    row = Row(known.tick.amount, known.detail.volume)
    places = [place for place, other in enumerate(rows) if other == row]
    if len(places) != 1:  # it is not among them, or matches several
        return None
    since = rows[places[0] + 1 :]
    trades_then, volume_then = known.detail.progress
    return Progress(trades_then + len(since), volume_then + sum(later.volume for later in since))


def _compare(known: Progress | None, told: Progress | None) -> Order:
    if known is None or told is None:
        return "unknown"
    if known == told:
        return "same"
    if told.trades >= known.trades and told.volume >= known.volume:
        return "newer"
    return "older" if told.trades <= known.trades and told.volume <= known.volume else "unknown"
