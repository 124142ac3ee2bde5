"""Which trades of a pair are known, told by their ids, which are consecutive. Pure: values in, values out."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import NamedTuple

from ltp_service.history.rows import Around, Coverage, RecordedTrade, Run

SLACK = 1_000_000
"""Microseconds by which an exchange's ids and times may differ on the order of two trades. A trade that is missing before a run
may be so much later than the run's first moment, and one that is missing after it so much earlier than its last one."""


class Hole(NamedTuple):
    """Trades may be missing between two runs, or after the last one."""

    before: Run
    after: Run | None
    """None after the last run."""


def is_covered(coverage: Coverage, start: int, end: int) -> bool:
    """Whether each trade from `start` to before `end` is known, be it that none was made."""
    place = bisect_left(coverage.runs, start - SLACK, key=_begin) - 1
    if place < 0:
        return False
    run = coverage.runs[place]
    return known_from(run) < start and end <= known_until(coverage, run)


def is_settled(coverage: Coverage, start: int, end: int) -> bool:
    """The same, whatever is told later: ids prove it. What silence proves may be taken back."""
    return is_covered(coverage._replace(evidence_until=None), start, end)


def known_from(run: Run) -> int:
    """The moment after which no trade is missing that has a lower id than the run."""
    return run.first_traded_at + SLACK


def known_until(coverage: Coverage, run: Run) -> int:
    """The moment before which no trade is missing that has a higher id than the run. Evidence is of the newest run only."""
    until = run.last_traded_at - SLACK
    return max(until, coverage.evidence_until or until) if run == coverage.runs[-1] else until


def place_of(runs: Sequence[Run], trade: RecordedTrade) -> int | None:
    """The place of the run that holds a recorded trade. Any number of runs may begin or end at its moment; two series may
    use the same id, so its time counts too."""
    # Times may be out of order by SLACK, so this is a little early.
    place = bisect_left(runs, trade.traded_at - SLACK, key=_end)
    while place < len(runs) and runs[place].first_traded_at <= trade.traded_at + SLACK:
        run = runs[place]
        is_in_time = run.first_traded_at <= trade.traded_at <= run.last_traded_at
        if is_in_time and run.first_trade_id <= trade.trade_id <= run.last_trade_id:
            return place
        place += 1
    return None


def proof(around: Around, moment: int) -> Run | None:
    """The run that proves that `before` was the last trade at a moment: it has the next one, too, or evidence reaches further.

    Ids follow time here. That of a candle is proven with more care, see `is_covered`.
    """
    before, after, coverage, _ = around
    place = None if before is None else place_of(coverage.runs, before)
    if before is None or place is None:
        return None
    run = coverage.runs[place]
    is_newest = place == len(coverage.runs) - 1
    is_the_end_known = is_newest and _reaches(coverage, moment)
    if after is None:  # and where `before` is not the last one of the run, that was deleted meanwhile
        return run if is_the_end_known and before.traded_at == run.last_traded_at else None
    # Where times are not in the order of ids, what is missing beside the run may lie between these two.
    is_inside = (
        place_of(coverage.runs, after) == place
        and after.trade_id > run.first_trade_id
        and (before.trade_id < run.last_trade_id or is_the_end_known)
    )
    return run if is_inside else None


def hole_at(coverage: Coverage, moment: int) -> Hole | None:
    """The hole in which a moment lies. None inside a run, before the first one, and as far as the evidence reaches."""
    place = bisect_right(coverage.runs, moment, key=_begin) - 1
    if place < 0 or moment < coverage.runs[place].last_traded_at:
        return None
    if place + 1 < len(coverage.runs):
        return Hole(coverage.runs[place], coverage.runs[place + 1])
    return None if _reaches(coverage, moment) else Hole(coverage.runs[place], None)


def holes(coverage: Coverage) -> list[Hole]:
    """Those between two runs, newest first. Where only the proof was lost no trade is missing, and nothing can be filled."""
    pairs = zip(coverage.runs, coverage.runs[1:], strict=False)
    return [Hole(before, after) for before, after in pairs if not _is_break(before, after)][::-1]


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
        return self.holding(trade_id) is not None

    def holding(self, trade_id: int) -> Run | None:
        """The run of a recorded trade; None for one that is not known."""
        before, _ = self._beside(trade_id)
        return before if before is not None and trade_id <= before.last_trade_id else None

    def fits(self, trade_id: int, traded_at: int, slack: int) -> bool:
        """Whether a trade that is not known has its time where its id lies."""
        place = bisect_right(self._starts, trade_id)
        if place and trade_id <= self._runs[place - 1].last_trade_id:
            return False
        return self._latest_before(place) - slack <= traded_at <= self._earliest_from(place) + slack

    def room_from(self, trade_id: int) -> tuple[float, float]:
        """The next known id after one that is not known, and the latest moment for trades between the two."""
        place = bisect_right(self._starts, trade_id)
        next_id = self._starts[place] if place < len(self._starts) else inf
        return next_id, self._earliest_from(place) + SLACK

    def neighbours(self, new: Run) -> tuple[Run | None, Run | None]:
        """The runs that end and begin with the ids beside those of a new one."""
        before, after = self._beside(new.first_trade_id)
        return (
            before if before is not None and before.last_trade_id + 1 == new.first_trade_id else None,
            after if after is not None and new.last_trade_id + 1 == after.first_trade_id else None,
        )

    def across(self, moment: int) -> list[Run]:
        """The runs that go on from a trade at or before a moment to a later one."""
        return [run for run in self._runs if run.first_traded_at <= moment < run.last_traded_at]

    def replace(self, run: Run, parts: Sequence[Run]) -> None:
        """Cuts a run into parts."""
        place = bisect_left(self._starts, run.first_trade_id)
        self._runs[place : place + 1] = parts
        self._starts[place : place + 1] = [part.first_trade_id for part in parts]

    def record(self, new: Run, joins: Sequence[Run] = ()) -> tuple[Run, list[Run]]:
        """Takes a run of trades that are not known, and joins it with neighbours of it. Returns the run that holds the trades
        now, and those that it replaces."""
        parts = sorted([new, *joins], key=lambda run: run.first_trade_id)
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

    def _latest_before(self, place: int) -> float:
        """The latest moment of all runs before a place."""
        latest, most = -inf, inf
        while place and latest < most:
            place -= 1
            latest = max(latest, self._runs[place].last_traded_at)
            most = min(most, self._runs[place].first_traded_at + SLACK)  # and no one before it is later
        return latest

    def _earliest_from(self, place: int) -> float:
        """The earliest moment of all runs from a place on."""
        earliest, least = inf, -inf
        while place < len(self._runs) and least < earliest:
            earliest = min(earliest, self._runs[place].first_traded_at)
            least = max(least, self._runs[place].last_traded_at - SLACK)
            place += 1
        return earliest

    def _beside(self, trade_id: int) -> tuple[Run | None, Run | None]:
        """The run that begins at or before an id, and the next one."""
        place = bisect_right(self._starts, trade_id)
        return (
            self._runs[place - 1] if place else None,
            self._runs[place] if place < len(self._runs) else None,
        )


def _begin(run: Run) -> int:
    return run.first_traded_at


def _end(run: Run) -> int:
    return run.last_traded_at


def _is_break(before: Run, after: Run) -> bool:
    return before.series == after.series and before.last_trade_id + 1 == after.first_trade_id


def _reaches(coverage: Coverage, moment: int) -> bool:
    return coverage.evidence_until is not None and coverage.evidence_until >= moment
