"""Keeps all calls to one exchange apart."""

from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from ltp_service.domain.errors import Unreachable
from ltp_service.runtime.runtime import Runtime

CALL_DISTANCE_SECONDS = 1.0
"""Least seconds between the starts of two calls; Kraken allows one a second (support.kraken.com, API rate limits)."""

Permitted = TypeVar("Permitted")


class Pace:
    """Hands out turns, CALL_DISTANCE_SECONDS apart, in the order asked. Safe from any thread or greenlet."""

    def __init__(self, runtime: Runtime) -> None:
        self._monotonic = runtime.clock.monotonic
        self._sleep = runtime.sleep
        self._lock = Lock()
        self._free_at = float("-inf")

    def free_at(self) -> float:
        """The monotonic second of the next turn, not before now."""
        return max(self._monotonic(), self._free_at)

    def take_turn(self, deadline: float, permit: Callable[[], Permitted]) -> Permitted:
        """Calls `permit`, sleeps until the caller's turn and returns its result. When `permit` raises, no turn is used.

        Raises Unreachable when the turn would not come before `deadline`, in monotonic seconds.
        """
        with self._lock:
            turn = self.free_at()
            if turn >= deadline:
                raise Unreachable("no time left to ask", reason="timeout")
            permitted = permit()
            self._free_at = turn + CALL_DISTANCE_SECONDS
        wait = turn - self._monotonic()
        if wait > 0:
            self._sleep(wait)
        return permitted
