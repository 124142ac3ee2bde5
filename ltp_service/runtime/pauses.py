"""Lets other greenlets have a turn during work that takes many milliseconds."""

from collections.abc import Callable

from ltp_service.runtime.clock import SHORTEST_SLEEP

WORK_SECONDS = 0.002
"""Seconds of work after which there is a pause, as long as the pump of streams sends at most."""


class Pauses:
    """The pauses of one piece of work. Made when the work begins, and called between its parts."""

    def __init__(self, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._ends_at = monotonic() + WORK_SECONDS

    def __call__(self) -> None:
        """Sleeps as shortly as possible when WORK_SECONDS have passed since the last pause."""
        if self._monotonic() >= self._ends_at:
            self._sleep(SHORTEST_SLEEP)
            self._ends_at = self._monotonic() + WORK_SECONDS
