"""Which base URL is tried next, and when. No I/O."""

from collections.abc import Callable

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds: bounds of the random pause after the first failure, and after many."""


class Turns:
    """Bases in turn. Each has its own pause: full jitter under a bound that doubles, or what the service asked for."""

    def __init__(self, count: int, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._failures = [0] * count
        self._not_before = [float("-inf")] * count
        self._next = 0

    def next(self, now: float) -> tuple[int, float]:
        """The base to try, and seconds to wait before."""
        count = len(self._not_before)
        order = [(self._next + turn) % count for turn in range(count)]
        index = next((each for each in order if self._not_before[each] <= now), None)
        if index is None:
            index = min(order, key=self._not_before.__getitem__)
        return index, max(0.0, self._not_before[index] - now)

    def failed(self, index: int, now: float, at_least: float = 0.0) -> None:
        """`at_least` are the seconds of a Retry-After; not all clients come back in the same moment."""
        bound = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures[index], 30))
        self._failures[index] += 1
        self._not_before[index] = now + at_least + self._chance() * bound
        self._next = (index + 1) % len(self._failures)

    def ended(self, index: int, now: float, pause: float) -> None:
        """The service has ended the line by itself and wants the client back after a pause: no failure."""
        self._not_before[index] = now + min(pause, LONGEST_PAUSE)
        self._next = (index + 1) % len(self._failures)

    def proven(self, index: int) -> None:
        """The line has lived for a while."""
        self._failures[index] = 0
        self._next = index
