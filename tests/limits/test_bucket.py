from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.limits.bucket import BucketState, LimitDecision, TokenBucket


def admitted(bucket: TokenBucket, moments: list[float]) -> list[float]:
    """The moments of those requests that pass, of one client that asks at `moments`."""
    state: BucketState | None = None
    passed = []
    for now in moments:
        state, decision = bucket.take(state, now)
        passed += [now] * decision.allowed
    return passed


def test_a_new_client_may_spend_the_whole_capacity_at_once_and_no_more() -> None:
    assert len(admitted(TokenBucket(100, 10.0), [5.0] * 150)) == 100


@pytest.mark.parametrize("start", [0.0, 0.1, 12_345.678, 3e7])
def test_a_minute_of_too_many_requests_admits_the_capacity_and_the_refill(start: float) -> None:
    moments = [start + number / 50 for number in range(60 * 50)]
    assert 699 <= len(admitted(TokenBucket(100, 10.0), moments)) <= 701


def test_a_client_at_exactly_the_refill_rate_is_never_refused_while_it_has_a_reserve() -> None:
    moments = [number / 10 for number in range(10_000)]
    assert len(admitted(TokenBucket(2, 10.0), moments)) == 10_000


def test_a_refused_request_costs_nothing() -> None:
    hammering = [number / 1000 for number in range(10_001)]
    assert len(admitted(TokenBucket(1, 1.0), hammering)) in {10, 11}


def test_almost_a_token_is_none() -> None:
    assert admitted(TokenBucket(1, 1.0), [0.0, 0.999, 1.0]) == [0.0, 1.0]


def test_a_long_silence_gives_no_more_than_the_capacity() -> None:
    assert len(admitted(TokenBucket(3, 10.0), [0.0] * 3 + [1e6] * 10)) == 6


@given(
    capacity=st.integers(1, 20),
    rate=st.floats(0.001, 1e4),
    start=st.floats(0, 1e7),
    gaps=st.lists(st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 1e4)), max_size=60),
)
def test_no_window_admits_more(capacity: int, rate: float, start: float, gaps: list[float]) -> None:
    passed = admitted(TokenBucket(capacity, rate), list(accumulate(gaps, initial=start)))
    for first, begin in enumerate(passed):
        for count, end in enumerate(passed[first:], start=1):
            assert count <= capacity + rate * (end - begin) + 1e-6


@given(
    capacity=st.integers(1, 20),
    rate=st.floats(0.001, 1e4),
    gaps=st.lists(st.floats(0, 100), min_size=1, max_size=30),
)
def test_who_waits_as_long_as_told_passes(capacity: int, rate: float, gaps: list[float]) -> None:
    bucket, state, now = TokenBucket(capacity, rate), None, 0.0
    for gap in gaps:
        now += gap
        state, decision = bucket.take(state, now)
        if not decision.allowed:
            assert bucket.take(state, now + decision.retry_after)[1].allowed


def test_the_client_is_told_what_remains_and_when_it_is_full_again() -> None:
    bucket = TokenBucket(100, 10.0)
    state, first = bucket.take(None, 0.0)
    assert first == LimitDecision(allowed=True, limit=100, remaining=99, reset_seconds=1, retry_after=0)
    for _ in range(99):
        state, last = bucket.take(state, 0.0)
    assert last == LimitDecision(allowed=True, limit=100, remaining=0, reset_seconds=10, retry_after=0)
    state, refused = bucket.take(state, 0.0)
    assert refused == LimitDecision(allowed=False, limit=100, remaining=0, reset_seconds=10, retry_after=1)


def test_a_slow_refill_tells_a_long_wait() -> None:
    bucket = TokenBucket(1, 0.1)
    state, _ = bucket.take(None, 0.0)
    assert bucket.take(state, 2.5)[1].retry_after == 8


def test_a_state_is_worth_nothing_from_the_moment_the_bucket_is_full() -> None:
    bucket = TokenBucket(100, 10.0)
    state, _ = bucket.take(None, 7.0)
    state, _ = bucket.take(state, 7.0)
    assert bucket.full_at(state) == pytest.approx(7.2)
    assert bucket.take(state, 7.21)[1] == bucket.take(None, 7.21)[1]
