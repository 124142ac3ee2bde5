"""Processes of the service, as far as they record and answer the history. One may be killed, another one ended."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event
from types import ModuleType
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

from ltp_service.assembly import equipment, history
from ltp_service.assembly.services import assemble
from ltp_service.history.contract import HistoryStore, WriterLock
from ltp_service.runtime.runners import Runner
from ltp_service.runtime.runtime import Runtime
from ltp_service.runtime.spawn import Rests
from ltp_service.settings.config import Config
from tests.drill.chance.exchange import Exchange, Session
from tests.drill.chance.schedule import Actor, Schedule

T = TypeVar("T")

THREAD_SECONDS = 0.02
"""Most seconds until a native thread begins with its work, and until its result is taken. Others go on meanwhile."""


class Order(Event):
    """An order to stop, whose waits pass on the schedule."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self._schedule = schedule
        self._waiting: dict[Actor, None] = {}

    def wait(self, timeout: float | None = None) -> bool:
        """See Event."""
        if not self.is_set():
            actor = self._schedule.actor()
            self._waiting[actor] = None
            actor.sleep(self._schedule.now + (timeout or 0.0))
            self._waiting.pop(actor, None)
        return self.is_set()

    def set(self) -> None:
        """See Event."""
        super().set()
        for actor in self._waiting:
            self._schedule.at(self._schedule.now, actor.waker())


class Worker:
    """One process."""

    def __init__(self, schedule: Schedule) -> None:
        self.stop = Order(schedule)
        self.actors: list[Actor] = []
        self.sessions: list[Session] = []
        self.opened: list[tuple[HistoryStore, WriterLock]] = []

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return all(actor.greenlet.dead for actor in self.actors)


class Workers:
    """Begins and ends them."""

    def __init__(self, schedule: Schedule, exchange: Exchange, config: Config, chance: random.Random) -> None:
        self._schedule = schedule
        self._exchange = exchange
        self._config = config
        self._chance = chance
        self._of: dict[greenlet, Worker] = {}
        self._open_history = history.open_history
        self._new: Worker | None = None
        self.rests = Rests(lambda: 0.0)
        """Those of a native thread, in a play where computing takes no time."""

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """The socket, the HTTP client and the native thread of the play, in the place of the service's."""
        stand_ins: dict[tuple[ModuleType, str], Callable[..., Any]] = {
            (equipment, "WebSocketConnection"): lambda *_, **__: self._connect(),
            (equipment, "Dialer"): lambda *_, **__: None,
            (equipment, "HttpClient"): lambda *_, **__: self._exchange,
            (history, "NativeThread"): lambda _: self,
            (history, "open_history"): self._open,
        }
        kept = {(room, name): getattr(room, name) for room, name in stand_ins}
        for (room, name), stand_in in stand_ins.items():
            setattr(room, name, stand_in)
        try:
            yield
        finally:
            for (room, name), own in kept.items():
                setattr(room, name, own)

    def open_reader(self) -> HistoryStore:
        """A store for the play's own questions."""
        return self._open_history(self._config.history_url)[0]

    def begin(self) -> Worker:
        """A new process; it has nothing but what is on the disk."""
        worker = self._new = Worker(self._schedule)
        runtime = Runtime(self._schedule, sleep=self._schedule.sleep, random=self._chance.random)
        parts = assemble(self._config, runtime, ())
        assert parts.history is not None
        for runner in (*parts.prices.runners, *parts.history.runners):
            self._schedule.start(partial(self._run, worker, runner))
        parts.prices.quotes.expect_feed()
        return worker

    def kill(self, worker: Worker) -> None:
        """It does not get to do anything. The system closes what it had open."""
        for actor in worker.actors:
            actor.wakes += 1  # nothing wakes it any more
            self._of.pop(actor.greenlet, None)
        for session in worker.sessions:
            session.close()
        for store, lock in worker.opened:
            lock.release()
            store.close()

    def run(self, function: Callable[[], T]) -> T:
        """As a NativeThread does, but at moments of the schedule."""
        self._schedule.sleep(self._chance.uniform(0.0, THREAD_SECONDS))
        value = function()
        self._schedule.sleep(self._chance.uniform(0.0, THREAD_SECONDS))
        return value

    def _run(self, worker: Worker, runner: Runner) -> None:
        self._of[getcurrent()] = worker
        worker.actors.append(self._schedule.actor())
        runner.run(worker.stop)

    def _connect(self) -> Session:
        worker = self._of[getcurrent()]
        session = self._exchange.connect()
        worker.sessions = [each for each in worker.sessions if each.open] + [session]
        return session

    def _open(self, *arguments: Any) -> tuple[HistoryStore, WriterLock]:
        assert self._new is not None
        opened = self._open_history(*arguments)
        self._new.opened.append(opened)
        return opened
