"""ltp_service.feed.backoff"""

import random

from hypothesis import given
from hypothesis import strategies as st

from ltp_service.feed.backoff import (
    ATTEMPTS_PER_WINDOW,
    LONGEST_DELAY_SECONDS,
    LONGEST_URGENT_DELAY_SECONDS,
    WINDOW_SECONDS,
    Backoff,
)
from tests.fakes import FakeClock, runtime


def at_most(base: float) -> Backoff:
    """A back-off whose jitter always gives the bound."""
    return Backoff(base, 5, runtime())


def test_the_bound_doubles_from_the_base_up_to_the_cap() -> None:
    backoff = at_most(5.0)

    assert [backoff.delay() for _ in range(7)] == [5.0, 10.0, 20.0, 40.0, *[LONGEST_DELAY_SECONDS] * 3]


def test_the_fast_tries_are_fully_jittered() -> None:
    backoff = Backoff(5.0, 5, runtime(random=lambda: 0.0))

    assert [backoff.delay() for _ in range(5)] == [0.0] * 5


def test_after_the_fast_tries_it_goes_on_for_ever_at_a_slow_and_jittered_pace() -> None:
    backoff = Backoff(5.0, 2, runtime(random=lambda: 0.0))
    delays = [backoff.delay() for _ in range(100)]

    assert delays[:2] == [0.0, 0.0]
    assert delays[2:5] == [10.0, 20.0, LONGEST_DELAY_SECONDS / 2]
    assert set(delays[5:]) == {LONGEST_DELAY_SECONDS / 2}


def test_without_fast_tries_it_still_tries() -> None:
    assert Backoff(5.0, 0, runtime(random=lambda: 0.0)).delay() == 2.5


def test_the_exchange_may_ask_for_more_patience() -> None:
    assert at_most(1.0).delay(at_least=60.0) == 60.0


def test_a_connection_that_brought_data_does_not_count_as_a_failure() -> None:
    backoff = at_most(5.0)
    for _ in range(20):
        assert backoff.delay() == 5.0
        backoff.forgive()
    backoff.forgive()
    assert backoff.delay() == 5.0


def test_data_makes_up_for_one_attempt_and_not_for_those_before() -> None:
    backoff = at_most(5.0)
    for _ in range(3):
        backoff.delay()
    backoff.forgive()
    assert backoff.delay() == 20.0


def test_while_every_second_counts_the_wait_is_short_and_still_jittered() -> None:
    backoff = Backoff(5.0, 2, runtime(random=lambda: 0.0), urgent=lambda: True)
    delays = [backoff.delay() for _ in range(20)]

    assert max(delays) <= LONGEST_URGENT_DELAY_SECONDS
    assert min(delays[1:]) > 0.0


def test_after_a_stable_connection_it_starts_over() -> None:
    backoff = at_most(5.0)
    for _ in range(10):
        backoff.delay()
    backoff.reset()

    assert backoff.delay() == 5.0


@given(st.floats(0.01, 60.0), st.integers(0, 100), st.integers(0, 1000))
def test_the_exchanges_budget_of_attempts_is_never_exceeded(base: float, tries: int, seed: int) -> None:
    clock = FakeClock()
    backoff = Backoff(base, tries, runtime(clock, random=random.Random(seed).random))
    attempts = []
    for _ in range(ATTEMPTS_PER_WINDOW * 3):
        clock.advance(backoff.delay())
        attempts.append(clock.monotonic())
        backoff.forgive()

    for first, after in zip(attempts, attempts[ATTEMPTS_PER_WINDOW:], strict=False):
        assert after - first >= WINDOW_SECONDS - 1e-6
