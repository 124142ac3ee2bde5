"""ltp_service.runtime.clock"""

import time

import pytest

from ltp_service.runtime.clock import SystemClock


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
