"""Wakes the requests that wait for a pair's next value."""

from collections.abc import Collection
from threading import Event, Lock

from ltp_service.pairs import Pair

MOST = 500
"""Requests that may wait at the same time: half of a worker's connections."""


class _Group:
    """All who wait for the same pairs."""

    def __init__(self, pairs: frozenset[Pair]) -> None:
        self.pairs = pairs
        self.changes = 0
        self.members = 0
        self.asleep: set[Event] = set()


class Changes:
    """Who waits for which pairs. Announcing costs nothing while all are awake, however many they are."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._members = 0
        self._groups: dict[frozenset[Pair], _Group] = {}
        self._lock = Lock()

    def announce(self, pair: Pair) -> None:
        """Wakes all who wait for `pair`."""
        if not self._groups:
            return
        woken: list[Event] = []
        with self._lock:
            for group in self._groups.values():
                if pair in group.pairs:
                    group.changes += 1
                    woken += group.asleep
                    group.asleep.clear()
        for event in woken:
            event.set()

    def watch(self, pairs: Collection[Pair]) -> "Watch":
        """Starts to listen at once, so that no change is lost between a look and a wait."""
        return Watch(self, pairs if isinstance(pairs, frozenset) else frozenset(pairs))

    # What a Watch asks.

    def enter(self, pairs: frozenset[Pair]) -> _Group | None:
        """One more waits for `pairs`; None when too many wait already."""
        with self._lock:
            if self._members >= self.most:
                return None
            self._members += 1
            group = self._groups.get(pairs)
            if group is None:
                group = self._groups[pairs] = _Group(pairs)
            group.members += 1
            return group

    def leave(self, group: _Group) -> None:
        """One less."""
        with self._lock:
            self._members -= 1
            group.members -= 1
            if not group.members:
                del self._groups[group.pairs]

    def fall_asleep(self, group: _Group, event: Event, seen: int) -> bool:
        """From now on `event` is set at the next change; False when one came since `seen` were counted."""
        with self._lock:
            if group.changes != seen:
                return False
            group.asleep.add(event)
            return True

    def wake_up(self, group: _Group, event: Event) -> int:
        """No longer; how many changes there have been."""
        with self._lock:
            group.asleep.discard(event)
            return group.changes


class Watch:
    """One waiter, as a context manager round look, wait, look again."""

    def __init__(self, changes: Changes, pairs: frozenset[Pair]) -> None:
        self._changes = changes
        self._pairs = pairs
        self._group: _Group | None = None
        self._seen = 0
        self._event = Event()

    def __enter__(self) -> "Watch | None":
        """None when too many wait already."""
        self._group = self._changes.enter(self._pairs)
        if self._group is None:
            return None
        self._seen = self._group.changes
        return self

    def __exit__(self, *_: object) -> None:
        if self._group is not None:
            self._changes.leave(self._group)

    def wait(self, seconds: float) -> bool:
        """True at the next change, False when `seconds` are over or somebody interrupts first."""
        if self._group is None:
            raise RuntimeError("wait is for those who entered")
        if self._changes.fall_asleep(self._group, self._event, self._seen):
            self._event.wait(seconds)
        before, self._seen = self._seen, self._changes.wake_up(self._group, self._event)
        self._event.clear()
        return self._seen != before

    def interrupt(self) -> None:
        """Ends the present wait, or the next one. From any thread."""
        self._event.set()
