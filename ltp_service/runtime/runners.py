"""Starts, watches and stops the runners: everything that runs beside the requests."""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Protocol

import msgspec

from ltp_service.runtime.spawn import Task, abandon, spawn

log = logging.getLogger(__name__)

RESTART_AFTER_SECONDS, LONGEST_RESTART_SECONDS = 1.0, 60.0
"""Seconds before a broken runner is run again. They double with each failure, because the runner may connect to an
exchange, and start anew when it has run for longer than the second value."""


class Runner(Protocol):
    """Something that runs until it is told to stop."""

    @property
    def name(self) -> str:
        """Names the runner in logs and metrics."""

    def run(self, stop: Event) -> None:
        """Returns soon after `stop` is set, and not before."""


class RunnerState(msgspec.Struct, frozen=True):
    """Whether a runner runs."""

    name: str
    alive: bool
    restarts: int
    last_error: str | None


class Stop(Event):
    """An order to stop that no waiter misses.

    gevent 26.9 never wakes a greenlet that begins to wait between `set` and the waking of the others.
    """

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set() or super().wait(timeout)


class CollectorManager:
    """Owns the collectors and the other runners, from start to stop."""

    def __init__(self, runners: Sequence[Runner], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._runners = tuple(runners)
        self._monotonic = monotonic
        self._tasks: dict[str, Task] = {}
        self._restarts: dict[str, int] = {}
        self._errors: dict[str, str] = {}
        self._stop = Stop()

    def start(self) -> None:
        """Spawns every runner once; does no I/O and does not wait."""
        for runner in self._runners:
            if runner.name not in self._tasks:
                self._tasks[runner.name] = spawn(self._watch(runner), runner.name)

    def stop(self, timeout: float) -> bool:
        """Tells every runner to stop and waits at most `timeout` seconds; True when all have ended."""
        self._stop.set()
        ends_at = self._monotonic() + timeout
        for task in reversed(self._tasks.values()):
            task.join(max(0.0, ends_at - self._monotonic()))
        left = [name for name, task in self._tasks.items() if task.is_alive()]
        log.info(
            "stopped %d runner(s); still running: %s", len(self._tasks) - len(left), ", ".join(left) or "none"
        )
        return not left

    def abandon(self) -> None:
        """Ends the copies of the parent's runners in a forked process."""
        for task in self._tasks.values():
            abandon(task)
        self._tasks = {}

    def states(self) -> list[RunnerState]:
        """The present state of each runner."""
        return [self._state(runner.name) for runner in self._runners]

    def _state(self, name: str) -> RunnerState:
        task = self._tasks.get(name)
        is_alive = task is not None and task.is_alive()
        return RunnerState(name, is_alive, self._restarts.get(name, 0), self._errors.get(name))

    def _watch(self, runner: Runner) -> Callable[[], None]:
        def watch() -> None:
            delay = RESTART_AFTER_SECONDS
            while not self._stop.is_set():
                begun_at = self._monotonic()
                try:
                    runner.run(self._stop)
                except Exception as error:  # noqa: BLE001 - the one place where a bug must not end the feed
                    if self._monotonic() - begun_at > LONGEST_RESTART_SECONDS:
                        delay = RESTART_AFTER_SECONDS
                    self._broke(runner, error, delay)
                    self._stop.wait(delay)
                    delay = min(LONGEST_RESTART_SECONDS, 2 * delay)

        return watch

    def _broke(self, runner: Runner, error: Exception, delay: float) -> None:
        self._restarts[runner.name] = self._restarts.get(runner.name, 0) + 1
        self._errors[runner.name] = f"{type(error).__name__}: {error}"
        log.error("%s broke and is run again in %g s", runner.name, delay, exc_info=error)
