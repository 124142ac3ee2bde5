"""The token buckets of this process."""

from collections import deque
from collections.abc import Callable
from threading import Lock

from ltp_service.limits.bucket import Decision, State, TokenBucket

LOOKS = 2
"""Old buckets looked at for each new one. Those that are full again leave, so that with two looks the
table grows only while more than half of it is in use."""

CANDIDATES = 8
"""Among so many of the oldest is chosen which one leaves a table that is full of buckets in use."""


class MemoryLimiter:
    """One bucket per address, for at most `max_addresses` of them."""

    def __init__(
        self, capacity: int, refill_rate: float, monotonic: Callable[[], float], max_addresses: int = 100_000
    ) -> None:
        self._bucket = TokenBucket(capacity, refill_rate)
        self._monotonic = monotonic
        self._max_addresses = max_addresses
        self._states: dict[str, State] = {}
        # Each address of _states once, first the one not looked at for longest. An OrderedDict would be
        # reordered at each request, this is only at a new address.
        self._queue: deque[str] = deque()
        self._lock = Lock()

    def take(self, address: str) -> Decision:
        """Spends one token of the address, if it has one."""
        with self._lock:
            return self._take(address)

    def __len__(self) -> int:
        """Addresses remembered now."""
        return len(self._states)

    def _take(self, address: str) -> Decision:
        now = self._monotonic()
        state = self._states.get(address)
        if state is None:
            self._make_room(now)
            self._queue.append(address)
        self._states[address], decision = self._bucket.take(state, now)
        return decision

    def _make_room(self, now: float) -> None:
        states, queue, full_at = self._states, self._queue, self._bucket.full_at
        for _ in range(min(LOOKS, len(queue))):
            address = queue.popleft()
            if full_at(states[address]) <= now:
                self._forget(address)
            else:
                queue.append(address)
        if len(states) >= self._max_addresses:
            self._forget_the_fullest()

    def _forget_the_fullest(self) -> None:
        # Never simply the oldest: that may be an abuser, to whom a new bucket would be a present.
        oldest = [self._queue.popleft() for _ in range(min(CANDIDATES, len(self._queue)))]
        fullest = min(oldest, key=lambda address: self._bucket.full_at(self._states[address]))
        self._forget(fullest)
        oldest.remove(fullest)
        self._queue.extend(oldest)

    def _forget(self, address: str) -> None:
        del self._states[address]
