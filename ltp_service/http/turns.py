"""The share of the sockets: requests wait while a worker has not looked at its sockets for a while.

A gevent worker runs everything that is ready before it looks at its sockets again. A few clients that ask for costly
answers without a pause are always ready, so the feed's frames would wait in the kernel for as long as they go on.
"""

from collections.abc import Callable

from ltp_service.runtime.clock import SHORTEST_SLEEP

TURN = 0.010
"""Seconds of requests between two looks at the sockets. One request more may begin just before the end."""


class Turns:
    """Asked by each request before it does anything costly.

    `rounds` counts how often the worker has looked at its sockets. `sleep` lets it look.
    """

    def __init__(
        self, rounds: Callable[[], int], monotonic: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._rounds = rounds
        self._monotonic = monotonic
        self._sleep = sleep
        self._round = -1
        self._ends_at = 0.0

    def wait(self) -> None:
        """Returns at once, unless requests have used up the present round; then in a later one."""
        while (present := self._rounds()) == self._round and self._monotonic() >= self._ends_at:
            self._sleep(SHORTEST_SLEEP)
        if present != self._round:
            self._round = present
            self._ends_at = self._monotonic() + TURN
