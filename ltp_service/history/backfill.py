"""Fills holes of the history from Kraken's REST, by trade id: those of a cut, of a restart, and of a failing disk."""

import logging
from collections.abc import Callable, Mapping, Sequence
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

SILENT_SECONDS = 5.0
"""Seconds after which a subscription that has told no trade of a pair has REST asked for the newest ones."""

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


class Recording(Protocol):
    """What the back-fill has to know of the recorder."""

    jumped: set[Pair]
    """Pairs that may have new holes. Those that were looked at are taken out."""

    @property
    def untold(self) -> Mapping[Pair, float]:
        """The pairs of which the present subscription has told nothing, and since when it would have."""

    def is_settled(self) -> bool:
        """Whether this process writes the history, and everything that was taken is written."""


class _Tries(NamedTuple):
    times: int
    again_at: float
    given_up: bool = False


_NEVER_TRIED = _Tries(0, -inf)


def missing_in(pair: Pair, coverage: Coverage, since: int | None = None) -> list[Missing]:
    """The holes between the runs, the newest first; without those that end before `since`."""
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
    return [each for each in found if since is None or each.before >= since]


class Backfill:
    """Runner: asks for one page a second at most, where a hole is and prices do not need REST."""

    name = "backfill"

    def __init__(
        self,
        pairs: Sequence[Pair],
        coverage: Callable[[Pair], Coverage],
        ask: Callable[[Pair, float | None], Sequence[Trade]],
        take: Callable[[Pair, Sequence[Trade]], object],
        *,
        recorder: Recording,
        is_busy: Callable[[], bool],
        runtime: Runtime,
        keep_seconds: float = 0.0,
    ) -> None:
        """`ask` gives the trades of REST from a unix second on, or without one the newest. `take` has them recorded.
        `is_busy` returns whether others need REST now. Holes older than `keep_seconds` are left; 0 leaves none."""
        self._pairs = pairs
        self._coverage = coverage
        self._ask = ask
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
        self._tries: dict[Missing, _Tries] = {}
        self._asked_about: dict[Pair, float] = {}
        """Of which subscription, told by its beginning, REST was asked what a pair has traded."""

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
            asked = self._ask_the_newest(now) or self._ask_for_a_hole(now)
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

    def _read_holes(self, now: float) -> None:
        if now >= self._look_anew_at:
            self._look_anew_at = now + LOOK_ANEW_SECONDS
            self._unread.update(self._pairs)
        self._unread |= self._recorder.jumped
        self._recorder.jumped.clear()
        while self._unread:
            pair = next(iter(self._unread))
            coverage = self._coverage(pair)
            newest = coverage.runs[-1].last_traded_at if coverage.runs else 0
            since = newest - self._keep if self._keep else None
            self._holes[pair] = missing_in(pair, coverage, since)
            self._unread.discard(pair)
            present = {hole for found in self._holes.values() for hole in found}
            self._tries = {hole: tries for hole, tries in self._tries.items() if hole in present}

    def _ask_the_newest(self, now: float) -> bool:
        """Asks about a pair of which the subscription has told nothing: it may have traded before."""
        for pair, since in self._recorder.untold.items():
            if now - since >= SILENT_SECONDS and self._asked_about.get(pair) != since:
                self._asked_about[pair] = since
                self._record(pair, self._ask(pair, None))
                return True
        return False

    def _ask_for_a_hole(self, now: float) -> bool:
        hole = self._next(now)
        if hole is None:
            return False
        tries = self._tries.get(hole, _NEVER_TRIED)
        # Written down first: a question that fails lets the other holes go first.
        self._tries[hole] = tries._replace(again_at=now + LAGGING_SECONDS)
        earlier = EARLIER_SECONDS[tries.times % len(EARLIER_SECONDS)]
        page = self._ask(hole.pair, hole.after / 1e6 - earlier)
        self._judge(hole, tries, page, now)
        return True

    def _next(self, now: float) -> Missing | None:
        """The newest hole that it is time to ask about."""
        due = [
            hole
            for found in self._holes.values()
            for hole in found
            if now >= self._tries.get(hole, _NEVER_TRIED).again_at
        ]
        return max(due, key=lambda hole: hole.before, default=None)

    def _judge(self, hole: Missing, tries: _Tries, page: Sequence[Trade], now: float) -> None:
        """Records the page, or learns from it that the hole stays."""
        newest = max((int(trade.trade_id) for trade in page), default=0)
        if any(_fills(trade, hole) for trade in page):
            self._record(hole.pair, page)  # the hole is smaller now, or split
            self._tries.pop(hole, None)
        elif newest >= hole.before_id or tries.times:  # it has what lies around the hole, and nothing of it
            if tries.times + 1 < len(EARLIER_SECONDS):
                self._tries[hole] = _Tries(tries.times + 1, now, tries.given_up)
            else:
                self._give_up(hole, tries, now)
        # Else REST lags behind, or the answer comes from a cache: the next one may tell more.

    def _give_up(self, hole: Missing, tries: _Tries, now: float) -> None:
        self._tries[hole] = _Tries(0, now + HOPELESS_SECONDS, given_up=True)
        if not tries.given_up:
            seconds = max(0, hole.before - hole.after) / 1e6
            self._meters.count(HISTORY_GAP_SECONDS, amount=max(1, round(seconds)))
            log.warning(
                "%s: the trades between %d and %d (%.1f s) are not recorded, and REST does not tell them",
                hole.pair,
                hole.after_id,
                hole.before_id,
                seconds,
            )

    def _record(self, pair: Pair, page: Sequence[Trade]) -> None:
        self._take(pair, page)
        self._unread.add(pair)


def _fills(trade: Trade, hole: Missing) -> bool:
    """Whether the trade is one of those that are missing."""
    trade_id = int(trade.trade_id)
    if hole.renumbered:
        return trade_id < hole.before_id and trade.timestamp * 1e6 > hole.after + 1
    return hole.after_id < trade_id < hole.before_id
