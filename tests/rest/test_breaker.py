"""The breaker against a second description of itself, and the rules of SPEC 7 one by one."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from ltp_service.domain.errors import BreakerOpen
from ltp_service.rest.breaker import (
    LONGEST_RETRY_AFTER_SECONDS,
    PROBE_LIFE_SECONDS,
    URGENT_PROBE_EVERY_SECONDS,
    CircuitBreaker,
    Permit,
)
from tests.fakes import FakeClock, runtime


class Chance:
    """Random numbers that the test chooses; the highest unless it does."""

    def __init__(self) -> None:
        self.next = 1.0

    def __call__(self) -> float:
        return self.next


@pytest.fixture
def chance() -> Chance:
    return Chance()


@pytest.fixture
def breaker(clock: FakeClock, chance: Chance) -> CircuitBreaker:
    return CircuitBreaker(runtime(clock, random=chance))


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().failed()


def assert_open_for(breaker: CircuitBreaker, seconds: float) -> None:
    assert breaker.state().state == "open"
    assert breaker.state().retry_in == pytest.approx(seconds)
    with pytest.raises(BreakerOpen) as caught:
        breaker.acquire()
    assert caught.value.retry_after == pytest.approx(seconds)
    assert caught.value.reason == "breaker_open"


def test_the_fifth_failure_in_a_row_opens_it(breaker: CircuitBreaker) -> None:
    fail(breaker, 4)
    assert breaker.state() == ("closed", 4, 0.0)
    fail(breaker)
    assert_open_for(breaker, 30)


def test_a_success_between_failures_starts_the_count_again(breaker: CircuitBreaker) -> None:
    fail(breaker, 4)
    breaker.acquire().succeeded()
    fail(breaker, 4)
    assert breaker.state() == ("closed", 4, 0.0)


def test_after_the_open_time_exactly_one_probe_passes(breaker: CircuitBreaker, clock: FakeClock) -> None:
    fail(breaker, 5)
    clock.advance(29.9)
    assert_open_for(breaker, 0.1)
    clock.advance(0.2)
    breaker.acquire()
    assert breaker.state().state == "half_open"
    with pytest.raises(BreakerOpen) as caught:
        breaker.acquire()
    assert caught.value.retry_after == pytest.approx(PROBE_LIFE_SECONDS)


def test_a_good_probe_closes_it_and_forgets_everything(breaker: CircuitBreaker, clock: FakeClock) -> None:
    for _ in range(2):
        fail(breaker, 5)
        clock.advance(30)
        breaker.acquire().succeeded()
        assert breaker.state() == ("closed", 0, 0.0)


def test_a_good_probe_makes_the_next_open_time_short_again(breaker: CircuitBreaker, clock: FakeClock) -> None:
    fail(breaker, 5)
    clock.advance(30)
    fail(breaker)
    clock.advance(60)
    breaker.acquire().succeeded()
    fail(breaker, 5)
    assert_open_for(breaker, 30)


def test_each_failed_probe_doubles_the_open_time(breaker: CircuitBreaker, clock: FakeClock) -> None:
    fail(breaker, 5)
    for seconds in (30, 60, 120, 240, 300, 300):
        assert_open_for(breaker, seconds)
        clock.advance(seconds)
        fail(breaker)


def test_the_open_time_lies_by_chance_in_the_upper_half(breaker: CircuitBreaker, chance: Chance) -> None:
    chance.next = 0.0
    fail(breaker, 5)
    assert_open_for(breaker, 15)


def test_a_probe_that_never_tells_makes_room_for_another(breaker: CircuitBreaker, clock: FakeClock) -> None:
    fail(breaker, 5)
    clock.advance(30)
    lost = breaker.acquire()
    clock.advance(PROBE_LIFE_SECONDS)
    breaker.acquire()
    lost.succeeded()
    assert breaker.state().state == "half_open"


def test_results_from_before_a_transition_change_nothing(breaker: CircuitBreaker, clock: FakeClock) -> None:
    early = [breaker.acquire() for _ in range(3)]
    fail(breaker, 5)
    early[0].succeeded()
    assert breaker.state().state == "open"
    clock.advance(30)
    probe = breaker.acquire()
    early[1].failed()
    assert breaker.state().state == "half_open"
    probe.succeeded()
    early[2].failed()
    assert breaker.state() == ("closed", 0, 0.0)


def test_a_result_counts_once(breaker: CircuitBreaker) -> None:
    permit = breaker.acquire()
    for _ in range(5):
        permit.failed()
    assert breaker.state().failures == 1


def test_retry_after_opens_it_at_once_for_that_long(breaker: CircuitBreaker, clock: FakeClock) -> None:
    breaker.acquire().failed(retry_after=7)
    assert_open_for(breaker, 7)
    clock.advance(7)
    breaker.acquire().succeeded()
    assert breaker.state().state == "closed"


def test_retry_after_is_believed_for_an_hour_at_most(breaker: CircuitBreaker) -> None:
    breaker.acquire().failed(retry_after=86_400)
    assert_open_for(breaker, LONGEST_RETRY_AFTER_SECONDS)


def test_retry_after_never_shortens_the_open_time(breaker: CircuitBreaker) -> None:
    fail(breaker, 4)
    breaker.acquire().failed(retry_after=1)
    assert_open_for(breaker, 30)


def test_a_probe_with_retry_after_keeps_it_open_that_long(breaker: CircuitBreaker, clock: FakeClock) -> None:
    fail(breaker, 5)
    clock.advance(30)
    breaker.acquire().failed(retry_after=600)
    assert_open_for(breaker, 600)


def test_a_late_retry_after_keeps_an_open_breaker_open(breaker: CircuitBreaker) -> None:
    late = breaker.acquire()
    fail(breaker, 5)
    late.failed(retry_after=100)
    assert_open_for(breaker, 100)


class Model:
    """The rules once more: what happened is kept as plain facts, and the state is derived from them."""

    def __init__(self) -> None:
        self.era = 0
        self.failures = 0
        self.opened: tuple[float, float] | None = None
        self.probe_since: float | None = None
        self.bad_probes = 0

    def state(self) -> str:
        if self.opened is None:
            return "closed"
        return "open" if self.probe_since is None else "half_open"

    def wait(self, now: float) -> float:
        if self.opened is None:
            return 0.0
        since, seconds = self.opened if self.probe_since is None else (self.probe_since, PROBE_LIFE_SECONDS)
        return max(0.0, since + seconds - now)

    def may_ask(self, now: float) -> bool:
        return self.wait(now) == 0

    def asked(self, now: float) -> int:
        if self.opened is not None:
            self.probe_since = now
            self.era += 1
        return self.era

    def good(self, era: int) -> None:
        if era == self.era:
            self.failures = self.bad_probes = 0
            if self.opened is not None:
                self.era += 1
            self.opened = self.probe_since = None

    def bad(self, era: int, now: float, chance: float, told: float | None) -> None:
        told = None if told is None else min(told, 3600.0)
        if era != self.era:
            if self.state() == "open" and self.opened and told is not None:
                self.opened = (self.opened[0], max(self.opened[1], now + told - self.opened[0]))
            return
        self.failures += 1
        if self.probe_since is not None:
            self.bad_probes += 1
        own = min(40.0, 10.0 * 2**self.bad_probes) * (1 + chance) / 2
        if self.probe_since is not None or self.failures >= 3:
            self._open(now, own if told is None else max(own, told))
        elif told is not None:
            self._open(now, told)

    def _open(self, now: float, seconds: float) -> None:
        self.opened = (now, seconds)
        self.probe_since = None
        self.era += 1


class BreakerMachine(RuleBasedStateMachine):
    permits = Bundle[tuple[Permit, int]]("permits")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.chance = Chance()
        self.breaker = CircuitBreaker(
            runtime(self.clock, random=self.chance), failures=3, open_seconds=10.0, cap=40.0
        )
        self.model = Model()
        self.settled: set[Permit] = set()

    @precondition(lambda self: self.model.may_ask(self.clock.monotonic()))
    @rule(target=permits)
    def ask(self) -> tuple[Permit, int]:
        return self.breaker.acquire(), self.model.asked(self.clock.monotonic())

    @precondition(lambda self: not self.model.may_ask(self.clock.monotonic()))
    @rule()
    def ask_in_vain(self) -> None:
        with pytest.raises(BreakerOpen) as caught:
            self.breaker.acquire()
        assert caught.value.retry_after is not None
        assert caught.value.retry_after > 0

    # Late and double results come from permits that stay in the bundle.

    @rule(permit=permits)
    def succeed(self, permit: tuple[Permit, int]) -> None:
        permit[0].succeeded()
        if self._is_first(permit[0]):
            self.model.good(permit[1])

    @rule(permit=permits, chance=st.floats(0, 1), told=st.none() | st.sampled_from([0.0, 5.0, 50.0, 9999.0]))
    def fail(self, permit: tuple[Permit, int], chance: float, told: float | None) -> None:
        self.chance.next = chance
        permit[0].failed(told)
        if self._is_first(permit[0]):
            self.model.bad(permit[1], self.clock.monotonic(), chance, told)

    @rule(seconds=st.sampled_from([0.5, 5.0, 10.0, 40.0, 60.0, 3600.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def agree(self) -> None:
        state = self.breaker.state()
        assert (state.state, state.failures) == (self.model.state(), self.model.failures)
        assert state.retry_in == pytest.approx(self.model.wait(self.clock.monotonic()))

    def _is_first(self, permit: Permit) -> bool:
        first = permit not in self.settled
        self.settled.add(permit)
        return first


BreakerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_the_breaker_agrees_with_its_model: Any = BreakerMachine.TestCase


def test_while_nothing_can_be_served_the_next_probe_comes_soon(clock: FakeClock, chance: Chance) -> None:
    dark = False
    breaker = CircuitBreaker(runtime(clock, random=chance), urgent=lambda: dark)
    fail(breaker, 5)
    assert_open_for(breaker, 30)
    dark = True

    assert_open_for(breaker, URGENT_PROBE_EVERY_SECONDS)
    clock.advance(URGENT_PROBE_EVERY_SECONDS)
    fail(breaker)
    assert_open_for(breaker, URGENT_PROBE_EVERY_SECONDS)
    dark = False
    assert_open_for(breaker, 60)


def test_no_urgency_shortens_the_time_that_the_exchange_asked_for(clock: FakeClock, chance: Chance) -> None:
    breaker = CircuitBreaker(runtime(clock, random=chance), urgent=lambda: True)
    breaker.acquire().failed(45.0)

    assert_open_for(breaker, 45)
