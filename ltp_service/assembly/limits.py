"""Builds the rate limiter that the settings ask for."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ltp_service.limits.buckets import LimitDecision, MemoryLimiter
from ltp_service.runtime.database import Reload
from ltp_service.settings.config import Config

if TYPE_CHECKING:
    from ltp_service.redis.client import RedisClient


class Limiter(Protocol):
    """One token bucket per client."""

    def take(self, address: str) -> LimitDecision:
        """Spends one token of `address` (a client's `limit_key`), if it has one."""


def open_limiter(
    config: Config, monotonic: Callable[[], float], redis: "RedisClient | None" = None
) -> tuple[Limiter | None, list[Reload]]:
    """The limiter of the settings, or None without a limit, and the runners that it needs."""
    if not config.rate_limit_enabled:
        return None, []
    capacity, refill_rate = config.rate_limit_capacity, config.rate_limit_refill_rate
    if redis is None:
        return MemoryLimiter(capacity, refill_rate, monotonic), []
    from ltp_service.redis.limits import (  # noqa: PLC0415 - loaded only with Redis
        LimitExchange,
        SharedLimiter,
    )

    limiter = SharedLimiter(capacity, refill_rate, monotonic, redis)
    return limiter, [LimitExchange(limiter)]
