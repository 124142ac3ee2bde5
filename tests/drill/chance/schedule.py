"""Time that passes when nothing is left to do at a moment: actors that sleep, and events at their moments."""

import heapq
from collections.abc import Callable
from itertools import count
from threading import Event

from greenlet import GreenletExit, getcurrent, greenlet

from tests.fakes import NOON

MONOTONIC = 1000.0
"""Of this machine at the beginning, in seconds."""


class Actor:
    """Something that sleeps and works in turn."""

    def __init__(self, work: Callable[[], None], schedule: "Schedule") -> None:
        self.wakes = 0
        """How often it was woken: an earlier call to wake it is then over."""
        self._schedule = schedule
        self.greenlet = greenlet(work, schedule.hub)

    def sleep(self, until: float) -> None:
        """Until that moment, or until it is woken."""
        self._schedule.at(until, self.waker())
        self._schedule.hub.switch()

    def waker(self) -> Callable[[], None]:
        """Ends the present sleep, and no later one."""
        wakes = self.wakes

        def wake() -> None:
            if self.wakes == wakes and not self.greenlet.dead:
                self.wakes += 1
                self.greenlet.switch()

        return wake


class Schedule:
    """The clock, and what is to happen. It is the exchange's clock too; `skew` is this machine's error in seconds."""

    def __init__(self, skew: Callable[[float], float]) -> None:
        self.now = 0.0
        self.hub = getcurrent()
        self._skew = skew
        self._number = count()
        self._planned: list[tuple[float, int, Callable[[], None]]] = []
        self._actors: dict[greenlet, Actor] = {}

    # What the service takes for its clocks.

    def monotonic(self) -> float:
        return MONOTONIC + self.now

    def wall(self) -> float:
        return NOON + self.now + self._skew(self.now)

    def sleep(self, seconds: float) -> None:
        """From within an actor."""
        self.actor().sleep(self.now + seconds)

    # What the play does.

    def exchange_time(self) -> float:
        """Unix seconds, the truth."""
        return NOON + self.now

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """`event` happens then; what is over happens at once."""
        heapq.heappush(self._planned, (max(moment, self.now), next(self._number), event))

    def start(self, work: Callable[[], None]) -> None:
        """`work` begins now, as an actor."""
        actor = Actor(work, self)
        self._actors[actor.greenlet] = actor
        self.at(self.now, actor.greenlet.switch)

    def actor(self) -> Actor:
        """The one that is at work."""
        return self._actors[getcurrent()]

    def run(self, until: float) -> None:
        """Everything up to that moment."""
        while self._planned and self._planned[0][0] <= until:
            moment, _, event = heapq.heappop(self._planned)
            self.now = moment
            event()
        self.now = until

    def close(self) -> None:
        """Ends all actors where they are."""
        for actor in self._actors.values():
            if actor.greenlet and not actor.greenlet.dead:
                actor.greenlet.throw(GreenletExit)


class Stop(Event):
    """An order to stop that never comes, and whose waits pass on the schedule."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self._schedule = schedule

    def wait(self, timeout: float | None = None) -> bool:
        self._schedule.sleep(timeout or 0.0)
        return False
