"""Writes what the feed told. All of this runs in one native thread: it may wait for a disk, and takes no lock and no log."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import inf
from typing import NamedTuple

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.exchange_clock import CLOCK_TOLERANCE_SECONDS
from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Trade
from ltp_service.history.contract import HistoryStore, WriterLock
from ltp_service.history.evidence import (
    Told,
    View,
    evidence_until,
    micros,
    newer,
    newest_of,
    observation,
    recorded,
    told_by,
)
from ltp_service.history.rows import News, Observation, RecordedTrade, Written

MOST_WAITING = 200_000
"""Most trades that wait to be written. Then the oldest are dropped, which leaves a hole, and REST may fill it later."""

MOST_AT_ONCE = 10_000
"""Most trades of one transaction, so that none takes seconds."""

WRITING_SECONDS = 2.0
"""Seconds of one turn in which another transaction is begun."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""Seconds until a failing store is tried again, doubling from the one to the other."""

LOCKED_OUT_SECONDS = 60.0
"""Seconds for which trades wait while another session has the lock that this process had. It may be one of its own: where the
connection broke, a server notices after some seconds. A process that took over writes the same trades."""

LOCKED_OUT = (
    "another session has the writer's lock of the history (HISTORY_URL), maybe an earlier one of this process; the server ends"
    " that soon, or pg_terminate_backend does"
)
"""The problem meanwhile."""

LATEST_SECONDS = CLOCK_TOLERANCE_SECONDS
"""Seconds by which a trade may be later than the exchange's own clock. A later one has a wrong time and is left out. The price
refuses what is later, too: what is no price here must be none in the history."""

MOST_AHEAD = 10_000
"""Most trades with a time ahead of the exchange's clock that are remembered."""

PRUNE_EVERY_SECONDS, SIZE_EVERY_SECONDS = 60.0, 30.0
"""Seconds between two looks for trades that are too old, and at the room that the history takes."""

Frame = tuple[str, float]
"""A frame of the trade channel, and the monotonic second of its arrival."""


class Page(NamedTuple):
    """Trades of a pair that came in another way than by the feed."""

    pair: Pair
    trades: Sequence[Trade]
    as_of: float | None = None
    """The monotonic second at which they were the newest of all; None where they may not have been."""


class Batch(NamedTuple):
    """What is handed over to the thread at one moment."""

    frames: Sequence[Frame]
    pages: Sequence[Page]
    view: View
    """As it was when the newest frame had been taken: no other may be missing between them."""
    leads: bool
    """Whether this process runs the feed."""


class Report(NamedTuple):
    """What became of a batch."""

    writes: bool
    """Whether this process has the writer's lock."""
    rows: int = 0
    """Trades that were new."""
    lost: int = 0
    """Trades that were dropped unwritten."""
    waiting: int = 0
    oldest: float | None = None
    """Monotonic second in which the oldest trade that waits arrived."""
    problem: str | None = None
    """Why nothing can be written; None when it can."""
    undeleted: str | None = None
    """Why trades that are too old stay; None where they do not. Others are written all the same."""
    refused: int = 0
    """Trades that are not recorded, because they contradict what is recorded, or the exchange's clock."""
    refused_last: tuple[Pair, RecordedTrade] | None = None
    jumped: frozenset[Pair] = frozenset()
    """Pairs of which a trade was written whose predecessor the feed has not told, or all where another history came in the
    place of the one that was written."""
    unproven: Mapping[Pair, float] = {}
    """The pairs of which the present subscription may have missed a trade before it began, and when that was."""
    size: int | None = None
    """Bytes on the disk, where they were looked at."""


class Writer:
    """Batches in, transactions out. What cannot be written waits for the next turn."""

    def __init__(
        self,
        pairs: Collection[Pair],
        store: HistoryStore,
        lock: WriterLock,
        read: Callable[[str, float], Sequence[tuple[Pair, Trade]]],
        is_live: Callable[[str], bool],
        *,
        keep_seconds: float,
        patience_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        """`read` gives the trades in a frame, and `is_live` tells whether they had just been made when it was sent. Trades are
        kept for `keep_seconds`; 0 keeps all. `patience_seconds` is how long a price counts without evidence."""
        self._pairs = pairs
        self._store = store
        self._lock = lock
        self._read = read
        self._is_live = is_live
        self._keep = round(keep_seconds * 1e6)
        self._patience = round(patience_seconds * 1e6)
        self._monotonic = monotonic
        self._waiting: deque[tuple[Pair, RecordedTrade, float]] = deque()
        """With the monotonic second of the arrival."""
        self._told: dict[Pair, Told] = {}
        self._proven: dict[Pair, float] = {}
        """Since when the feed tells each trade, where it is proven that it has missed none until then."""
        self._place: object = None
        """What was written to last."""
        self._written: dict[Pair, int] = {}
        """The highest id that was written by this process, of the present series."""
        self._evidence: dict[Pair, tuple[int, int]] = {}
        """What was last written, until when and of which trade."""
        self._observed: dict[Pair, Observation] = {}
        self._try_at = -inf
        self._pause = FIRST_PAUSE_SECONDS
        self._problem: str | None = None
        self._undeleted: str | None = None
        self._prune_at = self._size_at = -inf
        self._keep_until = -inf
        """Until when trades wait although another session has the lock: not at all where this process has not had it."""
        self._rows = self._lost = 0
        self._refused: list[tuple[Pair, RecordedTrade]] = []
        self._jumped: set[Pair] = set()
        """Since the last report."""
        self._ahead: dict[tuple[Pair, int, int], float] = {}
        """Pairs, ids and moments of trades that were stamped ahead, and the monotonic second in which each was told first. Once
        its moment has come it is as wrong as before, unless it was the known clock that was behind."""
        self._ahead_at: dict[Pair, float] = {}
        """When the feed told one last: it happened, so the one before is not the newest."""

    def turn(self, batch: Batch) -> Report:
        """Takes a batch, and writes what waits. Raises only what is no fault of the store; that batch is dropped then."""
        if not batch.leads:
            self._rest()
            lost, self._lost = self._lost, 0
            return Report(writes=False, lost=lost)
        self._take(batch)
        self._drop(len(self._waiting) - MOST_WAITING)
        report = self._try(batch.view) if self._monotonic() >= self._try_at else Report(writes=False)
        rows, self._rows = self._rows, 0
        lost, self._lost = self._lost, 0
        refused, self._refused = self._refused, []
        jumped, self._jumped = self._jumped, set()
        oldest = self._waiting[0][2] if self._waiting else None
        return report._replace(
            rows=rows,
            lost=lost,
            waiting=len(self._waiting),
            oldest=oldest,
            problem=self._problem,
            undeleted=self._undeleted,
            refused=len(refused),
            refused_last=refused[-1] if refused else None,
            jumped=frozenset(jumped),
        )

    def close(self) -> None:
        """Ends the connections and lets another process write."""
        self._lock.release()
        self._store.close()

    def _rest(self) -> None:
        """Another process runs the feed, so it writes."""
        self._drop(len(self._waiting))
        self._keep_until = -inf
        self._told.clear()
        self._forget_the_place()
        self._problem = self._undeleted = None
        self._try_at = -inf
        self._lock.release()

    def _take(self, batch: Batch) -> None:
        now, ahead, since = batch.view.now, batch.view.ahead, batch.view.told_since
        for frame, received_at in batch.frames:
            is_live = self._is_live(frame)
            for pair, row in self._believed(self._read(frame, 0.0), ahead, received_at, is_fed=True):
                self._waiting.append((pair, row, received_at))
                told = Told(row.trade_id, row.traded_at, received_at)
                if is_live:
                    self._go_on(pair, told, since.get(pair))
                self._told[pair] = newer(self._told.get(pair), told)
        for pair, trades, as_of in batch.pages:
            read = self._believed(((pair, trade) for trade in trades), ahead, now, is_fed=False)
            rows = [row for _, row in read]
            self._waiting.extend((pair, row, now) for row in rows)
            every = [each for each in map(recorded, trades) if each]
            if as_of is not None and (newest := newest_of(every, as_of)):
                self._take_newest(pair, newest, since.get(pair))
        for pair in self._pairs:
            price = batch.view.prices.get(pair)
            if price is not None and (by_price := told_by(price.tick)):
                self._told[pair] = newer(self._told.get(pair), by_price)

    def _go_on(self, pair: Pair, told: Told, since: float | None) -> None:
        """The feed told a trade when it was made. Where it follows the newest one, none is missing between them."""
        held = self._told.get(pair)
        follows = held is not None and told.trade_id == held.trade_id + 1
        if follows and since is not None and told.received_at >= since:
            self._proven[pair] = since

    def _take_newest(self, pair: Pair, newest: Told, since: float | None) -> None:
        """REST told the newest trade. Where that is the newest of all that are known, the feed has missed none."""
        if (pair, newest.trade_id, newest.traded_at) in self._ahead:
            return  # the one before it is not the newest
        self._told[pair] = told = newer(self._told.get(pair), newest)
        if since is not None and newest.received_at >= since and told.trade_id == newest.trade_id:
            self._proven[pair] = since

    def _believed(
        self, trades: Iterable[tuple[Pair, Trade]], ahead: float | None, told_at: float, *, is_fed: bool
    ) -> Iterator[tuple[Pair, RecordedTrade]]:
        """Those with a proper id and a possible time. `is_fed`: the feed told them; else REST did."""
        for pair, trade in trades:
            row = recorded(trade)
            if row is None:
                continue
            key = pair, row.trade_id, row.traded_at
            if self._was_ahead(key, trade.timestamp, ahead, told_at):
                self._refuse(pair, row, told_at)
                if is_fed:
                    self._ahead_at[pair] = told_at
            else:
                self._ahead.pop(key, None)
                yield pair, row

    def _was_ahead(
        self, key: tuple[Pair, int, int], timestamp: float, ahead: float | None, told_at: float
    ) -> bool:
        """Whether the exchange's clock was behind the trade when it was told first, by what is known of that clock now."""
        if ahead is None:
            return key in self._ahead
        return timestamp > self._ahead.get(key, told_at) + ahead + LATEST_SECONDS

    def _refuse(self, pair: Pair, row: RecordedTrade, told_at: float) -> None:
        self._refused.append((pair, row))
        self._ahead.setdefault((pair, row.trade_id, row.traded_at), told_at)
        if len(self._ahead) > MOST_AHEAD:
            del self._ahead[next(iter(self._ahead))]

    def _drop(self, count: int) -> None:
        """Drops the oldest of those that wait. They are lost."""
        self._lost += max(0, count)
        self._forget(count)

    def _try(self, view: View) -> Report:
        try:
            if not self._lock.take():
                self._wait_for_the_lock()
                return Report(writes=False)
            self._keep_until = inf
            self._begin_anew()
            self._write(view)
        except StoreUnavailable as error:
            self._problem = str(error)
            self._try_at = self._monotonic() + self._pause
            self._pause = min(LONGEST_PAUSE_SECONDS, 2 * self._pause)
            return Report(writes=False)
        self._problem, self._pause = None, FIRST_PAUSE_SECONDS
        self._prune(view)
        unproven = {pair: since for pair, since in view.told_since.items() if self._proven.get(pair) != since}
        return Report(writes=True, unproven=unproven, size=self._size())

    def _wait_for_the_lock(self) -> None:
        """Another session has the lock. Where this process had it before, what waits is kept for a while."""
        self._forget_the_place()
        now, self._problem = self._monotonic(), None
        self._keep_until = min(self._keep_until, now + LOCKED_OUT_SECONDS)
        if now < self._keep_until:
            self._problem = LOCKED_OUT
        elif self._keep_until > -inf:
            self._drop(len(self._waiting))
            self._keep_until = -inf
        else:
            self._waiting.clear()  # the other one writes them

    def _begin_anew(self) -> None:
        """Every pair may have holes where another history lies where the last one was written."""
        before, self._place = self._place, self._lock.place()
        if before is not None and before != self._place:
            self._forget_the_place()
            self._jumped |= set(self._pairs)

    def _forget_the_place(self) -> None:
        """What was written is not known to be there any more: neither the trades nor what they prove."""
        self._written.clear()
        self._proven.clear()
        self._evidence.clear()
        self._observed.clear()

    def _write(self, view: View) -> None:
        until = self._monotonic() + WRITING_SECONDS
        while True:
            part = list(islice(self._waiting, MOST_AT_ONCE))
            by_pair: dict[Pair, list[RecordedTrade]] = {}
            for pair, row, _ in part:
                by_pair.setdefault(pair, []).append(row)
            is_last = len(part) == len(self._waiting)
            news = self._news(by_pair, view if is_last else None)
            try:
                written = self._store.write(news) if news else Written()
            except StoreUnavailable:
                raise
            except Exception:
                self._forget(len(part))  # it would fail again, for ever
                raise
            self._forget(len(part))
            self._rows += written.new
            self._refused += written.contradicting
            self._jumped |= {pair for pair, _ in written.contradicting}  # what is recorded may have new holes
            self._jumped |= {pair for pair, told in by_pair.items() if self._jumps(pair, told)}
            self._remember(news)
            if is_last or self._monotonic() >= until:
                return

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()

    def _news(self, by_pair: dict[Pair, list[RecordedTrade]], view: View | None) -> list[News]:
        """`view` is None where more trades wait: they may be newer than what it shows."""
        found = []
        for pair in self._pairs:
            trades, told = tuple(by_pair.get(pair, ())), self._told.get(pair)
            until, seen = None, None
            if view is not None:
                is_proof = not self._is_ahead(pair, told)
                until = evidence_until(pair, told, view, self._proven.get(pair)) if is_proof else None
                seen = None if until else observation(pair, view, self._observed.get(pair), self._patience)
            of = told.trade_id if until is not None and told is not None else None
            if (until, of) == self._evidence.get(pair):
                until = of = None  # nothing new
            if seen == self._observed.get(pair):
                seen = None
            if trades or until or seen:
                found.append(News(pair, trades, until, of, seen))
        return found

    def _is_ahead(self, pair: Pair, told: Told | None) -> bool:
        """Whether a trade came after the newest one that can be recorded."""
        ahead_at = self._ahead_at.get(pair)
        return ahead_at is not None and (told is None or told.received_at <= ahead_at)

    def _remember(self, news: Sequence[News]) -> None:
        for told in news:
            if told.evidence_until is not None and told.evidence_for is not None:
                self._evidence[told.pair] = told.evidence_until, told.evidence_for
                self._observed.pop(told.pair, None)
            if told.observation is not None:
                self._observed[told.pair] = told.observation

    def _jumps(self, pair: Pair, trades: Sequence[RecordedTrade]) -> bool:
        """Whether another trade than those written so far comes before these."""
        ids = sorted({trade.trade_id for trade in trades})
        before = self._written.get(pair)
        self._written[pair] = ids[-1] if before is None or ids[-1] > before else before
        told = self._told.get(pair)
        if told is not None and told.trade_id < self._written[pair]:
            self._written[pair] = told.trade_id  # the exchange numbers anew
            return True
        return ids[-1] - ids[0] >= len(ids) or before is None or ids[0] > before + 1 or ids[-1] < before

    def _prune(self, view: View) -> None:
        """Deletes a few of the trades that are too old, by the exchange's clock."""
        if not self._keep or view.ahead is None or self._monotonic() < self._prune_at:
            return
        try:
            deleted = self._store.prune(micros(view.now + view.ahead) - self._keep)
            self._undeleted = None
        except StoreUnavailable as error:  # it is no fault of the writing
            deleted, self._undeleted = 0, str(error)
        if not deleted:
            self._prune_at = self._monotonic() + PRUNE_EVERY_SECONDS

    def _size(self) -> int | None:
        if self._monotonic() < self._size_at:
            return None
        self._size_at = self._monotonic() + SIZE_EVERY_SECONDS
        try:
            return self._store.size()
        except StoreUnavailable:
            return None  # it is no fault of the writing
