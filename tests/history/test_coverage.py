"""What runs of ids prove."""

from math import inf

import pytest

from ltp_service.history.coverage import (
    SLACK,
    Hole,
    Runs,
    hole_at,
    holes,
    is_covered,
    known_from,
    known_until,
    place_of,
    proof,
)
from ltp_service.history.rows import Around, Coverage, RecordedTrade, Run
from tests.history.plain import NOON, SECOND, trade


def at(seconds: float) -> int:
    return NOON + round(seconds * SECOND)


def run(first: int, last: int, series: int = 0) -> Run:
    """A run of trades that were made at their ids in seconds."""
    return Run(series, first, last, at(first), at(last))


A, B, C = run(1, 10), run(20, 30), run(40, 50)
WATCHED = Coverage((A, B, C), at(60), None)
UNWATCHED = WATCHED._replace(evidence_until=None)
NOTHING = Coverage((), None, None)


@pytest.mark.parametrize(
    ("start", "end", "is_so"),
    [
        (3, 9, True),
        (3, 9.000001, False),  # a missing trade may be a second early
        (2, 5, False),  # or late
        (2.000001, 5, True),
        (5, 25, False),
        (12, 15, False),
        (45, 49, True),
        (45, 60, True),
        (50, 60, True),
        (55, 60, True),
        (55, 60.000001, False),
        (0, 0.5, False),
    ],
)
def test_an_interval_is_covered_where_one_run_surrounds_it_or_evidence_follows(
    start: float, end: float, is_so: bool
) -> None:
    assert is_covered(WATCHED, at(start), at(end)) is is_so
    assert is_covered(UNWATCHED, at(start), at(end)) is (is_so and end <= 49)
    assert not is_covered(NOTHING, at(start), at(end))


def test_evidence_extends_the_newest_run_alone() -> None:
    assert [known_until(WATCHED, each) for each in (A, B, C)] == [at(9), at(29), at(60)]
    assert known_until(UNWATCHED, C) == at(49)
    assert known_until(WATCHED._replace(evidence_until=at(45)), C) == at(49)
    assert known_from(C) == at(41)


@pytest.mark.parametrize(
    ("moment", "hole"),
    [
        (0, None),
        (5, None),
        (10, Hole(A, B)),
        (15, Hole(A, B)),
        (20, None),
        (30, Hole(B, C)),
        (50, None),
        (60, None),
        (61, Hole(C, None)),
    ],
)
def test_a_moment_lies_in_a_hole_or_not(moment: float, hole: Hole | None) -> None:
    assert hole_at(WATCHED, at(moment)) == hole
    assert hole_at(UNWATCHED, at(moment)) == (Hole(C, None) if moment >= 50 else hole)
    assert hole_at(NOTHING, at(moment)) is None


def test_the_newest_hole_comes_first() -> None:
    assert holes(WATCHED) == [Hole(B, C), Hole(A, B)]
    assert holes(NOTHING) == []


def test_nothing_is_missing_where_only_the_proof_was_lost() -> None:
    parted = Coverage((A, run(11, 15), B, run(31, 40, series=1)), None, None)
    assert holes(parted) == [Hole(B, run(31, 40, series=1)), Hole(run(11, 15), B)]


def test_a_trade_is_of_the_run_with_its_id_also_where_another_one_begins_at_its_moment() -> None:
    begins_at_once = Run(0, 12, 14, at(10), at(14))
    runs = (A, begins_at_once)
    assert place_of(runs, trade(10, 10)) == 0
    assert place_of(runs, trade(12, 10)) == 1
    assert place_of(runs, trade(11, 10)) is None
    assert place_of(runs, trade(5, 12)) is None
    assert place_of(runs, trade(9, 99)) is None


def test_any_number_of_runs_may_lie_at_one_moment() -> None:
    runs = [Run(0, number, number, NOON, NOON) for number in range(1, 99, 2)]
    assert [place_of(runs, trade(number, 0)) for number in range(1, 99, 2)] == [*range(49)]
    assert place_of(runs, trade(2, 0)) is None


def test_the_runs_times_may_be_out_of_order() -> None:
    seconds = (1.0, 0.2, 0.9, 0.1, 1.5, 0.6)
    runs = [Run(0, 2 * each, 2 * each, at(second), at(second)) for each, second in enumerate(seconds)]
    assert [place_of(runs, trade(2 * each, second)) for each, second in enumerate(seconds)] == [*range(6)]


def test_exact_is_what_lies_between_two_trades_of_one_run() -> None:
    def exact(before: int | None, after: int | None, moment: float, coverage: Coverage = WATCHED) -> bool:
        first, second = (None if each is None else trade(each, each) for each in (before, after))
        return proof(Around(first, second, coverage, None), at(moment)) is not None

    assert exact(5, 6, 5.5)
    assert exact(2, 3, 2.5)
    assert exact(1, 2, 1.5)
    assert exact(8, 9, 8.999999)
    assert exact(9, 10, 9)
    assert not exact(10, 20, 15)
    assert not exact(None, 1, 0)
    assert exact(49, 50, 49.5)
    assert exact(49, 50, 49.5, UNWATCHED)
    assert exact(50, None, 60)
    assert not exact(50, None, 61)
    assert not exact(50, None, 55, UNWATCHED)
    assert not exact(49, None, 55), "trade 50 was deleted meanwhile"
    assert not exact(30, None, 31), "it is of an older run"
    assert not exact(60, 61, 60.5), "neither is of a run"


def test_nothing_is_exact_over_a_hole_where_times_are_not_in_the_order_of_ids() -> None:
    """The trades 11 to 19 are missing, and may have been made between any two of these."""

    def exact(before: RecordedTrade, after: RecordedTrade, *runs: Run, until: int | None = None) -> bool:
        moment = (before.traded_at + after.traded_at) // 2
        return proof(Around(before, after, Coverage(runs, until, None), None), moment) is not None

    late, early = Run(0, 1, 10, at(1), at(10.5)), Run(0, 20, 30, at(10.3), at(30))
    assert exact(trade(8, 8), trade(9, 9), late, early)
    assert not exact(trade(9, 9), trade(20, 10.3), late, early)
    assert not exact(trade(20, 10.3), trade(10, 10.5), late, early)
    assert not exact(trade(10, 10.5), trade(21, 21), late, early)

    swapped = Run(0, 1, 10, at(1), at(10.4))
    assert not exact(trade(10, 10), trade(9, 10.4), swapped, early), "the one after 10 is not known"
    assert not exact(trade(10, 10), trade(9, 10.4), swapped)
    assert exact(trade(10, 10), trade(9, 10.4), swapped, until=at(11)), "nothing followed 10"
    begins = Run(0, 20, 30, at(19), at(30))
    assert not exact(trade(21, 19), trade(20, 19.2), A, begins), "the one before 20 is not known"
    assert exact(trade(20, 19.2), trade(22, 22), A, begins)


def test_runs_grow_and_join() -> None:
    runs = Runs([B, A])

    def record(new: Run) -> tuple[Run, list[Run]]:
        return runs.record(new, [each for each in runs.neighbours(new) if each is not None])

    assert record(run(11, 15)) == (run(1, 15), [A])
    assert record(run(35, 36)) == (run(35, 36), [])
    assert record(run(18, 19)) == (run(18, 30), [B])
    assert record(run(16, 17)) == (run(1, 30), [run(1, 15), run(18, 30)])
    assert list(runs) == [run(1, 30), run(35, 36)]
    assert (runs.first, runs.last) == (run(1, 30), run(35, 36))


def test_runs_need_not_join_and_may_be_parted() -> None:
    runs = Runs([A, B])
    assert runs.record(run(11, 19)) == (run(11, 19), [])
    assert list(runs) == [A, run(11, 19), B]
    assert runs.across(at(10)) == []
    assert runs.across(at(15)) == [run(11, 19)]
    runs.replace(run(11, 19), [run(11, 14), run(15, 15), run(16, 19)])
    assert list(runs) == [A, run(11, 14), run(15, 15), run(16, 19), B]
    assert runs.holding(15) == run(15, 15)


def test_the_time_of_a_trade_fits_its_id_or_not() -> None:
    runs = Runs([A, B])
    assert runs.fits(15, at(10), 0)
    assert runs.fits(15, at(20), 0)
    assert not runs.fits(15, at(10) - 1, 0)
    assert not runs.fits(15, at(20) + 1, 0)
    assert runs.fits(15, at(10) - SLACK, SLACK)
    assert runs.fits(15, at(20) + SLACK, SLACK)
    assert not runs.fits(5, at(5), 0), "it is known"
    assert runs.fits(31, at(99), 0)
    assert not runs.fits(31, at(29), 0)
    assert runs.fits(0, at(-99), 0)
    assert (runs.knows(10), runs.knows(11)) == (True, False)
    assert runs.room_from(11) == (20, at(20) + SLACK)
    assert runs.room_from(31) == (inf, inf)


def test_a_time_has_to_fit_to_all_runs_and_not_only_to_the_next_ones() -> None:
    runs = Runs(
        Run(0, number, number, at(second), at(second)) for number, second in ((1, 9), (3, 8.2), (5, 9.1))
    )
    assert runs.fits(4, at(8), SLACK)
    assert not runs.fits(4, at(8) - 1, SLACK), "1 is more than a second later"
    assert runs.fits(2, at(9.2), SLACK)
    assert not runs.fits(0, at(9.2) + 1, SLACK), "3 is more than a second earlier"
