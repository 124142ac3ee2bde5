"""ltp_service.runtime.once_a_minute"""

import json
import logging

import pytest

from ltp_service.runtime.logs import JsonFormatter
from ltp_service.runtime.once_a_minute import HOLD_BACK_SECONDS, OnceAMinute
from tests.fakes import FakeClock
from tests.runtime.test_logs import record


def test_the_same_complaint_is_held_back_for_a_minute_and_then_counted() -> None:
    clock = FakeClock()
    once = OnceAMinute(clock.monotonic)
    first, repeated, other = (record(once_a_minute=key) for key in ("a", "a", "b"))

    assert once.filter(first)
    assert not once.filter(repeated)
    assert not once.filter(repeated)
    assert once.filter(other)
    clock.advance(HOLD_BACK_SECONDS)
    later = record(once_a_minute="a")
    assert once.filter(later)
    assert json.loads(JsonFormatter().format(later))["fields"]["held_back"] == 2


def test_the_first_complaint_of_a_machine_that_just_booted_is_not_held_back() -> None:
    assert OnceAMinute(lambda: 1.0).filter(record(once_a_minute="a"))


def test_lines_without_a_key_are_never_held_back() -> None:
    once = OnceAMinute(FakeClock().monotonic)

    assert all(once.filter(record()) for _ in range(3))


def test_a_program_with_handlers_of_its_own_hears_a_complaint_once(caplog: pytest.LogCaptureFixture) -> None:
    once, mine, other = OnceAMinute(FakeClock().monotonic), "a_package.a_module", "a_package_beside.it"

    def complain() -> list[str]:
        caplog.clear()
        for name in (mine, mine, other, other):
            logging.getLogger(name).warning("away", extra={"once_a_minute": "away"})
        return [line.name for line in caplog.records]

    complain()  # the loggers exist
    once.attach("a_package")
    assert complain() == [mine, other, other]
    once.detach("a_package")
    assert complain() == [mine, mine, other, other]
