"""The token bucket's arithmetic, wherever its state is kept."""

from math import ceil
from typing import NamedTuple

State = tuple[float, float]
"""Tokens that were left, and the monotonic second at which they were counted. Below 0 is a debt."""


class Decision(NamedTuple):
    """Whether this request may pass, and what to tell the client; seconds are rounded up, as headers want them."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    """Until the bucket is full again."""
    retry_after: int
    """Until the next token; 0 when the request was allowed."""


class TokenBucket:
    """A client has `capacity` tokens, spends one per request and gets `refill_rate` back per second.

    So at most `capacity + refill_rate * t` of its requests pass within any t seconds.
    """

    def __init__(self, capacity: int, refill_rate: float) -> None:
        self._capacity = capacity
        self._refill_rate = refill_rate

    def take(self, state: State | None, now: float) -> tuple[State, Decision]:
        """The state after one more request; no state is a full bucket. A refusal costs nothing."""
        capacity, rate = self._capacity, self._refill_rate
        tokens: float = capacity
        if state is not None:
            tokens = min(tokens, state[0] + (now - state[1]) * rate)
            if tokens < 1.0:
                reset, retry = ceil((capacity - tokens) / rate), ceil((1.0 - tokens) / rate)
                return state, Decision(False, capacity, 0, reset, retry)
        tokens -= 1.0
        return (tokens, now), Decision(True, capacity, int(tokens), ceil((capacity - tokens) / rate), 0)

    def missing(self, state: State, now: float) -> float:
        """Tokens between what the state is worth now and a full bucket."""
        return max(0.0, self._capacity - state[0] - (now - state[1]) * self._refill_rate)

    def full_at(self, state: State) -> float:
        """The monotonic second from which on this state is equal to no state."""
        return state[1] + (self._capacity - state[0]) / self._refill_rate
