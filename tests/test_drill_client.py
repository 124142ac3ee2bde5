"""tests.drill.followed and tests.drill.subscriber: what judges the Python client is shown clients that mislead their users."""

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ltp_service.client.testing import FakeService
from tests.deadline import DEADLINE
from tests.drill.followed import DEAD, deaths, followed, misled, recorded, too_old
from tests.drill.listener import CLOSED, OPENED, Told
from tests.drill.row import SHORT, Stage
from tests.drill.subscriber import Subscriber
from tests.drill.truth import never_waited
from tests.process.fleet import until

PAIR = "BTC/USD"
ALIVE = [0.0, 5.0, 10.0]
"""Moments of events."""


def ends(*moments: float, reason: str = "no event for 10 s") -> list[Told]:
    """A client that is told a price at 0.5 s, and calls the line dead at these moments."""
    closed = [Told(moment, 0, CLOSED, "", {"reason": reason}) for moment in moments]
    return [Told(0.5, 0, OPENED, "", {}), Told(0.5, 0, "price", "", {"pair": PAIR, "age_ms": "0"}), *closed]


def wrong(told: list[Told], stopped: float, excuse: float = 0.0) -> list[str]:
    return [one.why for one in misled(told, ALIVE, stopped, excuse, never_waited)]


def test_a_dead_line_has_to_be_called_dead_in_time() -> None:
    assert not wrong(ends(), 10 + DEAD - 0.1)
    assert not wrong(ends(20.1), 30)
    assert len(wrong(ends(), 30)) == 1
    assert len(wrong(ends(21.5), 30)) == 1
    assert not wrong(ends(21.5), 30, excuse=1.0)
    assert deaths(ends(20.1, 20.4), ALIVE, 30, 0.0, never_waited) == [pytest.approx(10.1)]


def test_a_line_that_lives_may_not_be_called_dead() -> None:
    assert len(wrong(ends(7.0), 8.0)) == 1
    assert not wrong(ends(7.0, reason="connection refused"), 8.0)
    assert len(wrong(ends(7.0, reason="the event price cannot be read: no number"), 8.0)) == 1


@pytest.mark.parametrize("told", [ends(20.1), ends()], ids=["ended", "not ended"])
def test_a_connection_ends_with_what_arrived_last(told: list[Told]) -> None:
    (line,) = followed(told, ALIVE)
    assert line.end == 10.0


def test_a_price_may_not_be_older_than_the_user_allows() -> None:
    told = [Told(0.5, 0, "price", "", {"pair": PAIR, "age_ms": age}) for age in ("2900", None, "3200")]
    assert len(too_old(told, 3.0)) == 1


def test_trades_are_judged_up_to_the_last_that_came() -> None:
    tape = {PAIR: [(float(number), number, Decimal(100 + number)) for number in range(1, 9)]}
    whole = [_trade(number) for number in (3, 4, 5, 6)]
    assert not recorded(whole, tape).wrong
    assert recorded(whole, tape).told == 4
    assert len(recorded([*whole[:2], *whole[3:]], tape).wrong) == 1


def _trade(number: int) -> Told:
    return Told(0.0, 0, "trade", "", {"pair": PAIR, "trade_id": str(number), "price": str(100 + number)})


def test_what_was_stopped_on_purpose_is_excused_as_a_whole() -> None:
    stage = Stage(SHORT, None, None, None)  # type: ignore[arg-type]  # nothing runs on it
    before = time.monotonic()
    with stage.stopped():
        time.sleep(0.05)
        assert stage.waited(before - 2.0, before - 1.0) == 0.0
        assert stage.waited(time.monotonic() - 0.001, time.monotonic()) >= 0.05
    assert stage.waited(time.monotonic(), time.monotonic() + 1.0) == 0.0


# The client itself, in its process.


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as running:
        running.set_price(PAIR, "100.10")
        yield running


def test_a_child_has_a_line_of_its_own_and_its_parent_goes_on(service: FakeService, tmp_path: Path) -> None:
    subscriber = Subscriber.start(int(service.url.rpartition(":")[2]), tmp_path / "told")
    try:
        until(lambda: len(subscriber.told()) > 1, DEADLINE, "a price")
        subscriber.fork()
        time.sleep(0.1)  # the signal is on its way
        service.trade(PAIR, "100.20")
        service.wait_for_streams(2, DEADLINE)
        service.set_price(PAIR, "100.30")
        child = tmp_path / "told.child"
        until(lambda: "100.30" in child.read_text(), DEADLINE, "a price for the child")
        until(lambda: "100.30" in (tmp_path / "told").read_text(), DEADLINE, "a price for the parent")
        parent, forked = subscriber.stop()
    finally:
        subscriber.kill()
    assert [each.name for each in parent].count(CLOSED) == 0
    assert ["forked" in each.data["reason"] for each in forked if each.name == CLOSED] == [True]
    assert _prices(parent)[0] == "100.10"


def _prices(told: list[Told]) -> list[Any]:
    return [each.data["price"] for each in told if each.name == "price"]
