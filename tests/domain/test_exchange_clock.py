"""ltp_service.domain.exchange_clock: to a fraction of a second, whatever this machine's clock shows."""

import pytest

from ltp_service.domain.exchange_clock import CLOCK_TOLERANCE_SECONDS, ExchangeClock
from tests.fakes import NOON


def age(clock: ExchangeClock, told: float, now: float) -> float:
    """Rounded, because what is known sinks a little."""
    seconds = clock.age(NOON + told, now)
    assert seconds is not None
    return round(seconds, 2)


@pytest.fixture
def clock() -> ExchangeClock:
    """One that knows by two messages that it was noon at 0 s."""
    clock = ExchangeClock()
    assert clock.heard(NOON, 0.0) is not None
    assert clock.heard(NOON + 1, 1.0) is not None
    return clock


def test_nothing_is_known_before_the_exchange_tells_something_of_its_own_moment() -> None:
    clock = ExchangeClock()
    assert clock.age(NOON, 0.0) is None
    assert clock.happened(NOON - 1800, 0.0)
    assert clock.age(NOON, 0.0) is None
    assert clock.heard(NOON, 0.0) is not None
    assert age(clock, -5, 0.0) == 5.0


def test_a_message_that_was_under_way_for_less_than_those_before_is_nearer(clock: ExchangeClock) -> None:
    assert clock.heard(NOON + 2.2, 2.0) is not None
    assert age(clock, 2.2, 2.0) == 0.0
    assert age(clock, 3, 4.0) == 1.2


def test_a_late_message_changes_nothing_and_shows_how_late_it_is(clock: ExchangeClock) -> None:
    for second in range(2, 60):
        assert clock.heard(NOON + second - 8, second) is not None
    assert age(clock, 51, 59.0) == pytest.approx(8.0, abs=0.01)


def test_one_trade_some_seconds_ahead_is_believed_and_makes_no_other_late(clock: ExchangeClock) -> None:
    assert clock.heard(NOON + 2 + 4.5, 2.0) is not None
    assert clock.heard(NOON + 3, 3.0) is not None
    assert age(clock, 3, 3.0) == 0.0


def test_a_time_in_the_future_is_refused_and_a_second_that_agrees_is_believed(clock: ExchangeClock) -> None:
    assert clock.heard(NOON + 3602, 2.0) is None
    assert clock.heard(NOON + 3, 3.0) is not None
    assert clock.heard(NOON + 3604, 4.0) is None
    assert clock.heard(NOON + 7205, 5.0) is None
    assert clock.heard(NOON + 7206, 6.0) is not None
    assert age(clock, 7206, 6.0) == 0.0


def test_of_two_futures_that_agree_the_lower_one_is_believed(clock: ExchangeClock) -> None:
    assert clock.heard(NOON + 3604, 2.0) is None
    assert clock.heard(NOON + 3603, 3.0) is not None
    assert age(clock, 3603, 3.0) == 0.0


def test_a_future_that_two_agreed_on_is_given_up_when_two_others_disagree(clock: ExchangeClock) -> None:
    assert clock.heard(NOON + 3602, 2.0) is None
    assert clock.heard(NOON + 3603, 3.0) is not None
    assert clock.heard(NOON + 4, 4.0) is not None
    assert age(clock, 4, 4.0) == 3600
    assert clock.heard(NOON + 5, 5.0) is not None
    assert age(clock, 5, 5.0) == 0.0


def test_an_answer_is_no_older_than_its_question() -> None:
    clock = ExchangeClock()
    clock.answered(NOON + 0.1, 0.0, 7.0)
    assert clock.heard(NOON + 7, 7.0) is not None
    assert clock.heard(NOON + 7 + 7 + CLOCK_TOLERANCE_SECONDS + 0.2, 7.0) is None


def test_an_answer_that_waited_less_leaves_less_unsure() -> None:
    clock = ExchangeClock()
    clock.answered(NOON + 0.1, 0.0, 7.0)
    clock.answered(NOON + 6, 0.0, 7.0)
    assert clock.heard(NOON + 12, 7.0) is not None
    assert clock.heard(NOON + 12.3 + CLOCK_TOLERANCE_SECONDS, 7.0) is None


def test_answers_that_are_ten_seconds_behind_refuse_one_trade_and_no_second() -> None:
    clock = ExchangeClock()
    clock.answered(NOON - 10, 0.0, 0.1)
    assert clock.heard(NOON + 1, 1.0) is None
    assert clock.heard(NOON + 2, 2.0) is not None
    assert age(clock, 2, 2.0) == 0.0


def test_a_trade_that_rest_tells_agrees_with_the_one_refused() -> None:
    clock = ExchangeClock()
    clock.answered(NOON - 10, 0.0, 0.1)
    assert clock.heard(NOON + 1, 1.0) is None
    assert clock.happened(NOON + 1, 2.5)
    assert clock.heard(NOON + 3, 3.0) is not None


def test_where_trades_made_the_clock_known_one_that_rest_tells_agrees_with_none_that_was_refused(
    clock: ExchangeClock,
) -> None:
    assert clock.heard(NOON + 3602, 2.0) is None
    assert not clock.happened(NOON + 3602, 3.0)
    assert clock.happened(NOON + 3603, 3.5)


def test_messages_that_arrive_together_do_not_agree_with_each_other(clock: ExchangeClock) -> None:
    assert clock.heard(NOON + 3602, 2.0) is None
    assert clock.heard(NOON + 3601, 2.0) is None


def test_a_time_of_a_ticker_is_cut_to_now_and_one_of_the_future_is_refused(clock: ExchangeClock) -> None:
    assert clock.no_later(NOON + 1, 1.5) == NOON + 1
    assert clock.no_later(NOON + 5, 1.0) == pytest.approx(NOON + 1, abs=0.01)
    assert clock.no_later(NOON + 7, 1.0) is None


def test_what_is_told_twice_of_one_trade_agrees_with_nothing(clock: ExchangeClock) -> None:
    assert clock.heard(NOON + 3602, 2.0) is None
    assert clock.heard(NOON + 3602, 3.0) is None
    assert not clock.happened(NOON + 9000, 4.0)
    assert not clock.happened(NOON + 9000, 6.0)
    assert age(clock, 6, 6.0) == 0.0


def test_a_new_connections_answer_sets_a_clock_right_that_was_too_high(clock: ExchangeClock) -> None:
    clock.answered(NOON - 3600 + 9, 9.0, 9.1)
    assert age(clock, -3600 + 9, 9.1) == pytest.approx(0.1, abs=0.11)
    clock.answered(NOON + 10, 9.0, 10.0)
    clock.answered(NOON + 9, 9.0, 11.0)
    assert age(clock, 11, 11.0) == 0.0


def test_what_happened_long_ago_says_only_that_it_is_no_earlier(clock: ExchangeClock) -> None:
    assert clock.happened(NOON - 1800, 2.0)
    assert clock.happened(NOON + 2.1, 2.0)
    assert age(clock, 3.1, 3.0) == 0.0
    assert age(clock, 3, 3.0) == pytest.approx(0.1, abs=0.01)
    assert not clock.happened(NOON + 3600, 4.0)


def test_a_monotonic_clock_that_runs_fast_makes_nothing_late(clock: ExchangeClock) -> None:
    for minute in range(1, 24 * 60):
        local = 60 * minute * 1.00009
        assert clock.heard(NOON + 60 * minute, local) is not None
        assert age(clock, 60 * minute, local) <= 0.01


@pytest.mark.parametrize("ahead", [2.0, 4.5, 40.0])
def test_two_trades_stamped_ahead_make_the_others_late_for_a_moment_alone(ahead: float) -> None:
    clock = ExchangeClock()
    for second in (0.0, 1.0, 2.0, 3.0, 4.0):
        clock.heard(NOON + second, 100.0 + second)
    for second in (5.0, 5.1):
        clock.heard(NOON + second + ahead, 100.0 + second)
    ages = [clock.heard(NOON + second, 100.0 + second) for second in range(6, 12)]

    assert all(age is not None and age < 0.1 for age in ages[2:])


@pytest.mark.parametrize("ahead", [2.0, 4.5, 40.0, 3600.0])
def test_one_answer_that_is_ahead_makes_no_trade_late(clock: ExchangeClock, ahead: float) -> None:
    clock.answered(NOON + 1.5 + ahead, 0.0, 1.5)
    ages = [clock.heard(NOON + second, second) for second in range(2, 60)]

    assert all(age is not None and age < 0.1 for age in ages)


@pytest.mark.parametrize("ahead", [2.0, 4.5, 40.0])
def test_two_answers_that_are_ahead_make_trades_late_for_a_moment_alone(
    clock: ExchangeClock, ahead: float
) -> None:
    for second in (1.5, 1.6):
        clock.answered(NOON + second + ahead, 0.0, second)
    ages = [clock.heard(NOON + second, second) for second in range(2, 6)]

    assert ages[0] == pytest.approx(ahead, abs=0.01)
    assert ages[3] is not None
    assert ages[3] < 0.1


@pytest.mark.parametrize("ahead", [4.0, 40.0])
def test_trades_give_up_a_first_answer_that_was_ahead_of_the_next(ahead: float) -> None:
    clock = ExchangeClock()
    clock.answered(NOON + ahead, 0.0, 0.1)
    clock.answered(NOON + 0.1, 0.0, 0.2)
    ages = [clock.heard(NOON + second, second) for second in range(1, 5)]

    assert ages[3] is not None
    assert ages[3] < 0.2


def test_trades_that_agree_are_late_all_the_same_where_two_answers_told_the_clock() -> None:
    clock = ExchangeClock()
    clock.answered(NOON + 0.05, 0.0, 0.1)
    clock.answered(NOON + 0.1, 0.0, 0.2)
    ages = [clock.heard(NOON + second - 8, second) for second in range(1, 60)]

    assert all(age is not None and 8.0 <= age < 8.2 for age in ages)


def test_no_age_is_too_small_where_the_answer_itself_came_late() -> None:
    clock = ExchangeClock()
    for waited in (8.05, 8.06):
        clock.answered(NOON + waited - 8, 0.0, waited)
    late = [clock.heard(NOON + second - 8, second) for second in range(9, 60)]
    assert all(age is not None and 8.0 <= age < 8.1 for age in late)
    assert age(clock, 60 - 8, 60.0) >= 8.0

    assert clock.heard(NOON + 60, 60.0) == pytest.approx(0.05, abs=0.01)
    assert clock.heard(NOON + 61 - 8, 61.0) == pytest.approx(8.05, abs=0.01)


def test_the_answer_to_a_new_connection_shows_that_the_one_before_was_written_late() -> None:
    clock = ExchangeClock()
    clock.answered(NOON + 7, 0.0, 7.0)
    assert clock.heard(NOON + 8, 8.0) == pytest.approx(7.0, abs=0.01)
    clock.answered(NOON + 20.05, 20.0, 20.1)
    assert clock.heard(NOON + 21, 21.0) == pytest.approx(0.05, abs=0.01)


def test_a_step_ahead_that_is_taken_back_leaves_the_clock_as_unsure_as_before() -> None:
    clock = ExchangeClock()
    clock.answered(NOON + 0.05, 0.0, 8.05)
    for second in (9, 10):
        clock.heard(NOON + second + 40, second)
    ages = [clock.heard(NOON + second - 8, second) for second in range(11, 20)]

    assert all(age is not None and age >= 8.0 for age in ages)


def test_what_the_clock_shows_at_least_is_no_later_than_what_was_told() -> None:
    clock = ExchangeClock()
    assert clock.least(0.0) is None
    clock.answered(NOON + 0.05, 0.0, 8.05)
    assert clock.least(8.05) == NOON + 0.05
