"""ltp_service.redis.clock"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.redis.clock import MEASURE_PAUSE_SECONDS, TOLERANCE_SECONDS, SharedClock

seconds = st.floats(-1e6, 1e6)
delays = st.floats(0, 5)


class Time:
    """The true time, from which every clock differs by something else."""

    def __init__(self) -> None:
        self.now = 0.0
        self.server = 0.0
        """What the server's clock shows more."""

    def told(self, there: float, back: float) -> Callable[[], float]:
        """The server's time after a way of so many seconds, with another way back."""

        def tell() -> float:
            self.now += there
            told = self.now + self.server
            self.now += back
            return told

        return tell


def measured(time: Time, own: float, there: float = 0.0, back: float = 0.0) -> SharedClock:
    """A process whose monotonic clock shows `own` seconds more than the true time."""
    clock = SharedClock(time.told(there, back), lambda: time.now + own)
    clock.measure()
    return clock


@given(seconds, seconds, seconds, delays, delays, delays, delays)
def test_a_moment_never_looks_younger_in_another_process_and_older_only_by_the_ways(
    server: float, one: float, other: float, a: float, b: float, c: float, d: float
) -> None:
    time = Time()
    time.server = server
    teller, listener = measured(time, one, a, b), measured(time, other, c, d)
    moment = time.now - 1.0

    older = (moment + other) - listener.own(teller.shared(moment + one))
    assert -1e-6 <= older <= a + b + c + d + 1e-6


def test_now_is_the_servers_time_or_a_little_earlier() -> None:
    time = Time()
    time.server = 7200.0
    assert measured(time, -3600.0).now() == 7200.0
    assert measured(time, -3600.0, 0.1, 0.2).now() == pytest.approx(7200.0 + 0.3 - 0.2)


def test_a_word_of_now_raises_no_doubt_and_one_from_a_backlog_does() -> None:
    time = Time()
    clock = measured(time, 50.0)
    told_at = time.now + time.server
    assert not clock.is_doubted(told_at)
    time.now += TOLERANCE_SECONDS * 1.1
    assert clock.is_doubted(told_at)


def test_a_long_backlog_is_read_without_a_question_for_each_word() -> None:
    time = Time()
    clock = measured(time, 50.0)
    told_at = time.now + time.server
    time.now += 2 * TOLERANCE_SECONDS
    clock.measure()
    assert not clock.is_doubted(told_at)
    time.now += 2 * MEASURE_PAUSE_SECONDS
    assert clock.is_doubted(told_at)


def test_a_server_whose_clock_was_set_is_doubted_until_it_is_measured_anew() -> None:
    time = Time()
    clock = measured(time, 50.0)
    for step in (3600.0, -3600.0):
        time.server += step
        time.now += 2 * MEASURE_PAUSE_SECONDS
        assert clock.is_doubted(time.now + time.server)
        clock.measure()
        assert not clock.is_doubted(time.now + time.server)
        assert clock.now() == pytest.approx(time.now + time.server)


def test_a_clock_that_was_set_ahead_is_doubted_at_once_for_its_words_would_look_younger() -> None:
    time = Time()
    clock = measured(time, 50.0)
    time.server += 3600.0
    assert clock.is_doubted(time.now + time.server)
