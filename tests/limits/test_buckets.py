from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ltp_service.assembly.services import open_limiter
from ltp_service.limits.buckets import BucketState, LimitDecision, MemoryLimiter, TokenBucket
from ltp_service.settings.config import Config
from tests.fakes import FakeClock


def drain(limiter: MemoryLimiter, address: str) -> None:
    while limiter.take(address).allowed:
        pass


def strangers(count: int) -> Iterator[str]:
    return (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(count))


def test_one_client_never_pays_for_another(clock: FakeClock) -> None:
    limiter = MemoryLimiter(5, 1.0, clock.monotonic)
    drain(limiter, "203.0.113.9")
    assert limiter.take("203.0.113.10").remaining == 4


def test_a_request_is_dated_in_its_turn_and_not_before_it() -> None:
    """A moment that is read before the turn of another request would be older than the one noted for the bucket."""
    free: list[bool] = []

    def monotonic() -> float:
        with ThreadPoolExecutor(1) as other:
            free.append(other.submit(limiter._lock.acquire, blocking=False).result())  # noqa: SLF001
        return 0.0

    limiter = MemoryLimiter(5, 1.0, monotonic)
    limiter.take("203.0.113.9")
    assert free == [False]


def test_an_abuser_stays_refused_while_a_flood_of_others_comes(clock: FakeClock) -> None:
    limiter = MemoryLimiter(100, 10.0, clock.monotonic, max_addresses=1000)
    abusers = [f"203.0.113.{number}" for number in range(200)]
    for abuser in abusers:
        drain(limiter, abuser)
    for stranger in strangers(20_000):
        assert limiter.take(stranger).allowed
        clock.advance(4e-6)  # 0.08 s in all, so that no one gets a token back
    assert not any(limiter.take(abuser).allowed for abuser in abusers)
    assert len(limiter) <= 1000


def test_the_table_stays_as_small_as_the_clients_that_still_count(clock: FakeClock) -> None:
    limiter = MemoryLimiter(1000, 10.0, clock.monotonic, max_addresses=100_000)
    for number in range(50):
        drain(limiter, f"203.0.113.{number}")  # full again after 100 s
    for stranger in strangers(20_000):
        limiter.take(stranger)
        clock.advance(0.001)  # full again after 0.1 s: 100 of them count
    assert len(limiter) <= 2 * (50 + 100)


def test_the_table_never_holds_more_than_its_bound(clock: FakeClock) -> None:
    limiter = MemoryLimiter(100, 0.001, clock.monotonic, max_addresses=50)
    for stranger in strangers(500):
        limiter.take(stranger)
        assert len(limiter) <= 50


def test_a_full_table_empties_when_its_clients_have_gone(clock: FakeClock) -> None:
    limiter = MemoryLimiter(100, 10.0, clock.monotonic, max_addresses=50)
    for stranger in strangers(500):
        limiter.take(stranger)
    for number in range(60):
        clock.advance(60)
        limiter.take(f"203.0.113.{number}")
    assert len(limiter) <= 2


def test_a_full_table_of_one_still_lets_everybody_in(clock: FakeClock) -> None:
    limiter = MemoryLimiter(1, 0.001, clock.monotonic, max_addresses=1)
    assert all(limiter.take(stranger).allowed for stranger in strangers(10))


@pytest.mark.usefixtures("restless_threads")
def test_threads_together_get_no_more_than_one_thread(clock: FakeClock) -> None:
    limiter = MemoryLimiter(4000, 0.001, clock.monotonic)
    with ThreadPoolExecutor(4) as threads:
        rounds = threads.map(
            lambda _: sum(limiter.take("203.0.113.9").allowed for _ in range(2000)), range(4)
        )
        assert sum(rounds) == 4000


class UnboundedModel(RuleBasedStateMachine):
    """While no table is full, forgetting is invisible: every answer is that of a limiter which never forgets."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.limiter = MemoryLimiter(3, 2.0, self.clock.monotonic)
        self.alone: dict[str, MemoryLimiter] = {}

    @rule(address=st.sampled_from("abcdef"))
    def ask(self, address: str) -> None:
        alone = self.alone.setdefault(address, MemoryLimiter(3, 2.0, self.clock.monotonic))
        assert self.limiter.take(address) == alone.take(address)

    @rule(seconds=st.sampled_from([0.125, 0.5, 1.0, 4.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def no_address_is_held_twice(self) -> None:
        assert len(self.limiter) <= len(self.alone)


test_forgetting_is_invisible = UnboundedModel.TestCase


def test_the_settings_choose_the_limit(clock: FakeClock) -> None:
    limiter, runners = open_limiter(
        Config(rate_limit_capacity=2, rate_limit_refill_rate=0.5), clock.monotonic
    )
    assert limiter is not None
    assert runners == []
    assert [limiter.take("203.0.113.9").allowed for _ in range(3)] == [True, True, False]
    assert limiter.take("203.0.113.9").retry_after == 2


def test_the_settings_can_switch_the_limit_off(clock: FakeClock) -> None:
    assert open_limiter(Config(rate_limit_enabled=False), clock.monotonic) == (None, [])


# The arithmetic.


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
