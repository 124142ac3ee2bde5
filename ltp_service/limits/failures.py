"""Counts wrong API keys by address."""

from collections.abc import Callable
from math import ceil
from threading import Lock

from cachetools import TTLCache


class FailureBudget:
    """Allows `limit` failures of an address within any `window` seconds. The oldest addresses are forgotten first.

    Each process counts alone, in a fleet too: a key has 256 bits, so a few more guesses do not help.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        limit: int = 10,
        window: float = 60.0,
        max_addresses: int = 100_000,
    ) -> None:
        self._limit = limit
        self._window = window
        self._monotonic = monotonic
        # The moments of the last `limit` failures, because a counter cannot tell when the first one lapses.
        self._failures: TTLCache[str, tuple[float, ...]] = TTLCache(max_addresses, window, timer=monotonic)
        self._lock = Lock()

    def check(self, address: str) -> int | None:
        """Whole seconds until the address may try again; None when it may now."""
        with self._lock:
            moments = self._failures.get(address, ())
            wait = moments[0] + self._window - self._monotonic() if len(moments) == self._limit else 0.0
        return ceil(wait) if wait > 0 else None

    def failed(self, address: str) -> None:
        """Counts a failure."""
        with self._lock:
            moments = (*self._failures.get(address, ()), self._monotonic())
            self._failures[address] = moments[-self._limit :]
