"""Calls to one exchange keep their distance, whoever makes them."""

from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from ltp_service.domain.errors import Unreachable

DISTANCE = 1.0
"""Least seconds from the start of one call to the start of the next: Kraken says that one call a second is safe."""

Permit = TypeVar("Permit")


class Pace:
    """Hands out turns, DISTANCE apart, first come first served. Safe from any thread or greenlet."""

    def __init__(self, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = Lock()
        self._free_at = float("-inf")

    def free_at(self) -> float:
        """The monotonic moment of the next turn, now at the earliest."""
        return max(self._monotonic(), self._free_at)

    def take_turn(self, deadline: float, permit: Callable[[], Permit]) -> Permit:
        """Sleeps until it is the caller's turn, and gives what `permit` gave. When that raises, no turn is used up.

        Raises Unreachable when the turn would not come before `deadline`, in monotonic seconds.
        """
        with self._lock:
            turn = self.free_at()
            if turn >= deadline:
                raise Unreachable("no time left to ask", reason="timeout")
            permitted = permit()
            self._free_at = turn + DISTANCE
        wait = turn - self._monotonic()
        if wait > 0:
            self._sleep(wait)
        return permitted
