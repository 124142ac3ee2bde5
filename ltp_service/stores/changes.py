"""Wakes the requests that wait for a pair's next value."""

from collections.abc import Collection
from threading import Event, Lock

from ltp_service.pairs import Pair

MOST = 500
"""Requests that may wait at the same time: half of a worker's connections."""


class Changes:
    """Who waits for which pairs. Announcing costs nothing while nobody waits."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: dict[Event, frozenset[Pair]] = {}
        self._lock = Lock()

    def announce(self, pair: Pair) -> None:
        """Wakes whoever waits for `pair`."""
        if self._waiting:
            with self._lock:
                woken = [event for event, pairs in self._waiting.items() if pair in pairs]
            for event in woken:
                event.set()

    def watch(self, pairs: Collection[Pair]) -> "Watch":
        """Starts to listen at once, so that no change is lost between a look and a wait."""
        return Watch(self, frozenset(pairs))

    def enter(self, event: Event, pairs: frozenset[Pair]) -> bool:
        """From now on `event` is set at each change of `pairs`; False when too many wait already."""
        with self._lock:
            if len(self._waiting) >= self._most:
                return False
            self._waiting[event] = pairs
            return True

    def leave(self, event: Event) -> None:
        """No longer."""
        with self._lock:
            self._waiting.pop(event, None)


class Watch:
    """One waiter, as a context manager round look, wait, look again."""

    def __init__(self, changes: Changes, pairs: frozenset[Pair]) -> None:
        self._changes = changes
        self._pairs = pairs
        self._event = Event()

    def __enter__(self) -> "Watch | None":
        """None when too many wait already."""
        return self if self._changes.enter(self._event, self._pairs) else None

    def __exit__(self, *_: object) -> None:
        self._changes.leave(self._event)

    def wait(self, seconds: float) -> bool:
        """True at the next change, False when `seconds` are over first."""
        changed = self._event.wait(seconds)
        self._event.clear()
        return changed
