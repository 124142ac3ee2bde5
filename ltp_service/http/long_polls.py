"""Holds requests until their answer changes: `Prefer: wait=S` (RFC 7240) beside If-None-Match.

A waiting request costs nothing. Its place is free again as soon as its client is gone, and the clients of one address
never have all places.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from select import POLLERR, POLLHUP, POLLRDHUP
from typing import Any

from gevent import monkey

from ltp_service.domain.pairs import Pair
from ltp_service.prices.changes import Changes, Watch

ADDRESS_SHARE = 0.8
"""Share of all places for the clients of one address; an untrusted proxy counts as one address."""

CLIENT_LOOK_EVERY_SECONDS = 1.0
"""Seconds between two checks for a client that is gone and for the order to end, where no callback tells of them."""

WhenReadable = Callable[[int, Callable[[], None]], Callable[[], None]]
"""Calls a function once a file descriptor can be read; returns a function that ends the watch."""


class LongPolls:
    """The places for waiting requests in this worker.

    `draining` returns whether the process was told to end. `when_readable` is None where each request has a thread.
    """

    def __init__(
        self,
        changes: Changes,
        monotonic: Callable[[], float],
        draining: Callable[[], bool],
        when_readable: WhenReadable | None,
    ) -> None:
        self._changes = changes
        self._monotonic = monotonic
        self._draining = draining
        self._when_readable = when_readable
        self._share = max(1, int(ADDRESS_SHARE * changes.most))
        self._by_address: Counter[str] = Counter()
        self._held: set[Held] = set()

    def queue(self) -> None:
        """Waits for a turn before the first look, so that other requests get a turn when hundreds ask again at once."""
        self._changes.queue()

    @contextmanager
    def hold(
        self, address: str, pairs: frozenset[Pair], client: Any, seconds: float
    ) -> "Iterator[Held | None]":
        """A place for one request about `pairs`, for at most `seconds`; None when there is none.

        `client` is the socket of the request; None when it is not known.
        """
        if self._by_address[address] >= self._share:
            yield None
            return
        self._by_address[address] += 1
        try:
            with self._changes.watch(pairs) as watch:
                if watch is None:
                    yield None
                    return
                held = Held(watch, self._monotonic, self._monotonic() + seconds, self._draining)
                self._held.add(held)
                try:
                    with self._watched(held, client):
                        yield held
                finally:
                    self._held.discard(held)
        finally:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def end(self) -> None:
        """The process was told to end: ends every wait."""
        for held in list(self._held):
            held.interrupt()

    @contextmanager
    def _watched(self, held: "Held", client: Any) -> Iterator[None]:
        if client is None:
            yield
        elif self._when_readable is None:
            held.client = client
            yield
        else:
            held.longest = inf
            stop = self._when_readable(client.fileno(), lambda: held.heard(client))
            try:
                yield
            finally:
                stop()


class Held:
    """One waiting request."""

    def __init__(
        self, watch: Watch, monotonic: Callable[[], float], ends_at: float, draining: Callable[[], bool]
    ) -> None:
        self._watch = watch
        self._monotonic = monotonic
        self._ends_at = ends_at
        self._draining = draining
        self._gone = False
        self.client: Any = None
        """The socket to check from time to time; None where a callback tells of its end."""
        self.longest = CLIENT_LOOK_EVERY_SECONDS
        """Most seconds of one sleep."""

    def wait(self, until: float) -> bool:
        """True when there may be another answer: after a change, or from the monotonic second `until` on.

        False when the time is over, the process is to end, or the client is gone.
        """
        while not (self._gone or self._draining()):
            now = self._monotonic()
            if now >= self._ends_at:
                return False
            if self._watch.wait(min(self._ends_at - now, max(0.0, until - now), self.longest)):
                return True
            if self._monotonic() >= until:
                return True
            if self.client is not None:
                self.look_at(self.client)
        return False

    def interrupt(self) -> None:
        """Ends the present sleep, so that the conditions are checked again."""
        self._watch.interrupt()

    def heard(self, client: Any) -> None:
        """The socket can be read: the client has closed it or sent its next request. After a request no callback tells
        of the end, so the socket is checked from now on."""
        self.client, self.longest = client, CLIENT_LOOK_EVERY_SECONDS
        self.look_at(client)
        self._watch.interrupt()

    def look_at(self, client: Any) -> None:
        """Ends the wait if the client has closed its connection."""
        if _is_gone(client):
            self._gone = True
            self._watch.interrupt()


def _is_gone(client: Any) -> bool:
    # The unpatched poll, which returns at once.
    poll = monkey.get_original("select", "poll")()
    poll.register(client.fileno(), POLLRDHUP)
    return any(events & (POLLRDHUP | POLLHUP | POLLERR) for _, events in poll.poll(0))
