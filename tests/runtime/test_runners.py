"""ltp_service.runtime.runners"""

import logging
import re
import threading
from threading import Event

import pytest

from ltp_service.runtime import runners as manager_module
from ltp_service.runtime.runners import CollectorManager
from tests.deadline import DEADLINE
from tests.fakes import FakeClock, eventually


class Waiting:
    """Runs until told to stop."""

    def __init__(self, name: str = "waiting") -> None:
        self.name = name
        self.started = threading.Event()
        self.ended = threading.Event()
        self.runs = 0

    def run(self, stop: Event) -> None:
        self.runs += 1
        self.started.set()
        stop.wait(DEADLINE)
        self.ended.set()


class Breaking(Waiting):
    """Has a bug that shows the first `times`."""

    def __init__(self, times: int) -> None:
        super().__init__("breaking")
        self.times = times

    def run(self, stop: Event) -> None:
        if self.times:
            self.times -= 1
            raise RuntimeError("a bug")
        super().run(stop)


class Stubborn(Waiting):
    """Does not listen to the order to stop."""

    def __init__(self) -> None:
        super().__init__("stubborn")
        self.let_go = threading.Event()

    def run(self, stop: Event) -> None:
        self.started.set()
        while not self.let_go.wait(0.01):
            pass


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager_module, "RESTART_AFTER_SECONDS", 0.01)


def test_every_runner_runs_once_until_it_is_told_to_stop() -> None:
    runners = (Waiting("a"), Waiting("b"))
    manager = CollectorManager(runners)
    manager.start()
    manager.start()

    assert all(runner.started.wait(DEADLINE) for runner in runners)
    assert all(state.alive for state in manager.states())
    assert manager.stop(5.0)
    assert all(runner.ended.is_set() and runner.runs == 1 for runner in runners)
    assert not any(state.alive for state in manager.states())


def test_nothing_runs_before_the_start() -> None:
    runner = Waiting()
    manager = CollectorManager((runner,))

    assert [(state.name, state.alive) for state in manager.states()] == [("waiting", False)]
    assert not runner.started.is_set()
    assert manager.stop(1.0)


def test_a_bug_in_a_runner_does_not_end_it_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    runner = Breaking(times=3)
    manager = CollectorManager((runner, Waiting()))
    with caplog.at_level(logging.ERROR):
        manager.start()
        assert runner.started.wait(DEADLINE)
    (state, other) = manager.states()

    assert (state.restarts, state.last_error, state.alive) == (3, "RuntimeError: a bug", True)
    assert (other.restarts, other.last_error) == (0, None)
    assert sum("breaking broke" in record.message for record in caplog.records) == 3
    assert manager.stop(5.0)


def test_a_runner_that_ran_for_long_has_a_fresh_start(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()

    class Settling(Breaking):
        def run(self, stop: Event) -> None:
            if self.times == 1:
                clock.advance(2 * manager_module.LONGEST_RESTART_SECONDS)
            super().run(stop)

    runner = Settling(times=4)
    manager = CollectorManager((runner,), clock.monotonic)
    manager.start()
    assert runner.started.wait(DEADLINE)

    delays = [re.findall(r"in (\S+) s", record.message) for record in caplog.records]
    assert delays == [["0.01"], ["0.02"], ["0.04"], ["0.01"]]
    assert manager.stop(5.0)


def test_a_runner_that_does_not_end_is_named_and_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    stubborn = Stubborn()
    manager = CollectorManager((stubborn,))
    manager.start()
    assert stubborn.started.wait(DEADLINE)
    with caplog.at_level(logging.INFO):
        assert not manager.stop(0.05)

    assert "still running: stubborn" in caplog.text
    stubborn.let_go.set()
    eventually(lambda: not manager.states()[0].alive)
