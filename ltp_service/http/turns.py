"""Lets a gevent worker look at its sockets between costly requests.

A gevent worker runs every greenlet that is ready before it looks at its sockets again. A few clients that ask for
costly answers without a pause are always ready, so the feed's frames would wait in the kernel.
"""

from collections.abc import Callable

from ltp_service.runtime.clock import SHORTEST_SLEEP

TURN_SECONDS = 0.010
"""Seconds for which requests may start after a look at the sockets."""


class Turns:
    """Called by each request before its costly work.

    `rounds` counts how often the worker has looked at its sockets; `sleep` lets it look.
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
        """Returns at once, or after the next look when TURN_SECONDS have passed since the last one."""
        while (present := self._rounds()) == self._round and self._monotonic() >= self._ends_at:
            self._sleep(SHORTEST_SLEEP)
        if present != self._round:
            self._round = present
            self._ends_at = self._monotonic() + TURN_SECONDS
