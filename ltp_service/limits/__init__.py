"""How often may a client ask?"""

from collections.abc import Callable
from typing import Protocol

from ltp_service.config import Config
from ltp_service.limits.bucket import Decision
from ltp_service.limits.memory import MemoryLimiter


class Limiter(Protocol):
    """One token bucket per client."""

    def take(self, address: str) -> Decision:
        """Spends one token of the address (its `limit_key`), if it has one."""


def open_limiter(config: Config, monotonic: Callable[[], float]) -> Limiter | None:
    """The limiter that the settings ask for; None when they ask for none."""
    if not config.rate_limit_enabled:
        return None
    return MemoryLimiter(config.rate_limit_capacity, config.rate_limit_refill_rate, monotonic)
