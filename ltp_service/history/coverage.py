"""Which trades of a pair are known, told by their ids, which are consecutive. Pure: values in, values out."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from ltp_service.history.rows import Around, Coverage, RecordedTrade, Run

SLACK = 1_000_000
"""Microseconds by which two sources may differ on the time of one trade, and an exchange's ids and times on the order of two."""


class Hole(NamedTuple):
    """Trades may be missing between two runs, or after the last one."""

    before: Run
    after: Run | None
    """None after the last run."""


def is_covered(coverage: Coverage, start: int, end: int) -> bool:
    """Whether each trade from `start` to before `end` is known, be it that none was made."""
    place = bisect_left(coverage.runs, start, key=_begin) - 1
    return place >= 0 and known_until(coverage, coverage.runs[place]) >= end


def known_until(coverage: Coverage, run: Run) -> int:
    """The moment before which each later trade of the run's time is known. Evidence is of the newest run only."""
    if run == coverage.runs[-1]:
        return max(run.last_traded_at, coverage.evidence_until or 0)
    return run.last_traded_at


def run_of(coverage: Coverage, trade: RecordedTrade) -> Run | None:
    """The run that holds a recorded trade. Several runs may begin or end at its moment."""
    place = bisect_left(coverage.runs, trade.traded_at, key=lambda run: run.last_traded_at)
    for run in islice(coverage.runs, place, None):
        if run.first_traded_at > trade.traded_at:
            break
        if run.first_trade_id <= trade.trade_id <= run.last_trade_id:
            return run
    return None


def is_exact(around: Around, moment: int) -> bool:
    """Whether it is proven that `before` was the last trade at a moment."""
    before, after, coverage, _ = around
    run = run_of(coverage, before) if before else None
    if before is None or run is None:
        return False
    if after is not None:
        return run_of(coverage, after) == run
    return run == coverage.runs[-1] and before.trade_id == run.last_trade_id and _reaches(coverage, moment)


def hole_at(coverage: Coverage, moment: int) -> Hole | None:
    """The hole in which a moment lies. None inside a run, before the first one, and as far as the evidence reaches."""
    place = bisect_right(coverage.runs, moment, key=_begin) - 1
    if place < 0 or moment < coverage.runs[place].last_traded_at:
        return None
    if place + 1 < len(coverage.runs):
        return Hole(coverage.runs[place], coverage.runs[place + 1])
    return None if _reaches(coverage, moment) else Hole(coverage.runs[place], None)


def holes(coverage: Coverage) -> list[Hole]:
    """Those between two runs, newest first."""
    pairs = zip(coverage.runs, coverage.runs[1:], strict=False)
    return [Hole(before, after) for before, after in pairs][::-1]


class Runs:
    """The runs of one series. They change as trades are recorded."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._runs = sorted(runs, key=lambda run: run.first_trade_id)
        self._starts = [run.first_trade_id for run in self._runs]

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    @property
    def last(self) -> Run:
        """The newest one. There is always one, because a series begins with a trade."""
        return self._runs[-1]

    @property
    def first(self) -> Run:
        """The oldest one."""
        return self._runs[0]

    def knows(self, trade_id: int) -> bool:
        """Whether the trade was recorded."""
        before, _ = self._beside(trade_id)
        return before is not None and trade_id <= before.last_trade_id

    def fits(self, trade_id: int, traded_at: int, slack: int) -> bool:
        """Whether the trade's time lies where its id does."""
        before, after = self._beside(trade_id)
        if before is not None and trade_id <= before.last_trade_id:
            return before.first_traded_at - SLACK <= traded_at <= before.last_traded_at + SLACK
        return (before is None or before.last_traded_at - slack <= traded_at) and (
            after is None or traded_at <= after.first_traded_at + slack
        )

    def next_known(self, trade_id: int) -> Run | None:
        """The first run after an id that is not known."""
        return self._beside(trade_id)[1]

    def record(self, new: Run) -> tuple[Run, list[Run]]:
        """Takes a run of trades that are not known. Returns the run that holds them now, and those that it replaces."""
        before, after = self._beside(new.first_trade_id)
        parts = [new]
        if before is not None and before.last_trade_id + 1 == new.first_trade_id:
            parts.insert(0, before)
        if after is not None and new.last_trade_id + 1 == after.first_trade_id:
            parts.append(after)
        joined = Run(
            new.series,
            parts[0].first_trade_id,
            parts[-1].last_trade_id,
            min(part.first_traded_at for part in parts),
            max(part.last_traded_at for part in parts),
        )
        place = bisect_left(self._starts, joined.first_trade_id)
        replaced = [part for part in parts if part is not new]
        self._runs[place : place + len(replaced)] = [joined]
        self._starts[place : place + len(replaced)] = [joined.first_trade_id]
        return joined, replaced

    def _beside(self, trade_id: int) -> tuple[Run | None, Run | None]:
        """The run that begins at or before an id, and the next one."""
        place = bisect_right(self._starts, trade_id)
        return (
            self._runs[place - 1] if place else None,
            self._runs[place] if place < len(self._runs) else None,
        )


def _begin(run: Run) -> int:
    return run.first_traded_at


def _reaches(coverage: Coverage, moment: int) -> bool:
    return coverage.evidence_until is not None and coverage.evidence_until >= moment
