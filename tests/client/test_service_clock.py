"""The service's clock as one line shows it; `told` is unix seconds, all else the client's own steady clock."""

import pytest

from ltp_service.client.service_clock import DRIFT_PER_SECOND, ServiceClock

TOLD = 1_000_000.0


def proven_clock() -> ServiceClock:
    """The service's clock is TOLD ahead of ours; its first answer took half a second each way."""
    clock = ServiceClock(TOLD + 0.5, asked_at=0.0, now=1.0)
    clock.prove()
    return clock


def test_an_answer_was_written_no_earlier_than_it_was_asked_for() -> None:
    clock = ServiceClock(TOLD + 0.5, asked_at=0.0, now=1.0)
    assert clock.sent_at(TOLD + 0.5, 1.0) == pytest.approx(0)


def test_the_event_that_came_fastest_tells_the_clock() -> None:
    clock = proven_clock()
    assert clock.sent_at(TOLD + 2, 2.0) == pytest.approx(2)
    assert clock.sent_at(TOLD + 3, 6.0) == pytest.approx(3, abs=0.001)


def test_a_clock_that_goes_slower_than_ours_makes_no_event_late() -> None:
    clock = proven_clock()
    behind = [
        now - clock.sent_at(TOLD + now * (1 - DRIFT_PER_SECOND / 2), now) for now in range(5, 20_000, 5)
    ]
    assert max(behind) == pytest.approx(0, abs=0.5)
    assert behind[-1] == pytest.approx(0)
