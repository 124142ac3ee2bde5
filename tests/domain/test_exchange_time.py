"""ltp_service.domain.exchange_time: learnt from what an exchange sends, whatever this machine's clock shows."""

import pytest

from ltp_service.domain.exchange_time import ExchangeTime
from tests.fakes import NOON


def learnt(*told: tuple[float, float]) -> float | None:
    """The exchange's time after noon at 100 s, from pairs of (seconds after noon, monotonic seconds)."""
    time = ExchangeTime()
    for seconds, now in told:
        time.learn(NOON + seconds, now)
    at = time.at(100.0)
    return None if at is None else at - NOON


def test_nothing_is_known_before_the_exchange_tells_it() -> None:
    assert learnt() is None


def test_it_goes_on_from_what_was_told() -> None:
    assert learnt((5.0, 90.0)) == pytest.approx(15.0)


def test_what_was_under_way_for_the_shortest_time_is_nearest() -> None:
    assert learnt((5.0, 90.0), (5.5, 90.2), (5.6, 91.0)) == pytest.approx(15.3)


def test_one_time_far_ahead_is_not_believed_and_two_that_agree_are() -> None:
    assert learnt((0.0, 50.0), (1.0, 51.0), (3601.0, 51.0), (2.0, 52.0)) == pytest.approx(50.0)
    assert learnt((0.0, 50.0), (1.0, 51.0), (3601.0, 51.0), (3602.0, 52.0)) == pytest.approx(3650.0)


def test_two_times_far_ahead_that_disagree_are_not_believed() -> None:
    assert learnt((0.0, 50.0), (1.0, 51.0), (3601.0, 51.0), (7602.0, 52.0)) == pytest.approx(50.0)


def test_what_is_told_late_moves_nothing_until_there_is_nothing_else() -> None:
    late = [(-300.0 + second, 52.0 + second) for second in range(9)]
    assert learnt((0.0, 50.0), (1.0, 51.0), *late) == pytest.approx(50.0)
    assert learnt((0.0, 50.0), (1.0, 51.0), *late, (-291.0, 61.0)) == pytest.approx(-252.0)


def test_a_first_time_that_two_contradict_is_given_up() -> None:
    assert learnt((1e9, 50.0), (1.0, 51.0), (2.0, 52.0)) == pytest.approx(50.0)
    assert learnt((0.0, 50.0), (-7200.0, 51.0)) == pytest.approx(50.0)


def test_after_a_pause_of_this_machine_the_next_time_counts_as_the_first() -> None:
    time = ExchangeTime()
    for second in range(3):
        time.learn(NOON + second, 50.0 + second)
    time.begin()
    assert time.at(53.0) == NOON + 3
    time.learn(NOON + 7200.0, 54.0)
    assert time.at(54.0) == NOON + 7200.0


def test_each_time_is_told_how_far_it_lies_ahead_of_what_is_known() -> None:
    time = ExchangeTime()
    ahead = [time.learn(NOON + seconds, 50.0) for seconds in (0.0, 0.5, 0.25, 3600.0, -100.0)]

    assert ahead == [0.0, 0.0, -0.25, 3599.5, -100.5]


def test_one_time_a_little_ahead_is_not_believed_and_does_not_stay() -> None:
    assert learnt((0.0, 50.0), (1.0, 51.0), (47.0, 52.0), (3.0, 53.0)) == pytest.approx(50.0)
    assert learnt((0.0, 50.0), (1.9, 50.0)) == pytest.approx(51.9)


def test_a_clock_that_two_took_ahead_comes_back_when_all_are_later_than_anything_can_be() -> None:
    time = ExchangeTime(latest=20.0)
    for told, now in (
        (0.0, 50.0),
        (46.0, 51.0),
        (47.0, 52.0),
        *((float(second), 50.0 + second) for second in range(3, 13)),
    ):
        time.learn(NOON + told, now)

    assert time.at(62.0) == NOON + 12.0
