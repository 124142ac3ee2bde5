"""ltp_service.runtime.runtime"""

import time

import pytest

from ltp_service.runtime.runtime import Runtime


def test_a_sleep_that_was_patched_after_the_import_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    Runtime().sleep(0.25)
    assert slept == [0.25]


def test_the_default_chance_is_a_share_of_one() -> None:
    assert all(0.0 <= Runtime().random() < 1.0 for _ in range(100))
