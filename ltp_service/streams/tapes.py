"""Trades as streams tell them: Kraken's by their consecutive ids, other exchanges' in the order of their arrival."""

from collections.abc import Callable, Sequence
from math import inf
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from ltp_service.collected.kraken_tape import KrakenTape
from ltp_service.collected.trades import TradeStore
from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Trade
from ltp_service.feed.contract import Gap
from ltp_service.runtime.moments import rfc3339
from ltp_service.streams.event_ids import positions_id, read_positions, read_texts, texts_id
from ltp_service.streams.events import ExchangeGap, ExchangeTrade, StreamedTrade, TradeGap, digits, encode

MOST_AHEAD = 1_000
"""Trades by which another worker may be ahead of this one. With more the exchange must have numbered anew."""

GAP_TOLD_WITHIN_SECONDS = 2.0
"""Seconds after the end of a gap in which a trade may be told before it: the processes of a fleet hear of gaps each half
second. After such a trade it is told again."""


class Place(NamedTuple):
    """How far a lane, a pair or an exchange, was told."""

    number: int
    """Grows from trade to trade; 0 before the first."""
    trade_id: str = ""
    """The exchange's own, where that is another one."""
    gap_until: float = 0.0
    """The end of the last time in which a collector missed trades, unix seconds; 0 before the first."""


class Told(NamedTuple):
    """One event of a lane."""

    place: Place
    """How far the lane is told after it."""
    event: str
    data: bytes


class Resumed(NamedTuple):
    """Where a lane goes on for a client that comes back."""

    place: Place
    is_whole: bool
    """Whether nothing is missing before it."""
    gap: bytes | None = None
    """What tells that something is missing, unless the tape tells it itself."""


class Tape(Protocol):
    """The trades of one question, by lanes."""

    @property
    def lanes(self) -> Sequence[Any]:
        """What is told on its own: pairs, or exchanges. Always in the same order."""

    def newest(self, lane: Any) -> Place:
        """After the newest trade of the lane."""

    def is_behind(self, lane: Any, place: Place) -> bool:
        """Whether a client that was told the lane so far may have something to hear."""

    def following(self, lane: Any, after: Place, most: int) -> list[Told]:
        """At most so many events after a place."""

    def resume(self, lane: Any, after: Place | None, now: float) -> "Resumed":
        """Where a client that was told the lane up to `after` (None: not known any more) goes on."""

    def event_id(self, places: Sequence[Place]) -> str:
        """The id of an event after which the lanes are told that far."""

    def read_id(self, text: str) -> list[Place | None] | None:
        """The places that an id names, None for one that is not known any more; None for an id of another question."""


class KrakenPairs:
    """Kraken's trades of some pairs."""

    def __init__(
        self,
        tape: KrakenTape,
        pairs: Sequence[Pair],
        subjects: str,
        is_from_before: Callable[[Pair, Trade], bool],
    ) -> None:
        """`is_from_before`: whether a trade of a pair was surely made before this question was asked."""
        self._tape = tape
        self._is_from_before = is_from_before
        self.lanes = sorted(pairs, key=str)
        self._subjects = subjects

    def newest(self, lane: Pair) -> Place:
        return Place(self._tape.newest(lane) or 0)

    def is_behind(self, lane: Pair, place: Place) -> bool:
        newest = self._tape.newest(lane)
        # Far ahead of the newest lies who was told the numbers of before, where the exchange numbers anew.
        return newest is not None and not newest <= place.number <= newest + MOST_AHEAD

    def following(self, lane: Pair, after: Place, most: int) -> list[Told]:
        told, last = [], after.number
        for item in self._tape.following(lane, last, most):
            if isinstance(item, Trade):
                trade_id = int(item.trade_id)
                # Nothing is left out in silence. A process that begins may hear of trades after the first client has asked.
                if trade_id > last + 1 and (last or not self._is_from_before(lane, item)):
                    gap = _gap(lane, last or None, trade_id, None, item.timestamp)
                    told.append(Told(Place(trade_id - 1), "gap", gap))
                told.append(Told(Place(trade_id), "trade", _kraken_trade(lane, item, trade_id)))
                last = trade_id
            else:
                last = item.before_trade_id - 1
                gap = _gap(lane, item.after_trade_id, item.before_trade_id, item.since, item.until)
                told.append(Told(Place(last), "gap", gap))
        return told

    def resume(self, lane: Pair, after: Place | None, now: float) -> Resumed:
        newest = self._tape.newest(lane)
        if after is None or (newest is not None and after.number > newest + MOST_AHEAD):
            before = None if newest is None else newest + 1
            return Resumed(Place(newest or 0), is_whole=False, gap=_gap(lane, None, before, None, now))
        if after.number == 0:  # it was told none, and which came first is not known
            oldest = self._tape.oldest(lane)
            # From just before the oldest, so that the tape tells what it loses until that is told.
            place = after if oldest is None else Place(oldest - 1)
            return Resumed(place, is_whole=False, gap=_gap(lane, None, oldest, None, now))
        # What is missing, the tape tells, or the next trade that follows.
        return Resumed(after, is_whole=self._tape.can_follow(lane, after.number))

    def event_id(self, places: Sequence[Place]) -> str:
        return positions_id(self._subjects, [place.number for place in places])

    def read_id(self, text: str) -> list[Place | None] | None:
        numbers = read_positions(text, self._subjects, len(self.lanes))
        return None if numbers is None else [Place(number) for number in numbers]


class ExchangeTape:
    """Trades of one symbol on other exchanges, from the store that collects them."""

    def __init__(
        self,
        store: TradeStore,
        gaps: Callable[[str], Sequence[Gap]],
        symbol: str,
        exchanges: Sequence[str],
        subjects: str,
    ) -> None:
        """`gaps` are the times in which the collector of an exchange missed trades."""
        self._store, self._all_gaps = store, gaps
        self._symbol = symbol
        self.lanes = sorted(exchanges)
        self._subjects = subjects

    def newest(self, lane: str) -> Place:
        newest = self._store.newest_arrival(self._symbol, lane)
        number, trade_id = (newest[0], newest[1].trade_id) if newest else (0, "")
        return Place(number, trade_id, self._gap_until(lane, inf))

    def is_behind(self, lane: str, place: Place) -> bool:
        return self.newest(lane) > place

    def following(self, lane: str, after: Place, most: int) -> list[Told]:
        arrived, is_whole = self._store.arrived_after(self._symbol, lane, after.number)
        told = []
        # Read after the trades: a collector knows a hole before it stores the trade that shows it.
        for since, until in self._past_gaps(lane):
            if until > after.gap_until:
                after = after._replace(gap_until=until)
                told.append(Told(after, "gap", self._gap(lane, from_=since, to=until)))
        if arrived and not is_whole:
            number, first = arrived[0]
            gap = self._gap(lane, after.trade_id, first.trade_id, to=first.timestamp)
            told.append(Told(after._replace(number=number - 1), "gap", gap))
        told += [
            Told(Place(number, trade.trade_id, after.gap_until), "trade", _exchange_trade(trade))
            for number, trade in arrived
        ]
        return told[:most]

    def resume(self, lane: str, after: Place | None, now: float) -> Resumed:
        if after is None or not after.number:  # when it was told none, and what came since, is not known
            return Resumed(after or self.newest(lane), is_whole=False, gap=self._gap(lane, to=now))
        lasting = min((gap.since for gap in self._gaps(lane) if gap.until is None), default=None)
        gap = None if lasting is None else self._gap(lane, after.trade_id, from_=lasting, to=now)
        is_told = gap is None and self._gap_until(lane, inf) <= after.gap_until
        is_kept = self._store.arrived_after(self._symbol, lane, after.number)[1]
        return Resumed(after, is_whole=is_told and is_kept, gap=gap)

    def event_id(self, places: Sequence[Place]) -> str:
        return texts_id(self._subjects, [place.trade_id for place in places])

    def read_id(self, text: str) -> list[Place | None] | None:
        trade_ids = read_texts(text, self._subjects, len(self.lanes))
        if trade_ids is None:
            return None
        return [self._place(lane, trade_id) for lane, trade_id in zip(self.lanes, trade_ids, strict=True)]

    def _place(self, lane: str, trade_id: str) -> Place | None:
        if not trade_id:
            return Place(0, "", self._gap_until(lane, inf))
        found = self._store.arrival_of(self._symbol, lane, trade_id)
        return found and Place(
            found[0], trade_id, self._gap_until(lane, found[1].timestamp - GAP_TOLD_WITHIN_SECONDS)
        )

    def _gaps(self, lane: str) -> list[Gap]:
        return [gap for gap in self._all_gaps(lane) if gap.symbol in (None, self._symbol)]

    def _past_gaps(self, lane: str) -> list[tuple[float, float]]:
        """Beginnings and ends of those that are over, by their ends. Of those that end together only the first is told, so it
        has to be the longest."""
        gaps = self._gaps(lane)
        return sorted(((gap.since, gap.until) for gap in gaps if gap.until is not None), key=itemgetter(1, 0))

    def _gap_until(self, lane: str, at: float) -> float:
        """The end of the last one that was over at that moment."""
        return max((until for _, until in self._past_gaps(lane) if until <= at), default=0.0)

    def _gap(
        self,
        lane: str,
        after: str = "",
        before: str = "",
        from_: float | None = None,
        to: float | None = None,
    ) -> bytes:
        gap = ExchangeGap(lane, self._symbol, after or None, before or None, _moment(from_), _moment(to))
        return encode(gap)


def market_gap(pair: Pair, since: float | None, now: float) -> bytes:
    """A gap in what was told of a pair whose trades are not told."""
    return _gap(pair, None, None, since, now)


def _gap(
    pair: Pair, after: int | None, before: int | None, since: float | None, until: float | None
) -> bytes:
    return encode(TradeGap(str(pair), after, before, _moment(since), _moment(until)))


def _kraken_trade(pair: Pair, trade: Trade, trade_id: int) -> bytes:
    return encode(
        StreamedTrade(
            pair=str(pair),
            price=digits(trade.price),
            quantity=digits(trade.quantity),
            side=trade.side,
            traded_at=rfc3339(trade.timestamp),
            trade_id=trade_id,
        )
    )


def _exchange_trade(trade: Trade) -> bytes:
    return encode(
        ExchangeTrade(
            exchange=trade.exchange,
            symbol=trade.symbol,
            price=digits(trade.price),
            quantity=digits(trade.quantity),
            side=trade.side,
            traded_at=rfc3339(trade.timestamp),
            trade_id=trade.trade_id,
        )
    )


def _moment(unix_seconds: float | None) -> str | None:
    return None if unix_seconds is None else rfc3339(unix_seconds)
