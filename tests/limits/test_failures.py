from ltp_service.limits.failures import FailureBudget
from tests.fakes import FakeClock


def fail(budget: FailureBudget, address: str, times: int) -> None:
    for _ in range(times):
        budget.failed(address)


def test_nine_failures_are_forgiven_and_the_tenth_closes_the_door(clock: FakeClock) -> None:
    budget = FailureBudget(clock.monotonic)
    fail(budget, "203.0.113.9", 9)
    assert budget.check("203.0.113.9") is None
    fail(budget, "203.0.113.9", 1)
    assert budget.check("203.0.113.9") == 60


def test_failures_that_were_already_under_way_leave_the_door_closed(clock: FakeClock) -> None:
    budget = FailureBudget(clock.monotonic)
    fail(budget, "203.0.113.9", 12)
    assert budget.check("203.0.113.9") == 60


def test_the_door_opens_a_minute_after_the_first_of_the_ten(clock: FakeClock) -> None:
    budget = FailureBudget(clock.monotonic)
    fail(budget, "203.0.113.9", 1)
    clock.advance(45)
    fail(budget, "203.0.113.9", 9)
    assert budget.check("203.0.113.9") == 15
    clock.advance(14.5)
    assert budget.check("203.0.113.9") == 1
    clock.advance(0.5)
    assert budget.check("203.0.113.9") is None


def test_failures_that_are_spread_wider_than_the_window_never_close_the_door(clock: FakeClock) -> None:
    budget = FailureBudget(clock.monotonic)
    for _ in range(50):
        fail(budget, "203.0.113.9", 1)
        assert budget.check("203.0.113.9") is None
        clock.advance(7)  # nine of them in any minute


def test_one_guesser_does_not_shut_out_another_address(clock: FakeClock) -> None:
    budget = FailureBudget(clock.monotonic)
    fail(budget, "203.0.113.9", 10)
    assert budget.check("203.0.113.10") is None


def test_a_flood_of_guessers_takes_bounded_memory_and_the_oldest_leaves_first(clock: FakeClock) -> None:
    budget = FailureBudget(clock.monotonic, limit=1, max_addresses=3)
    for address in "abcd":
        budget.failed(address)
    assert [budget.check(address) is None for address in "abcd"] == [True, False, False, False]
