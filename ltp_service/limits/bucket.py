"""The token bucket's arithmetic. Its state is kept elsewhere."""

from math import ceil
from typing import NamedTuple

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
