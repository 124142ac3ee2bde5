"""Many callers, few calls."""

import threading

import pytest

from ltp_service.domain.errors import Unreachable
from ltp_service.rest.single_flight import SingleFlight
from tests.deadline import DEADLINE as PATIENCE
from tests.fakes import eventually, fails, runtime
from tests.steered_clock import SteeredClock

BUDGET = 3.0

Items = frozenset[str]


class Source:
    """What is asked: keeps the questions and waits at its gate with each, if it is told to."""

    def __init__(self, clock: SteeredClock) -> None:
        self._clock = clock
        self._begun = clock.monotonic()
        self.asked: list[Items] = []
        self.times: list[float] = []
        self.budgets: list[float] = []
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()
        self.error: BaseException | None = None

    def __call__(self, items: Items, budget: float) -> list[str]:
        self.asked.append(items)
        self.budgets.append(budget)
        self.times.append(self._clock.monotonic() - self._begun)
        self.reached.set()
        assert self.gate.wait(PATIENCE)
        if self.error:
            raise self.error
        return sorted(items)


class Caller(threading.Thread):
    """Asks on a thread of its own; `result` or `error` is set when it is through."""

    def __init__(self, flights: SingleFlight[str, list[str]], *items: str) -> None:
        super().__init__(daemon=True)
        self._flights = flights
        self._items = frozenset(items)
        self.result: list[str] | None = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._flights.get(self._items)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def end(self) -> None:
        self.join(PATIENCE)
        assert not self.is_alive()


@pytest.fixture
def source(clock: SteeredClock) -> Source:
    return Source(clock)


@pytest.fixture
def flights(source: Source, clock: SteeredClock) -> SingleFlight[str, list[str]]:
    return SingleFlight(source, runtime(clock), budget=BUDGET)


Flights = SingleFlight[str, list[str]]


def held(flights: Flights, source: Source, *items: str) -> Caller:
    """A caller whose call is under way until the gate opens."""
    source.gate.clear()
    source.reached.clear()
    caller = Caller(flights, *items)
    assert source.reached.wait(PATIENCE)
    return caller


def test_callers_at_the_same_time_share_one_call(flights: Flights, source: Source) -> None:
    first = held(flights, source, "a", "b")
    others = [Caller(flights, "a"), Caller(flights, "b"), Caller(flights, "a", "b")]
    source.gate.set()
    for caller in (first, *others):
        caller.end()
        assert caller.result == ["a", "b"]
    assert source.asked == [{"a", "b"}]


def test_what_a_call_leaves_out_is_asked_next(flights: Flights, source: Source, clock: SteeredClock) -> None:
    first = held(flights, source, "a")
    others = [Caller(flights, "b"), Caller(flights, "a", "c")]
    eventually(lambda: boarding(flights) == frozenset("abc"))
    source.gate.set()
    for caller in (first, *others):
        caller.end()
    assert source.asked == [{"a"}, {"a", "b", "c"}]
    assert source.times == [0.0, 1.0]
    assert others[0].result == ["a", "b", "c"]


def boarding(flights: Flights) -> Items | None:
    flight = vars(flights)["_next"]
    return flight.items if flight else None


def test_the_last_result_answers_for_a_second(flights: Flights, source: Source, clock: SteeredClock) -> None:
    flights.get({"a", "b"})
    clock.advance(0.9)
    assert flights.get({"b"}) == ["a", "b"]
    assert len(source.asked) == 1
    clock.advance(0.2)
    flights.get({"b"})
    assert source.asked == [{"a", "b"}, {"b"}]


def test_calls_keep_a_second_of_distance(flights: Flights, source: Source, clock: SteeredClock) -> None:
    for item in "abc":
        flights.get({item})
    assert source.times == [0.0, 1.0, 2.0]


def test_the_pause_runs_from_the_end_of_a_call(flights: Flights, source: Source, clock: SteeredClock) -> None:
    first = held(flights, source, "a")
    clock.advance(10.0)
    source.gate.set()
    first.end()
    flights.get({"b"})
    assert source.times == [0.0, 11.0]


def test_nobody_sleeps_when_the_last_call_is_long_ago(flights: Flights, clock: SteeredClock) -> None:
    flights.get({"a"})
    clock.advance(100)
    flights.get({"b"})
    assert clock.slept == []


def test_an_error_is_for_all_and_a_pause(flights: Flights, source: Source, clock: SteeredClock) -> None:
    first = held(flights, source, "a")
    second = Caller(flights, "a")
    source.error = Unreachable("down", reason="network")
    source.gate.set()
    for caller in (first, second):
        caller.end()
        assert caller.error is source.error
    with pytest.raises(Unreachable):
        flights.get({"a"})
    assert len(source.asked) == 1
    source.error = None
    assert flights.get({"b"}) == ["b"]
    assert source.times == [0.0, 1.0]


def test_an_error_keeps_nothing_of_those_who_were_told_it(flights: Flights, source: Source) -> None:
    source.error = Unreachable("down", reason="refused")
    depths = [traceback_depth(flights) for _ in range(20)]

    assert max(depths[1:]) == depths[1]


def traceback_depth(flights: Flights) -> int:
    with pytest.raises(Unreachable) as caught:
        flights.get(frozenset("a"))
    return len(caught.traceback)


def test_a_caller_ended_during_its_call_frees_those_who_wait(flights: Flights, source: Source) -> None:
    first = held(flights, source, "a")
    second = Caller(flights, "a")
    eventually(second.is_alive)
    source.error = SystemExit()
    source.gate.set()
    first.end()
    second.end()
    assert isinstance(first.error, SystemExit)
    assert isinstance(second.error, Unreachable)
    source.error = None
    assert flights.get({"b"}) == ["b"]


def test_a_caller_ended_before_its_turn_frees_those_who_wait(source: Source, clock: SteeredClock) -> None:
    asleep, end = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        asleep.set()
        assert end.wait(PATIENCE)
        raise SystemExit

    flights: Flights = SingleFlight(source, runtime(clock, sleep=sleep), budget=BUDGET)
    flights.get({"a"})
    first = Caller(flights, "b")
    assert asleep.wait(PATIENCE)
    second = Caller(flights, "c")
    eventually(lambda: boarding(flights) == frozenset("bc"))
    end.set()
    first.end()
    second.end()
    assert isinstance(second.error, Unreachable)
    clock.advance(10)
    assert flights.get({"d"}) == ["d"]


def test_a_hundred_callers_make_one_call_per_second(source: Source, clock: SteeredClock) -> None:
    # Time for all of their calls: a caller whose thread is slow to begin finds the clock moved on by those before.
    flights: Flights = SingleFlight(source, runtime(clock), budget=200.0)
    callers = [Caller(flights, f"{number % 7}") for number in range(100)]
    for caller in callers:
        caller.end()
        assert caller.result
    assert all(later - earlier >= 1.0 for earlier, later in zip(source.times, source.times[1:], strict=False))


# No request waits for longer than for one call and the pause before it.


@pytest.fixture
def hasty(source: Source, clock: SteeredClock) -> Flights:
    """A hundredth of a second is all that its callers have."""
    return SingleFlight(source, runtime(clock), budget=0.01, interval=0.0)


@pytest.mark.parametrize("item", ["a", "b"], ids=["asked for", "not asked for"])
def test_a_hanging_call_holds_nobody_beyond_the_deadline(hasty: Flights, source: Source, item: str) -> None:
    first = held(hasty, source, "a")
    with fails("timeout"):
        hasty.get({item})
    source.gate.set()
    first.end()
    assert first.result == ["a"]
    assert source.asked == [{"a"}]


def test_who_gave_up_leaves_the_way_free(hasty: Flights, source: Source) -> None:
    first = held(hasty, source, "a")
    with pytest.raises(Unreachable):
        hasty.get({"b"})
    source.gate.set()
    first.end()
    assert hasty.get({"b"}) == ["b"]


def waited_for(seconds: float, flights: Flights, source: Source, clock: SteeredClock) -> Caller:
    """A caller who had to wait for that long until another call ended, and is through."""
    first = held(flights, source, "a")
    second = Caller(flights, "b")
    eventually(lambda: boarding(flights) == frozenset("b"))
    clock.advance(seconds)
    source.gate.set()
    first.end()
    second.end()
    return second


def test_a_call_has_what_is_left_of_the_time(flights: Flights, source: Source, clock: SteeredClock) -> None:
    assert waited_for(1.0, flights, source, clock).result == ["b"]
    assert source.budgets == [BUDGET, BUDGET - 1.0]


def test_no_call_is_made_without_enough_time(flights: Flights, source: Source, clock: SteeredClock) -> None:
    refused = waited_for(BUDGET / 2 + 0.1, flights, source, clock).error
    assert isinstance(refused, Unreachable)
    assert refused.reason == "timeout"
    assert source.asked == [{"a"}]
    assert clock.slept == []
