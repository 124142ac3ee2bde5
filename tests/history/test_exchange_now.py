"""The exchange's time as what another process writes tells it."""

from decimal import Decimal

import pytest

from ltp_service.history.exchange_now import ExchangeNow, newest_of
from ltp_service.history.rows import Around, Coverage, Observation, Run
from tests.fakes import BTC, ETH, NOON, FakeClock
from tests.history.fakes import BEGINNING
from tests.history.plain_history import SECOND

HOURS = 3600


def after(seconds: float) -> int:
    """So long after NOON."""
    return BEGINNING + round(seconds * SECOND)


@pytest.mark.parametrize("wrong_by", [-5 * HOURS, 5 * HOURS])
def test_once_another_process_was_seen_to_write_this_machines_clock_decides_nothing(wrong_by: int) -> None:
    clock = FakeClock(wall=NOON + wrong_by)
    now = ExchangeNow(clock)
    now.after({BTC: after(-1)})
    clock.advance(10)
    assert now.after({BTC: after(9)}) == after(9)
    clock.advance(10)
    assert now.after({BTC: after(9)}) == after(19)
    assert now.after({BTC: after(19.5)}) == after(19.5)
    assert now.after({}) == after(19.5)


def test_the_look_that_came_soonest_after_its_moment_counts() -> None:
    clock = FakeClock()
    now = ExchangeNow(clock)
    now.after({BTC: after(-60)})
    now.after({BTC: after(-1)})
    assert now.after({BTC: after(0)}) == after(0)
    clock.advance(5)
    assert now.after({BTC: after(1)}) == after(5)


def test_an_old_history_does_not_hold_the_time_back() -> None:
    clock = FakeClock()
    now = ExchangeNow(clock)
    for _ in range(3):
        assert now.after({BTC: after(-86_400)}) == round(clock.wall() * SECOND)
        clock.advance(60)


def test_another_pair_with_a_later_moment_is_no_news() -> None:
    now = ExchangeNow(FakeClock())
    assert now.after({BTC: after(-86_400)}) == after(0)
    assert now.after({ETH: after(-3_600)}) == after(0)


def test_what_is_known_of_a_pair_has_a_newest_moment() -> None:
    run = Run(0, 1, 2, after(0), after(3))
    observed = Observation(Decimal(1), after(4), after(6), None, "kraken:rest")

    assert newest_of(Around(None, None, Coverage((), None, None), None)) is None
    assert newest_of(Around(None, None, Coverage((run,), None, None), None)) == after(3)
    # Evidence lies a second before the message that gave it.
    assert newest_of(Around(None, None, Coverage((run,), after(4), None), None)) == after(5)
    assert newest_of(Around(None, None, Coverage((run,), after(4), None), observed)) == after(6)
