"""The token buckets of this process."""

from collections import deque
from collections.abc import Callable
from threading import Lock

from ltp_service.limits.bucket import BucketState, LimitDecision, TokenBucket

LOOKS_PER_NEW_BUCKET = 2
"""Old buckets checked for each new one. Full ones are removed, so that with two checks the table grows only while more
than half of its buckets are in use."""

CANDIDATES_TO_LEAVE = 8
"""When the table is full, the fullest of this many oldest buckets is removed."""


class MemoryLimiter:
    """One bucket per address, for at most `max_addresses` of them."""

    def __init__(
        self, capacity: int, refill_rate: float, monotonic: Callable[[], float], max_addresses: int = 100_000
    ) -> None:
        self._bucket = TokenBucket(capacity, refill_rate)
        self._monotonic = monotonic
        self._max_addresses = max_addresses
        self._states: dict[str, BucketState] = {}
        # Each address of _states once, the one not checked for longest first. An OrderedDict would be reordered at
        # each request; this queue changes only at a new address.
        self._queue: deque[str] = deque()
        self._lock = Lock()

    def take(self, address: str) -> LimitDecision:
        """Spends one token of the address, if it has one."""
        with self._lock:
            return self._take(address)

    def __len__(self) -> int:
        """Number of addresses in the table."""
        return len(self._states)

    def _take(self, address: str) -> LimitDecision:
        now = self._monotonic()
        state = self._states.get(address)
        if state is None:
            self._make_room(now)
            self._queue.append(address)
        self._states[address], decision = self._bucket.take(state, now)
        return decision

    def _make_room(self, now: float) -> None:
        states, queue, full_at = self._states, self._queue, self._bucket.full_at
        for _ in range(min(LOOKS_PER_NEW_BUCKET, len(queue))):
            address = queue.popleft()
            if full_at(states[address]) <= now:
                self._forget(address)
            else:
                queue.append(address)
        if len(states) >= self._max_addresses:
            self._forget_the_fullest()

    def _forget_the_fullest(self) -> None:
        # Not simply the oldest, because that may be an abuser, which would get a full bucket again.
        oldest = [self._queue.popleft() for _ in range(min(CANDIDATES_TO_LEAVE, len(self._queue)))]
        fullest = min(oldest, key=lambda address: self._bucket.full_at(self._states[address]))
        self._forget(fullest)
        oldest.remove(fullest)
        self._queue.extend(oldest)

    def _forget(self, address: str) -> None:
        del self._states[address]
