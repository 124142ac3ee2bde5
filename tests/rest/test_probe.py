"""Who is asked about, and when."""

import pytest

from ltp_service.rest.probe import SHORTEST_SILENCE_SECONDS, Probe
from tests.fakes import BTC, ETH


def traded_every(probe: Probe, pause: float, times: int) -> float:
    """BTC trades that often; the moment of the last trade."""
    for number in range(times):
        probe.heard(BTC, number * pause)
    return (times - 1) * pause


@pytest.mark.parametrize(
    ("pause", "times", "patience"), [(1.0, 20, 10.0), (8.0, 20, 80.0), (3600.0, 5, 120.0)]
)
def test_a_pair_is_given_ten_of_its_usual_pauses_in_bounds(pause: float, times: int, patience: float) -> None:
    probe = Probe()
    last = traded_every(probe, pause, times)

    assert probe.due([BTC], last + patience - 0.1) == []
    assert probe.due([BTC], last + patience + 0.1) == [BTC]


def test_a_pair_that_was_never_heard_is_asked_about_after_two_minutes() -> None:
    probe = Probe()

    assert probe.due([ETH], 0.0) == []
    assert probe.due([ETH], 121.0) == [ETH]


def test_the_same_trade_told_again_says_nothing_about_the_rhythm() -> None:
    probe = Probe()
    last = traded_every(probe, 1.0, 20)
    for _ in range(100):
        probe.heard(BTC, last)

    assert probe.due([BTC], last + 10.1) == [BTC]


def test_after_an_answer_the_same_silence_has_to_pass_again() -> None:
    probe = Probe()
    last = traded_every(probe, 1.0, 20)
    probe.asked([BTC], last + 10.1)

    assert probe.due([BTC], last + 19.0) == []
    assert probe.due([BTC], last + 20.2) == [BTC]


def test_after_a_deafness_even_a_slow_pair_is_asked_about_again_soon() -> None:
    probe = Probe()
    last = traded_every(probe, 60.0, 5)
    probe.suspect(BTC, last)

    assert probe.due([BTC], last + SHORTEST_SILENCE_SECONDS - 0.1) == []
    assert probe.due([BTC], last + SHORTEST_SILENCE_SECONDS) == [BTC]


def test_a_pair_that_was_deaf_is_asked_about_as_often_until_more_than_its_snapshot_was_told() -> None:
    probe = Probe()
    last = traded_every(probe, 60.0, 5)
    probe.suspect(BTC, last)
    probe.heard(BTC, last + 1)  # the snapshot
    for at in (last + 11, last + 21):
        assert probe.due([BTC], at) == [BTC]
        probe.asked([BTC], at)
    probe.heard(BTC, last + 61)

    assert probe.due([BTC], last + 161) == []


@pytest.mark.parametrize("why", ["deaf", "cut"])
def test_a_pause_in_which_trades_are_missing_is_no_habit(why: str) -> None:
    probe = Probe()
    last = traded_every(probe, 1.0, 20)
    probe.suspect(BTC, last + 50) if why == "deaf" else probe.interrupted()
    probe.heard(BTC, last + 51)
    probe.heard(BTC, last + 52)

    assert probe.due([BTC], last + 52 + 10.1) == [BTC]
