"""What all book collectors share; the rest is shown by test_bybit and test_binance."""

import pytest

from ltp_service.feed.books import Pulse


def test_a_long_pause_is_no_habit_for_ever() -> None:
    pulse = Pulse(began_at=0.0, silent_since=0.0, update_id=0)
    for moment in (0.0, 100.0):
        pulse.beat(1, moment)
    assert pulse.longest == 100.0
    for second in range(600):
        pulse.beat(1, 101.0 + second)

    assert pulse.longest == pytest.approx(100 / 2.718, abs=0.5)
