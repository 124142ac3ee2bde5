"""In which order REST's answers happened, whatever cache each of them comes from; pure.

A Ticker answer tells neither time nor id of its last trade, and the next one may come from an older cache. Two things
order them all the same: the day's number of trades and volume, which only grow, and the place of its last trade
among the newest trades, where price and volume show it.
"""

from collections.abc import Sequence as Rows
from decimal import Decimal
from typing import Literal, NamedTuple

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import WEBSOCKET, Price, Tick

LONGEST_CACHE = 20.0
"""Seconds: no cache is believed to hand out an answer for longer. Recorded: 2."""

TOLD = 1.0
"""Seconds by which an answer is believed to be newer whose headers tell how old it is at most."""

Order = Literal["newer", "same", "older", "unknown"]


class Progress(NamedTuple):
    """How far a pair's day has come; both only grow until midnight UTC."""

    trades: int
    volume: Decimal
    """Base units."""


class Detail(NamedTuple):
    """What a Ticker answer tells of a pair beside the price."""

    volume: Decimal | None
    """Of the last trade, base units."""
    progress: Progress | None
    dated: bool = False
    """The answer's headers tell how old it is at most."""


class Row(NamedTuple):
    """One trade; volume in base units."""

    price: Decimal
    volume: Decimal


class Trades(NamedTuple):
    """The newest trades of one pair."""

    newest: Tick
    """With exchange time and id."""
    rows: Rows[Row]
    """Oldest first; the last one is `newest`."""
    dated: bool = False
    """The answer's headers tell how old it is at most."""


NOTHING = Detail(None, None)


class _Applied(NamedTuple):
    tick: Tick
    told_at: float
    """When the answer came, in monotonic seconds: nothing in it is newer."""
    detail: Detail
    """Its progress: at least that far the day had come with this trade."""


class Sequence:
    """Remembers of each pair what was applied last, and what Ticker told last."""

    def __init__(self) -> None:
        self._applied: dict[Pair, _Applied] = {}
        self._told: dict[Pair, _Applied] = {}

    def order(self, held: Price | None, tick: Tick, now: float, detail: Detail) -> Order:
        """How the last trade that Ticker tells stands to the one held; `unknown` where only its time and id can tell."""
        self._told[tick.pair] = _Applied(tick, now, detail)
        if held is None or tick.received_at >= held.confirmed_at + (TOLD if detail.dated else LONGEST_CACHE):
            return "newer"
        same_price = tick.amount == held.tick.amount
        applied = self._applied.get(tick.pair)
        if applied is not None and applied.tick == held.tick:
            order = _compare(applied.detail.progress, detail.progress)
            if order in ("newer", "older") or (order == "same" and same_price):
                return order
        return "same" if same_price else "unknown"

    def apply(self, tick: Tick, now: float, detail: Detail) -> None:
        """`tick`, which Ticker told, is held from now on."""
        self._applied[tick.pair] = _Applied(tick, now, detail)

    def is_overtaken(self, held: Price | None, trades: Trades) -> bool:
        """Whether `trades` may come from before what is held, which Ticker told without time and id."""
        if held is None or held.tick.source == WEBSOCKET or held.tick.traded_at is not None:
            return False  # exchange time decides
        if trades.newest.received_at >= held.confirmed_at + LONGEST_CACHE:
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

    def apply_trades(self, trades: Trades, now: float) -> None:
        """The newest of `trades` is held from now on. What Ticker told last shows how far the day had come with it."""
        tick = trades.newest
        self._applied[tick.pair] = _Applied(tick, now, Detail(None, self._progress(trades)))

    def _progress(self, trades: Trades) -> Progress | None:
        told = self._told.get(trades.newest.pair)
        if told is None or told.detail.progress is None or told.detail.volume is None:
            return None
        row = Row(told.tick.amount, told.detail.volume)
        places = [place for place, other in enumerate(trades.rows) if other == row]
        if len(places) != 1:  # it is older than all of them, newer, or one of several
            return None
        since = trades.rows[places[0] + 1 :]
        trades_then, volume_then = told.detail.progress
        return Progress(trades_then + len(since), volume_then + sum(later.volume for later in since))


def _compare(known: Progress | None, told: Progress | None) -> Order:
    if known is None or told is None:
        return "unknown"
    if known == told:
        return "same"
    if told.trades >= known.trades and told.volume >= known.volume:
        return "newer"
    return "older" if told.trades <= known.trades and told.volume <= known.volume else "unknown"
