"""Token buckets: their arithmetic, and the ones of this process."""

from collections import deque
from collections.abc import Callable
from math import ceil
from threading import RLock
from typing import NamedTuple

LOOKS_PER_NEW_BUCKET = 2
"""Old buckets checked for each new one. Full ones are removed, so that with two checks the table grows only while more
than half of its buckets are in use."""

CANDIDATES_TO_LEAVE = 8
"""When the table is full, the fullest of this many oldest buckets is removed."""

BucketState = tuple[float, float]
"""Tokens left, and the monotonic second at which they were counted. Below 0 is a debt."""


class LimitDecision(NamedTuple):
    """Whether a request may pass, and the values of its headers; seconds are rounded up to whole ones."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    """Seconds until the bucket is full again."""
    retry_after: int
    """Seconds until the next token; 0 when the request was allowed."""


class TokenBucket:
    """A client has `capacity` tokens, spends one per request and gets `refill_rate` back per second.

    So at most `capacity + refill_rate * t` of its requests pass within any t seconds.
    """

    def __init__(self, capacity: int, refill_rate: float) -> None:
        self._capacity = capacity
        self._refill_rate = refill_rate

    def take(self, state: BucketState | None, now: float) -> tuple[BucketState, LimitDecision]:
        """The state after one more request. None is a full bucket; a refusal costs nothing."""
        capacity, rate = self._capacity, self._refill_rate
        tokens: float = capacity
        if state is not None:
            tokens = min(tokens, state[0] + (now - state[1]) * rate)
            if tokens < 1.0:
                reset, retry = ceil((capacity - tokens) / rate), ceil((1.0 - tokens) / rate)
                return state, LimitDecision(False, capacity, 0, reset, retry)
        tokens -= 1.0
        return (tokens, now), LimitDecision(True, capacity, int(tokens), ceil((capacity - tokens) / rate), 0)

    def missing(self, state: BucketState, now: float) -> float:
        """Tokens missing to a full bucket at `now`, monotonic seconds."""
        return max(0.0, self._capacity - state[0] - (now - state[1]) * self._refill_rate)

    def full_at(self, state: BucketState) -> float:
        """The monotonic second at which the bucket is full again, and so equal to no state."""
        return state[1] + (self._capacity - state[0]) / self._refill_rate


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
        self._lock = RLock()  # SharedLimiter of redis.limits does more with it held

    def take(self, address: str) -> LimitDecision:
        """Spends one token of the address, if it has one."""
        with self._lock:
            now = self._monotonic()
            state = self._states.get(address)
            if state is None:
                self._make_room(now)
                self._queue.append(address)
            self._states[address], decision = self._bucket.take(state, now)
        return decision

    def __len__(self) -> int:
        """Number of addresses in the table."""
        return len(self._states)

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
