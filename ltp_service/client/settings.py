"""What one user of a service has set."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ltp_service.client.steps import steady
from ltp_service.client.wire import Base, read_bases

MOST_PAIRS = 100
"""Most pairs of one question."""


@dataclass(frozen=True)
class Settings:
    """Where to ask, with which key, and which age is allowed; and what a test may steer."""

    bases: tuple[Base, ...]
    api_key: str | None
    max_age: float | None
    clock: Callable[[], float] = steady
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
    """From [0, 1)."""

    @classmethod
    def read(cls, url: str | Sequence[str], api_key: str | None, max_age: float | None) -> "Settings":
        """Raises ValueError for what cannot be."""
        if api_key is not None and not (api_key and api_key.isascii() and api_key.isprintable()):
            raise ValueError("api_key must be printable ASCII text")
        if max_age is not None and not 0 < max_age < float("inf"):
            raise ValueError(f"max_age is {max_age!r}; give seconds, more than 0")
        return cls(read_bases(url), api_key, max_age)

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.api_key} if self.api_key else {}


def checked_pair(pair: str) -> str:
    """Raises ValueError for what is not one pair."""
    if not pair or "," in pair or not pair.isprintable():
        raise ValueError(f"{pair!r} is not one pair; write for example BTC/USD")
    return pair


def checked_pairs(pairs: Iterable[str] | None) -> tuple[str, ...]:
    """None asks for all, so it is an empty tuple; no pair at all is an error."""
    if pairs is None:
        return ()
    found = tuple(dict.fromkeys(map(checked_pair, [pairs] if isinstance(pairs, str) else pairs)))
    if not found:
        raise ValueError("no pair is named; leave pairs out for all that the service serves")
    return found
