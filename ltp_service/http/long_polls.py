"""Holds requests until their answer changes: `Prefer: wait=S` (RFC 7240) beside If-None-Match.

Who waits costs nothing until then. A place is free again as soon as its client is gone, and the clients of one
address never have all places.
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

SHARE = 0.8
"""Part of all places that the clients of one address may have: a proxy that is not trusted is one, too."""

LOOK = 1.0
"""Seconds between two looks at the client and at the order to end, where nothing tells of them."""

WhenReadable = Callable[[int, Callable[[], None]], Callable[[], None]]
"""Has a function called once a file descriptor can be read; gives what ends that."""


class LongPolls:
    """The places of those who wait in this worker.

    `draining` tells whether the process was told to end. `when_readable` is None where each request has a thread.
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
        self._share = max(1, int(SHARE * changes.most))
        self._by_address: Counter[str] = Counter()
        self._held: set[Held] = set()

    def queue(self) -> None:
        """Before a first look: where hundreds ask again as soon as they are answered, other requests go between."""
        self._changes.queue()

    @contextmanager
    def hold(
        self, address: str, pairs: frozenset[Pair], client: Any, seconds: float
    ) -> "Iterator[Held | None]":
        """A place for one request about `pairs`, at most for `seconds`; None when there is none.

        `client` is its socket; None when it is not known.
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
        """The process was told to end: nobody waits any longer."""
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
    """One request that waits."""

    def __init__(
        self, watch: Watch, monotonic: Callable[[], float], ends_at: float, draining: Callable[[], bool]
    ) -> None:
        self._watch = watch
        self._monotonic = monotonic
        self._ends_at = ends_at
        self._draining = draining
        self._gone = False
        self.client: Any = None
        """The socket to look at now and then; None where somebody else does."""
        self.longest = LOOK
        """Seconds of one sleep."""

    def wait(self, until: float) -> bool:
        """True when there may be another answer, from the monotonic moment `until` on in any case; False when the
        time is over, the process is to end, or the client is gone.
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
        """Has it see again why it should wait no longer."""
        self._watch.interrupt()

    def heard(self, client: Any) -> None:
        """There is something to read: that the client has closed, or its next request. Behind that nothing tells of its
        end any more, so it is looked at from now on."""
        self.client, self.longest = client, LOOK
        self.look_at(client)
        self._watch.interrupt()

    def look_at(self, client: Any) -> None:
        """Whether the client has closed its connection."""
        if _is_gone(client):
            self._gone = True
            self._watch.interrupt()


def _is_gone(client: Any) -> bool:
    # The system's own poll, whatever was patched: it returns at once.
    poll = monkey.get_original("select", "poll")()
    poll.register(client.fileno(), POLLRDHUP)
    return any(events & (POLLRDHUP | POLLHUP | POLLERR) for _, events in poll.poll(0))
