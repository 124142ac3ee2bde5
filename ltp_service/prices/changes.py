"""Wakes the requests that wait for a pair's next value."""

import time
from collections.abc import Callable, Collection
from threading import Event, Lock

from ltp_service.domain.pairs import Pair
from ltp_service.runtime.clock import SHORTEST_SLEEP

MAX_WAITING_REQUESTS = 500
"""Requests that may wait at the same time: half of a worker's connections."""

WOKEN_AT_ONCE = 8
"""Requests woken together. The others are woken one by one, so that hundreds that wait for one pair do not keep a
worker from its sockets."""


class _Group:
    """The requests that wait for the same pairs."""

    def __init__(self, pairs: frozenset[Pair]) -> None:
        self.pairs = pairs
        self.changes = 0
        self.members = 0
        self.asleep: dict[Event, None] = {}
        """The longest asleep comes first."""


class Changes:
    """The waiting requests by their pairs. To announce a change costs nothing while all of them are awake."""

    def __init__(self, most: int = MAX_WAITING_REQUESTS, sleep: Callable[[float], None] = time.sleep) -> None:
        self.most = most
        self._sleep = sleep
        self._members = 0
        self.groups: dict[frozenset[Pair], _Group] = {}
        """Empty while no request waits, and then a change need not be announced."""
        self.listener: Callable[[Pair], None] | None = None
        """Called at each announced change; must be quick. None while no stream is open."""
        self._due: dict[Event, None] = {}
        """Requests to be woken, in order."""
        self._woken: set[Event] = set()
        """Requests that are woken and have not made way for the next one."""
        self._lock = Lock()

    def announce(self, pair: Pair) -> None:
        """Wakes the requests that wait for `pair`, and tells the listener."""
        if self.listener is not None:
            self.listener(pair)
        if not self.groups:
            return
        with self._lock:
            for group in self.groups.values():
                if pair in group.pairs:
                    group.changes += 1
                    self._due |= group.asleep
                    group.asleep.clear()
            woken = self._next()
        for event in woken:
            event.set()

    def _next(self) -> list[Event]:
        """The requests to wake now; called with the lock held."""
        free = WOKEN_AT_ONCE - len(self._woken)
        woken = [event for event, _ in zip(self._due, range(free), strict=False)] if free > 0 else []
        for event in woken:
            del self._due[event]
        self._woken.update(woken)
        return woken

    def queue(self) -> None:
        """Waits for a turn behind the woken requests, because their clients may all ask again at once."""
        event = Event()
        with self._lock:
            self._due[event] = None
            woken = self._next()
        for each in woken:
            each.set()
        try:
            event.wait()
        finally:
            self._make_way(event)

    def watch(self, pairs: Collection[Pair]) -> "Watch":
        """A Watch on `pairs`. Once entered it sees each change, so that none is lost between a look and a wait."""
        return Watch(self, pairs if isinstance(pairs, frozenset) else frozenset(pairs))

    # Called by Watch.

    def start_waiting(self, pairs: frozenset[Pair]) -> _Group | None:
        """Counts one more request for `pairs`; None when `most` wait already."""
        with self._lock:
            if self._members >= self.most:
                return None
            self._members += 1
            group = self.groups.get(pairs)
            if group is None:
                group = self.groups[pairs] = _Group(pairs)
            group.members += 1
            return group

    def stop_waiting(self, group: _Group) -> None:
        """Counts one request less."""
        with self._lock:
            self._members -= 1
            group.members -= 1
            if not group.members:
                del self.groups[group.pairs]

    def fall_asleep(self, group: _Group, event: Event, seen: int) -> bool:
        """Has `event` set at the next change; False when a change came after the first `seen`."""
        with self._lock:
            if group.changes != seen:
                return False
            group.asleep[event] = None
            return True

    def wake_up(self, group: _Group, event: Event) -> int:
        """Ends the sleep of `event`; returns how many changes there have been."""
        with self._lock:
            group.asleep.pop(event, None)
        self._make_way(event)
        return group.changes

    def _make_way(self, event: Event) -> None:
        """Lets the worker look at its sockets, then wakes the next request. No effect unless `event` was woken."""
        with self._lock:
            self._due.pop(event, None)
            tells_the_next = event in self._woken
        if tells_the_next:
            try:
                self._sleep(SHORTEST_SLEEP)
            finally:
                self._tell_the_next(event)

    def _tell_the_next(self, event: Event) -> None:
        with self._lock:
            self._woken.discard(event)
            woken = self._next()
        for each in woken:
            each.set()


class Watch:
    """One waiting request, as a context manager around look, wait, look again."""

    def __init__(self, changes: Changes, pairs: frozenset[Pair]) -> None:
        self._changes = changes
        self._pairs = pairs
        self._group: _Group | None = None
        self._seen = 0
        self._event = Event()

    def __enter__(self) -> "Watch | None":
        """None when too many requests wait already."""
        self._group = self._changes.start_waiting(self._pairs)
        if self._group is None:
            return None
        self._seen = self._group.changes
        return self

    def __exit__(self, *_: object) -> None:
        if self._group is not None:
            self._changes.stop_waiting(self._group)

    def wait(self, seconds: float) -> bool:
        """True at the next change, False after `seconds` or an interrupt. Raises RuntimeError before `__enter__`."""
        if self._group is None:
            raise RuntimeError("wait needs a Watch that was entered")
        before = self._seen
        try:
            if self._changes.fall_asleep(self._group, self._event, before):
                self._event.wait(seconds)
        finally:
            self._seen = self._changes.wake_up(self._group, self._event)
            self._event.clear()
        return self._seen != before

    def interrupt(self) -> None:
        """Ends the present wait, or the next one. Safe from any thread."""
        self._event.set()
