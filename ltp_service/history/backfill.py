"""Fills holes of the history from Kraken's REST, by trade id: those of a cut, of a restart, and of a failing disk."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from threading import Event
from typing import NamedTuple, Protocol

from ltp_service.domain.errors import ExchangeError, StoreUnavailable
from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Trade
from ltp_service.history.coverage import holes
from ltp_service.history.rows import Coverage
from ltp_service.meters import HISTORY_GAP_SECONDS
from ltp_service.runtime.runtime import Runtime

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.25
"""Seconds between two looks at what is missing."""

ASK_EVERY_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Least seconds between two questions, and the longest pause while REST fails."""

LAGGING_SECONDS = 5.0
"""Seconds until REST is asked again about trades that it does not know yet."""

HOPELESS_SECONDS = 3600.0
"""Seconds until REST is asked again about trades that it left out of its answers."""

EARLIER_SECONDS = (0.0, 1.0, 60.0)
"""By how much a page begins before the hole, at one try after the other: REST loses trades at the edges of a page."""

BEYOND_SECONDS = 0.00101
"""By how much a page begins after the hole does, where a page is full of trades of that one moment: REST tells no more of them.
A page has also what is up to a millisecond earlier than asked for."""

PROVABLE_AFTER_SECONDS = 2.5
"""Seconds after the beginning of a subscription in which REST is asked for the newest trade of a pair. An earlier answer
could come from a cache (recorded: 2 s), and a pair that trades meanwhile needs none."""

LOOK_ANEW_SECONDS = 600.0
"""Seconds after which the holes of all pairs are read anew, whatever happened."""


class Missing(NamedTuple):
    """Trades of a pair that are not recorded: those between two runs."""

    pair: Pair
    after_id: int
    after: int
    """Unix microseconds of that trade."""
    before_id: int
    before: int
    renumbered: bool
    """The exchange numbered its trades anew meanwhile, so nothing shows whether all are known."""


class Rest(Protocol):
    """What tells trades that the feed has not told. Raises ExchangeError."""

    @property
    def page_trades(self) -> int:
        """Most trades of a page."""

    def trades_after(self, pair: Pair, since: float | None) -> Sequence[Trade]:
        """A page of trades from a unix second on, or up to a millisecond earlier."""

    def newest_trades(self, pair: Pair) -> tuple[Sequence[Trade], float]:
        """The newest page, and the monotonic second of which it is evidence."""


class Recording(Protocol):
    """What the back-fill has to know of the recorder."""

    jumped: set[Pair]
    """Pairs that may have new holes. Those that were looked at are taken out."""

    @property
    def unproven(self) -> Mapping[Pair, float]:
        """The pairs of which the present subscription may have missed a trade before it began, and when that was."""

    def exchange_now(self) -> int | None:
        """The exchange's time in unix microseconds; None while it is not known."""

    def is_settled(self) -> bool:
        """Whether this process writes the history, and everything that was taken is written."""


class _Tries(NamedTuple):
    times: int
    again_at: float
    given_up: bool = False
    beyond: bool = False
    """Whether to ask for what follows the moment at which the hole begins."""


class _Asked(NamedTuple):
    """REST was asked for the newest trade of a pair."""

    since: float
    """Of the subscription with that beginning."""
    again_at: float
    wait: float = LAGGING_SECONDS


_NEVER_TRIED = _Tries(0, -inf)


def missing_in(pair: Pair, coverage: Coverage) -> list[Missing]:
    """The holes between the runs, the newest first; without those in which no id is missing."""
    found = [
        Missing(
            pair,
            hole.before.last_trade_id,
            hole.before.last_traded_at,
            hole.after.first_trade_id,
            hole.after.first_traded_at,
            renumbered=hole.before.series != hole.after.series,
        )
        for hole in holes(coverage)
        if hole.after is not None
    ]
    return [each for each in found if each.renumbered or each.before_id > each.after_id + 1]


class Backfill:
    """Runner: asks for one page a second at most, where a hole is or the newest trade is not proven, and prices do not need
    REST."""

    name = "backfill"

    def __init__(
        self,
        pairs: Collection[Pair],
        coverage: Callable[[Pair], Coverage],
        rest: Rest,
        take: Callable[[Pair, Sequence[Trade], float | None], object],
        *,
        recorder: Recording,
        is_busy: Callable[[], bool],
        runtime: Runtime,
        keep_seconds: float = 0.0,
    ) -> None:
        """`take` has trades recorded, with the monotonic second at which they were the newest of all, or None. `is_busy`
        returns whether others need REST now. What is older than `keep_seconds` is not asked for; 0 leaves nothing out."""
        self._pairs = pairs
        self._coverage = coverage
        self._rest = rest
        self._take = take
        self._recorder = recorder
        self._is_busy = is_busy
        self._monotonic = runtime.clock.monotonic
        self._meters = runtime.meters
        self._keep = round(keep_seconds * 1e6)
        self._ask_at = self._look_anew_at = -inf
        self._pause = ASK_EVERY_SECONDS
        self._unread: set[Pair] = set()
        self._holes: dict[Pair, list[Missing]] = {}
        self._kept_from: dict[Pair, int] = {}
        self._known_until: dict[Pair, int] = {}
        """The time of the newest trade, which is past at the exchange."""
        self._tries: dict[Missing, _Tries] = {}
        self._asked: dict[Pair, _Asked] = {}
        self._holes_first = False
        """Holes and newest trades take turns."""

    def run(self, stop: Event) -> None:
        """Looks until `stop` is set."""
        while not stop.wait(LOOK_EVERY_SECONDS):
            self.look()

    def look(self) -> bool:
        """Asks for one page, if it is time and something is missing. False when nothing was asked."""
        now = self._monotonic()
        if not self._recorder.is_settled():
            return False  # a page that cannot be recorded would be asked for again and again
        if now < self._ask_at or self._is_busy():
            return False
        try:
            self._read_holes(now)
            asked = self._ask(now)
        except StoreUnavailable:
            return False  # the recorder logs it
        except ExchangeError as error:
            self._pause = min(LONGEST_PAUSE_SECONDS, 2 * self._pause)
            log.info(
                "missing trades cannot be had from REST now: %s",
                error,
                extra={"once_a_minute": ("backfill", error.reason)},
            )
        else:
            if not asked:
                return False
            self._pause = ASK_EVERY_SECONDS
        self._ask_at = self._monotonic() + self._pause
        return True

    def _ask(self, now: float) -> bool:
        self._holes_first = not self._holes_first
        if self._holes_first:
            return self._ask_for_a_hole(now) or self._ask_for_the_newest(now)
        return self._ask_for_the_newest(now) or self._ask_for_a_hole(now)

    def _read_holes(self, now: float) -> None:
        if now >= self._look_anew_at:
            self._look_anew_at = now + LOOK_ANEW_SECONDS
            self._unread.update(self._pairs)
        self._unread |= self._recorder.jumped
        self._recorder.jumped.clear()
        while self._unread:
            pair = next(iter(self._unread))
            coverage = self._coverage(pair)
            self._kept_from[pair] = coverage.kept_from or 0
            self._known_until[pair] = coverage.runs[-1].last_traded_at if coverage.runs else 0
            self._holes[pair] = missing_in(pair, coverage)
            self._unread.discard(pair)
            present = {hole for found in self._holes.values() for hole in found}
            self._tries = {hole: tries for hole, tries in self._tries.items() if hole in present}
            for hole in self._holes[pair]:
                tries = self._tries.get(hole, _NEVER_TRIED)
                if tries.times >= len(EARLIER_SECONDS):
                    self._give_up(hole, tries, now, "what REST tells of them does not fit what is recorded")

    def _oldest(self, pair: Pair) -> int:
        """The moment from which on trades of a pair are kept. Earlier ones would be deleted at once, or refused."""
        oldest = self._kept_from.get(pair, 0)
        if self._keep:
            now = max(self._recorder.exchange_now() or 0, self._known_until.get(pair, 0))
            oldest = max(oldest, now - self._keep)
        return oldest

    def _ask_for_the_newest(self, now: float) -> bool:
        """Asks about a pair whose subscription may have missed a trade before it began. What is found is recorded, and the
        recorder learns which trade is the newest."""
        unproven = self._recorder.unproven
        asked = {pair: _Asked(since, since + PROVABLE_AFTER_SECONDS) for pair, since in unproven.items()}
        for pair, before in self._asked.items():
            if pair in asked and before.since == asked[pair].since:
                asked[pair] = before
        self._asked = asked
        due = [pair for pair, before in asked.items() if now >= before.again_at]
        if not due:
            return False
        pair = min(due, key=lambda each: asked[each].again_at)
        since, _, wait = asked[pair]
        asked[pair] = _Asked(since, now + wait, max(wait, min(LONGEST_PAUSE_SECONDS, 2 * wait)))
        page, as_of = self._rest.newest_trades(pair)
        asked[pair] = _Asked(since, now + wait, min(HOPELESS_SECONDS, 2 * wait))
        self._record(pair, page, as_of)
        return True

    def _ask_for_a_hole(self, now: float) -> bool:
        hole = self._next(now)
        if hole is None:
            return False
        tries = self._tries.get(hole, _NEVER_TRIED)
        # Written down first: a question that fails lets the other holes go first.
        self._tries[hole] = tries._replace(again_at=now + LAGGING_SECONDS)
        earlier = -BEYOND_SECONDS if tries.beyond else EARLIER_SECONDS[tries.times % len(EARLIER_SECONDS)]
        page = self._rest.trades_after(hole.pair, max(hole.after, self._oldest(hole.pair)) / 1e6 - earlier)
        self._judge(hole, tries, page, now)
        return True

    def _next(self, now: float) -> Missing | None:
        """The newest hole that it is time to ask about."""
        due = [
            hole
            for pair, found in self._holes.items()
            for oldest in [self._oldest(pair)]
            for hole in found
            if hole.before > oldest and now >= self._tries.get(hole, _NEVER_TRIED).again_at
        ]
        return max(due, key=lambda hole: hole.before, default=None)

    def _judge(self, hole: Missing, tries: _Tries, page: Sequence[Trade], now: float) -> None:
        """Records the page, or learns from it that the hole stays."""
        newest, oldest = max((int(trade.trade_id) for trade in page), default=0), self._oldest(hole.pair)
        ends_there = self._ends_at_its_beginning(page, hole)
        if any(_fills(trade, hole) and trade.timestamp * 1e6 >= oldest for trade in page):
            # Where its trades are taken, the hole is another one when it is read again, and no try of it counts.
            self._tries[hole] = _Tries(tries.times + 1, now, tries.given_up)
            self._record(hole.pair, page, None)
        elif newest >= hole.before_id or tries.times or ends_there:
            # It has what lies around the hole, and nothing of it.
            if tries.times + 1 < len(EARLIER_SECONDS):
                beyond = ends_there and not tries.times
                self._tries[hole] = _Tries(tries.times + 1, now, tries.given_up, beyond)
            else:
                self._give_up(hole, tries, now, "REST does not tell them")
        # Else REST lags behind, or the answer comes from a cache: the next one may tell more.

    def _ends_at_its_beginning(self, page: Sequence[Trade], hole: Missing) -> bool:
        """Whether a full page has no trade that is later than the one before the hole."""
        is_full = len(page) >= self._rest.page_trades
        return is_full and all(trade.timestamp * 1e6 <= hole.after + 1 for trade in page)

    def _give_up(self, hole: Missing, tries: _Tries, now: float, why: str) -> None:
        # Of a hole that began before what is kept, the missing ones may be older, too: those are no loss.
        is_lost = hole.after >= self._oldest(hole.pair)
        self._tries[hole] = _Tries(0, now + HOPELESS_SECONDS, given_up=tries.given_up or is_lost)
        if is_lost and not tries.given_up:
            seconds = max(0, hole.before - hole.after) / 1e6
            self._meters.count(HISTORY_GAP_SECONDS, amount=max(1, round(seconds)))
            log.warning(
                "%s: the trades between %d and %d (%.1f s) are not recorded, and %s",
                hole.pair,
                hole.after_id,
                hole.before_id,
                seconds,
                why,
            )

    def _record(self, pair: Pair, page: Sequence[Trade], as_of: float | None) -> None:
        self._take(pair, page, as_of)
        self._unread.add(pair)


def _fills(trade: Trade, hole: Missing) -> bool:
    """Whether the trade is one of those that are missing."""
    trade_id = int(trade.trade_id)
    if hole.renumbered:
        return trade_id < hole.before_id and trade.timestamp * 1e6 > hole.after + 1
    return hole.after_id < trade_id < hole.before_id
