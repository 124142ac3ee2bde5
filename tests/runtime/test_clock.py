"""ltp_service.runtime.clock"""

import resource
import time

import gevent
import pytest

from ltp_service.runtime.clock import SHORTEST_SLEEP, SystemClock


def test_the_monotonic_clock_never_goes_back() -> None:
    monotonic = SystemClock().monotonic
    moments = [monotonic() for _ in range(1000)]

    assert moments == sorted(moments)


def test_the_wall_clock_shows_unix_seconds() -> None:
    assert abs(SystemClock().wall() - time.time()) < 1


def test_the_monotonic_clock_counts_the_time_that_the_machine_slept() -> None:
    assert abs(SystemClock().monotonic() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1


def test_where_no_clock_counts_sleep_the_ordinary_one_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")

    assert SystemClock().monotonic is time.monotonic


def test_in_the_shortest_sleep_the_thread_never_gives_the_processor_away() -> None:
    def given_away() -> int:
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw

    before = given_away()
    for _ in range(1000):
        gevent.sleep(0)  # what follows is the last that gevent runs before it looks at its sockets
        gevent.sleep(SHORTEST_SLEEP)

    assert given_away() - before < 100
