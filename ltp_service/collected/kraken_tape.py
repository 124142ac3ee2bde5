"""Kraken's last trades of each pair, told by their ids, which are consecutive: what is missing is known.

The feed hands its frames over unread, because no price depends on them. They are read when something asks.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from math import inf
from threading import Lock
from typing import NamedTuple

from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.domain.trade import Trade
from ltp_service.runtime.clock import Clock

TRADES_PER_PAIR = 1_000
"""Most trades kept of one pair: a page of Kraken's REST."""

HOLE_FILL_SECONDS = 10.0
"""Seconds for which later trades are held back, because the missing ones may come from REST."""

MOST_HOLES_AHEAD = 50
"""Most holes before a new one that lengthen its time, by a second each."""

ASKED_WITHIN_SECONDS = 5.0
"""Seconds after a stream's last question in which the holes of its pairs are worth a question to REST."""

MAX_UNREAD_FRAMES = 20_000
"""Most frames that wait to be read. The oldest are dropped first, which leaves holes."""

RENUMBERED_FROM = TRADES_PER_PAIR
"""A trade with a later time and an id lower by more than this: the exchange numbers its trades anew. Late ones that lie
so far back have earlier times."""

EXCHANGE = "kraken"


class TapeGap(NamedTuple):
    """Trades of a pair that cannot be told: those between the two ids."""

    pair: Pair
    after_trade_id: int
    before_trade_id: int
    since: float | None
    """Unix seconds of the trade before them; None where that is not known."""
    until: float
    """Unix seconds of the trade after them."""


class Want(NamedTuple):
    """Trades that a stream waits for."""

    pair: Pair
    after: int
    since: float | None
    """Unix seconds of the trade `after`; None where that is not known."""
    before: int


class _Hole(NamedTuple):
    after: int
    given_up_at: float
    """Monotonic seconds."""


class _PairTape:
    """The trades of one pair in the order of their ids."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.trades: list[Trade] = []
        self.holes: dict[int, _Hole] = {}
        """Ids that are missing, by the id after them, since a stream asked for them."""
        self.asked_at = -inf

    def insert(self, trade_id: int, trade: Trade) -> bool:
        """False for a trade that is known, older than those that are kept, or without a proper id."""
        ids = self.ids
        if trade_id < 1:
            return False
        if ids and trade_id < ids[-1] - RENUMBERED_FROM and trade.timestamp > self.trades[-1].timestamp:
            ids.clear()
            self.trades.clear()
            self.holes.clear()
        place = len(ids) if not ids or trade_id > ids[-1] else bisect_left(ids, trade_id)
        if place < len(ids) and ids[place] == trade_id:
            return False
        if len(ids) >= TRADES_PER_PAIR:
            if place == 0:
                return False
            self.holes.pop(ids[0], None)
            del ids[0], self.trades[0]
            place -= 1
        ids.insert(place, trade_id)
        self.trades.insert(place, trade)
        return True

    def is_missing(self, before: int) -> bool:
        """Whether the trade with the id before that one is not here."""
        return self.last_before(before, 0) != before - 1

    def last_before(self, before: int, least: int) -> int:
        """The highest id below `before`; `least` where that is higher, or where there is none."""
        place = bisect_left(self.ids, before)
        return max(least, self.ids[place - 1]) if place else least

    def time_of(self, trade_id: int) -> float | None:
        place = bisect_left(self.ids, trade_id)
        return self.trades[place].timestamp if self.ids[place : place + 1] == [trade_id] else None


class KrakenTape:
    """The last trades of all pairs. Safe from any thread or greenlet.

    `read` gives the trades in a frame that arrived at a unix second; it never raises. `put` brings those of REST, and of
    the process that runs the feed.
    """

    def __init__(self, read: Callable[[str, float], Sequence[tuple[Pair, Trade]]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._tapes: defaultdict[Pair, _PairTape] = defaultdict(_PairTape)
        self.unread: deque[tuple[str, float]] = deque(maxlen=MAX_UNREAD_FRAMES)
        """Frames of the trade channel with the monotonic second of their arrival. The feed appends, and no more, because
        prices wait for it."""
        self._lock = Lock()
        self.on_news: Callable[[Pair], None] | None = None
        """Called after each change; must be quick. None while no stream is open."""
        self.share: Callable[[Trade], object] | None = None
        """Called with each new trade of the feed; None where no other process needs them."""
        self.recorded: deque[tuple[str, float]] | None = None
        """The same frames as `unread`, for the history, which reads them in a thread of its own; None without one."""
        self.record: Callable[[Pair, Sequence[Trade]], object] | None = None
        """Called with the trades that came in another way than by the feed, known ones too; must only append."""

    def settle(self, at_most: int = MAX_UNREAD_FRAMES) -> bool:
        """Reads so many of the frames that wait. True when others are left."""
        for _ in range(at_most):
            if not self.unread:
                return False
            try:
                frame, received_at = self.unread.popleft()
            except IndexError:
                return False  # another thread was faster
            told = self._read(frame, self._clock.wall() - self._clock.monotonic() + received_at)
            new = [(pair, trade) for pair, trade in told if self._insert(pair, [trade])]
            if self.share is not None:
                for _, trade in new:
                    self.share(trade)
            self._tell({pair: None for pair, _ in new})
        return bool(self.unread)

    def put(self, trade: Trade) -> bool:
        """Takes one trade; False when it is known, or older than all that are kept."""
        return self.add(read_pair(trade.symbol), [trade])

    def add(self, pair: Pair, trades: Sequence[Trade]) -> bool:
        """Takes trades of one pair in any order; False when none of them is new."""
        if self.record is not None:
            self.record(pair, trades)
        is_new = self._insert(pair, trades)
        if is_new:
            self._tell([pair])
        return is_new

    def complete(self, pair: Pair, trades: Iterable[Trade]) -> None:
        """Takes those of a page that lie between the oldest and the newest trade: a stream may miss them, too."""
        with self._lock:
            ids = self._tapes[pair].ids
            first, last = (ids[0], ids[-1]) if ids else (0, 0)
        within = [trade for trade in trades if first < int(trade.trade_id) < last]
        if within and self._insert(pair, within):
            self._tell([pair])

    def newest(self, pair: Pair) -> int | None:
        """The highest id; None before the first trade."""
        self.settle()
        with self._lock:
            ids = self._tapes[pair].ids
            return ids[-1] if ids else None

    def oldest(self, pair: Pair) -> int | None:
        """The lowest id that is kept; None before the first trade."""
        with self._lock:
            ids = self._tapes[pair].ids
            return ids[0] if ids else None

    def following(self, pair: Pair, after: int, limit: int) -> list[Trade | TapeGap]:
        """At most about `limit` trades after an id, ascending, and gaps for those that are lost.

        It stops before missing trades that may still come. After 0 comes the oldest trade that is kept, and so it does
        after a gap where the exchange has numbered its trades anew.
        """
        self.settle()
        with self._lock:
            tape = self._tapes[pair]
            tape.asked_at = now = self._clock.monotonic()
            told: list[Trade | TapeGap] = []
            last = after
            if tape.ids and after > tape.ids[-1] + RENUMBERED_FROM:
                told.append(TapeGap(pair, after, tape.ids[0], None, tape.trades[0].timestamp))
                last = 0
            for place in range(bisect_right(tape.ids, last), len(tape.ids)):
                trade_id, trade = tape.ids[place], tape.trades[place]
                if last and trade_id > last + 1:
                    if self._may_come(tape, last, trade_id, now):
                        break
                    told.append(TapeGap(pair, last, trade_id, tape.time_of(last), trade.timestamp))
                told.append(trade)
                last = trade_id
                if len(told) >= limit:
                    break
            return told

    def can_follow(self, pair: Pair, after: int) -> bool:
        """Whether each trade after an id is here, or may still come from REST. Before the first trade that is not known."""
        newest = self.newest(pair)
        if newest is None or after < 1 or abs(newest - after) > TRADES_PER_PAIR:
            return False
        now = self._clock.monotonic()
        with self._lock:
            tape = self._tapes[pair]
            return not any(
                before > after + 1 and now >= hole.given_up_at and tape.is_missing(before)
                for before, hole in tape.holes.items()
            )

    def wanted(self) -> list[Want]:
        """The missing trades that streams wait for, those that have waited longest first."""
        self.settle()
        now, found = self._clock.monotonic(), []
        with self._lock:
            for pair, tape in self._tapes.items():
                if now - tape.asked_at > ASKED_WITHIN_SECONDS:
                    continue
                tape.holes = {before: hole for before, hole in tape.holes.items() if tape.is_missing(before)}
                for before, hole in tape.holes.items():
                    if now < hole.given_up_at:
                        after = tape.last_before(before, hole.after)
                        found.append((hole.given_up_at, Want(pair, after, tape.time_of(after), before)))
        return [want for _, want in sorted(found, key=lambda each: each[0])]

    def give_up(self, want: Want) -> None:
        """These trades cannot be had: streams are told a gap."""
        with self._lock:
            holes = self._tapes[want.pair].holes
            if want.before in holes:
                holes[want.before] = _Hole(want.after, -inf)
        self._tell([want.pair])

    def recent(self, pair: Pair | None, limit: int) -> list[Trade]:
        """At most `limit` trades of one pair or of all, newest exchange time first."""
        self.settle()
        with self._lock:
            tapes = list(self._tapes.values()) if pair is None else [self._tapes[pair]]
            found = [trade for tape in tapes for trade in tape.trades[-limit:]]
        return sorted(found, key=lambda trade: (trade.timestamp, int(trade.trade_id)), reverse=True)[:limit]

    def _insert(self, pair: Pair, trades: Iterable[Trade]) -> bool:
        """Whether any of them is new."""
        with self._lock:
            tape = self._tapes[pair]
            return sum(tape.insert(int(trade.trade_id), trade) for trade in trades) > 0

    def _tell(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            if self.on_news is not None:
                self.on_news(pair)

    def _open_holes(self, now: float) -> int:
        """How many are to be filled before a new one: REST is asked about one a second."""
        holes = (hole for tape in self._tapes.values() for hole in tape.holes.values())
        return min(MOST_HOLES_AHEAD, sum(now < hole.given_up_at for hole in holes))

    def _may_come(self, tape: _PairTape, after: int, before: int, now: float) -> bool:
        """Whether the trades between two ids may still come; called with the lock held."""
        if before - after > TRADES_PER_PAIR:
            return False
        if before == tape.ids[0] and len(tape.ids) >= TRADES_PER_PAIR:
            return False  # there is no place for them
        hole = tape.holes.get(before)
        if hole is None or after < hole.after:  # a client that comes back may miss more than others did
            hole = tape.holes[before] = _Hole(after, now + HOLE_FILL_SECONDS + self._open_holes(now))
        return now < hole.given_up_at
